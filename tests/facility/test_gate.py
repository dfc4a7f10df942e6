"""Nothing goes out that breaks an invariant, whatever those who publish believe: the gate is handed what no room would send.

The site of `test_actuate`: pools `p` and `q` of 10 GPUs of 100 to 400 W under one feeder of 5 kW, fallback 200 W in both.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from facility.bus.interface import MAX_PAYLOAD_BYTES, Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import CapReported
from facility.clock import ManualClock
from facility.daemon.sending.gate import MOST_KEPT, Gate
from facility.daemon.situation import Situation
from facility.decision import BatteryOrder, CapGroup, CoolingOrder, Decision, GensetOrder, JobOrder, PoolCaps, SolarOrder
from facility.overrides.arbitrate import bounds
from facility.overrides.proposal import Proposal
from facility.site import Site
from facility.snapshot import Job, Snapshot
from facility.telemetry.balance import meter_key
from facility.verdict import Doubt, Verdict
from tests.facility.test_actuate import RAW

pytestmark = pytest.mark.breaks_invariants

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
TTL = timedelta(minutes=15)
SITE = Site.model_validate(RAW | {
    "gensets": {"d": {"feeder": "main", "max_kw": 2, "fuel_price_per_mwh": 300}},
    "solar": {"roof": {"feeder": "main", "peak_kw": 3, "output_by_hour_kw_per_kwp": [0.5] * 24}},
    "cooling_plants": {"cool": {"feeder": "main", "design_heat_kw": 20, "max_heat_kw": 30, "pump_kw": 0, "fan_kw": 0, "cop_at_25c": 4}},
    "tenants": {"t": {"name": "T"}},
    "contracts": {"c": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 2, "curve": "train", "value_per_gpu_h": 2}},
})  # fmt: skip
JOB = Job("j", "p", "train", 4, 2.0, NOW, NOW + timedelta(hours=4))
ROOT = "facility/v1/s"


class Porter:
    """A gate, an ear behind it, and whoever publishes what comes to mind."""

    def __init__(self, site: Site = SITE) -> None:
        self.site = site
        self.clock = ManualClock(NOW)
        self.broker = MemoryBroker(self.clock.now)
        self.ear = self.broker.connect()
        self.ear.subscribe("#", 1)
        self.gate = Gate(site, self.broker.connect(), self.clock, 7)
        self.seq = 0
        self.doubts: dict[str, Doubt] = {}
        self.asked: tuple[Proposal, ...] = ()

    def accept(self, p: PoolCaps | int, q: PoolCaps | int, **more: Any) -> Decision:
        now = self.clock.now()
        pools = tuple(caps if isinstance(caps, PoolCaps) else PoolCaps(name, caps) for name, caps in (("p", p), ("q", q)))
        made = Decision(now, now + TTL, pools, **more)
        self.gate.accept(made, self.here())
        return made

    def here(self) -> Situation:
        now = self.clock.now()
        edges = (now, now + timedelta(hours=1))
        return Situation(now, self.site, Snapshot(now, (JOB,), doubts=self.doubts), bounds(self.site, self.asked, now, edges), 10.0)

    def say(self, topic: str, **fields: Any) -> tuple[bool, set[int]]:
        """Publish an order; whether it went out, and which invariants it broke."""
        self.seq += 1
        stamp = {"epoch": 7, "seq": self.seq, "issued_at": self.clock.now(), "valid_until": self.clock.now() + TTL}
        return self.raw(topic, msgspec.json.encode(stamp | fields))

    def raw(self, topic: str, payload: bytes, *, retain: bool = True) -> tuple[bool, set[int]]:
        went = self.gate.publish(Message(f"{ROOT}/{topic}", payload, qos=1, retain=retain))
        heard = self.ear.receive(0.0)
        assert (heard is not None and heard.payload == payload) == went
        return went, {finding.broken.number for finding in self.gate.take()}

    def caps(self, pool: str, cap_w: Any, **fields: Any) -> tuple[bool, set[int]]:
        return self.say(f"cap/h/{pool}/desired", **{"cap_w": cap_w, "fallback_cap_w": 200} | fields)

    def settle(self, p: int, q: int) -> None:
        """Both pools have been sent caps, and have read them back."""
        self.accept(p, q)
        for pool, cap_w in (("p", p), ("q", q)):
            assert self.caps(pool, cap_w) == (True, set())
            self.gate.read_back(pool, CapReported(timestamp=0, epoch=7, seq=self.seq, enforced_cap_w=cap_w), retained=False)
        self.gate.see(self.here())


@pytest.fixture
def porter() -> Porter:
    return Porter()


def test_what_was_accepted_goes_out(porter: Porter) -> None:
    sources: dict[str, Any] = {"batteries": (BatteryOrder("b", -3.0),), "gensets": (GensetOrder("d", 0.0),), "solar": (SolarOrder("roof", 2.0, 2.5),)}
    sources["cooling"] = (CoolingOrder("cool", ()),)
    porter.accept(300, 200, jobs=(JobOrder("j", "hold", 4),), **sources)
    assert porter.caps("p", 300) == (True, set())
    assert porter.caps("q", 150, groups=[{"workload": "c", "gpus": ["n/1", "n/2"], "cap_w": 200}]) == (True, set())
    assert porter.say("battery/b/desired", power_kw=-3.0) == (True, set())
    assert porter.say("genset/d/desired", power_kw=0.0) == (True, set())
    assert porter.say("solar/roof/desired", limit_kw=2.5) == (True, set())
    assert porter.say("cooling/cool/desired", halls={}) == (True, set())
    assert porter.say("job/j/desired", action="hold", gpus=4) == (True, set())
    assert not porter.gate.counts


@pytest.mark.parametrize("cap_w", [99, 401, 250.5, "300", None, True, 10**9, -100])
def test_i3_a_cap_that_cannot_be_set_does_not_rise(porter: Porter, cap_w: Any) -> None:
    porter.settle(100, 100)
    porter.accept(400, 100)
    assert porter.caps("p", cap_w) in [(False, {3}), (False, {1, 3, 5}), (False, {3, 5}), (True, {3})]
    assert porter.caps("p", 200) == (True, set())


@pytest.mark.parametrize(
    ("topic", "fields"),
    [
        ("battery/b/desired", {"power_kw": 4.1}), ("battery/b/desired", {"power_kw": -3.1}), ("battery/b/desired", {"power_kw": float("nan")}),
        ("battery/x/desired", {"power_kw": 1.0}), ("genset/d/desired", {"power_kw": 0.1}), ("genset/d/desired", {"power_kw": 2.1}),
        ("genset/x/desired", {"power_kw": 0.0}), ("solar/roof/desired", {"limit_kw": 3.1}), ("solar/x/desired", {"limit_kw": 1.0}),
        ("cooling/x/desired", {"halls": {}}), ("cap/h/x/desired", {"cap_w": 200, "fallback_cap_w": 200}),
    ],
)  # fmt: skip
def test_i3_a_set_point_out_of_range_is_not_sent(porter: Porter, topic: str, fields: dict[str, Any]) -> None:
    porter.accept(300, 200)
    went, broken = porter.say(topic, **fields)
    assert not went
    assert 3 in broken


def test_before_anything_was_accepted_there_is_nothing_to_see(porter: Porter) -> None:
    porter.gate.see(porter.here())
    assert not porter.gate.counts


def test_i5_nothing_goes_out_that_was_not_accepted(porter: Porter) -> None:
    assert Porter().caps("p", 100) == (True, {5})
    porter.settle(200, 200)
    assert porter.caps("p", 201) == (False, {5})
    assert porter.caps("p", 200, groups=[{"workload": "c", "gpus": 2, "cap_w": 250}]) == (False, {5})
    assert porter.say("battery/b/desired", power_kw=-3.0) == (False, {5})
    assert porter.say("job/j/desired", action="run", gpus=4) == (False, {5})
    assert porter.say("job/j/desired", action="hold", gpus=4) == (True, {5})


def test_i5_what_a_job_was_told_is_taken_back_only_once_it_has_ended(porter: Porter) -> None:
    porter.accept(200, 200, jobs=(JobOrder("j", "hold", 4),))
    assert porter.say("job/j/desired", action="hold", gpus=4) == (True, set())
    assert porter.raw("job/j/desired", b"") == (False, {5})
    porter.clock.advance(TTL.total_seconds())
    assert porter.raw("job/j/desired", b"") == (True, set())
    assert porter.raw("job/of-an-earlier-process/desired", b"") == (True, set())
    assert porter.raw("cap/h/p/desired", b"") == (False, {3}), "caps are not"


def test_i6_an_order_ends_and_silence_falls_back_to_what_fits(porter: Porter) -> None:
    porter.settle(200, 200)
    porter.accept(250, 250)
    late = NOW + timedelta(minutes=15, seconds=2)
    assert porter.caps("p", 250, valid_until=late) == (False, {6})
    assert porter.caps("p", 200, valid_until=late) == (True, {6})
    assert porter.say("battery/b/desired", power_kw=0.0, valid_until=late) == (False, {5, 6})
    for fallback_cap_w in (99, 201, 401):
        assert porter.caps("p", 250, fallback_cap_w=fallback_cap_w) == (False, {6})


def test_what_has_ended_before_it_is_sent_is_not_sent_and_breaks_nothing(porter: Porter) -> None:
    porter.settle(200, 200)
    porter.accept(250, 250)
    assert porter.caps("p", 250, valid_until=NOW) == (False, set())
    assert porter.caps("p", 100, valid_until=NOW) == (False, set())
    assert porter.caps("p", 250) == (True, set())


def test_i14_numbers_only_grow_over_all_topics_but_the_same_bytes_may_be_said_again(porter: Porter) -> None:
    porter.settle(200, 200)
    porter.accept(250, 200)
    assert porter.caps("p", 250, seq=2) == (False, {14})
    assert porter.caps("p", 250, epoch=6, seq=9) == (False, {14})
    assert porter.caps("p", 150, seq=1) == (True, {14})
    assert porter.caps("p", 250, seq=3) == (True, set())
    said = porter.broker.retained[f"{ROOT}/cap/h/p/desired"]
    assert porter.raw("cap/h/p/desired", said) == (True, set())


def test_i1_an_increase_waits_until_what_gave_way_has_been_read_back(porter: Porter) -> None:
    porter.settle(300, 200)
    porter.accept(200, 300)
    assert porter.caps("q", 300) == (False, {1})
    assert porter.caps("p", 200) == (True, set())
    assert porter.caps("q", 300) == (False, {1})
    porter.gate.read_back("p", CapReported(timestamp=0, epoch=7, seq=porter.seq - 1, enforced_cap_w=200), retained=False)
    porter.gate.see(porter.here())
    assert porter.caps("q", 300) == (True, set())


def test_i1_of_two_increases_the_second_must_fit_beside_the_first(porter: Porter) -> None:
    porter.settle(200, 200)
    porter.accept(400, 400)
    assert porter.caps("p", 300) == (True, set())
    assert porter.caps("q", 201) == (False, {1})


def test_i1_a_battery_does_not_charge_until_what_gave_way_has_been_read_back(porter: Porter) -> None:
    porter.settle(300, 200)
    porter.accept(200, 200, batteries=(BatteryOrder("b", 1.0),))
    assert porter.caps("p", 200) == (True, set())
    sent = porter.seq
    assert porter.say("battery/b/desired", power_kw=1.0) == (False, {1})
    assert porter.say("battery/b/desired", power_kw=0.0) == (True, set())
    porter.gate.read_back("p", CapReported(timestamp=0, epoch=7, seq=sent, enforced_cap_w=200), retained=False)
    porter.gate.see(porter.here())
    assert porter.say("battery/b/desired", power_kw=0.5) == (True, set())
    assert porter.say("battery/b/desired", power_kw=1.0) == (True, set())
    assert porter.say("battery/b/desired", power_kw=1.1) == (False, {5})
    assert porter.say("battery/b/desired", power_kw=-1.0) == (False, {5})


def test_i1_what_an_earlier_process_sent_counts_until_it_lapses(porter: Porter) -> None:
    porter.gate.resume(Decision(NOW, NOW + TTL, (PoolCaps("p", 100), PoolCaps("q", 100))), NOW)
    porter.accept(200, 200)
    assert porter.caps("p", 200) == (False, {1})
    porter.clock.advance(16 * 60)
    porter.accept(200, 200)
    assert porter.caps("p", 200) == (True, set())


def test_i4_where_the_meter_is_lost_no_cap_rises_but_what_is_commanded(porter: Porter) -> None:
    porter.settle(200, 200)
    porter.doubts = {meter_key(SITE): Doubt(meter_key(SITE), Verdict.MISSING, "silent", "", NOW)}
    porter.accept(250, PoolCaps("q", 200, (CapGroup("j", 2, 210),)))
    assert porter.caps("p", 250) == (False, {4})
    assert porter.caps("q", 200, groups=[{"workload": "j", "gpus": 2, "cap_w": 210}]) == (False, {4})
    assert porter.caps("q", 200, groups=[{"workload": "j", "gpus": 2, "cap_w": 200}]) == (True, set())
    porter.asked = (Proposal("o", "pool/h/p", "cap_w", 250.0, 8, NOW, NOW + TTL, "ann", ""),)
    porter.accept(250, 200)
    assert porter.caps("p", 250) == (True, set())
    porter.doubts = {}
    porter.accept(250, 220)
    assert porter.caps("q", 220) == (True, set())


def test_i13_what_nobody_commands_rises_in_small_steps_and_not_too_often() -> None:
    porter = Porter(SITE.model_copy(update={"control": SITE.control.model_copy(update={"rise_share": 0.05, "turns_per_h": 2})}))
    porter.settle(200, 200)
    porter.accept(400, 210)
    assert porter.caps("p", 226) == (False, {13})
    assert porter.caps("p", 215) == (True, set())
    assert porter.caps("q", 210) == (True, set())
    assert porter.caps("p", 216) == (False, {13}), "not a second step before a pause"
    porter.clock.advance(1)
    assert porter.caps("p", 216) == (True, set())
    for cap_w, lower_w, broken in ((230, 205, set[int]()), (220, 200, {13})):
        porter.clock.advance(60)
        assert porter.caps("p", lower_w) == (True, set())
        porter.clock.advance(60)
        assert porter.caps("p", cap_w) == (not broken, broken)
    porter.asked = (Proposal("o", "pool/h/p", "cap_w", 280.0, 8, NOW, NOW + TTL, "ann", ""),)
    porter.accept(280, 210)
    assert porter.caps("p", 280) == (True, set())


def test_i12_a_rental_is_not_held_silently(porter: Porter) -> None:
    porter.accept(200, 200, jobs=(JobOrder("c", "hold", 2), JobOrder("nobody", "hold", 2)))
    assert porter.say("job/c/desired", action="hold", gpus=2) == (True, {12})
    assert porter.say("job/nobody/desired", action="hold", gpus=2) == (True, {12})


def test_i15_what_is_no_order_is_what_its_topic_promises_and_small(porter: Porter) -> None:
    assert porter.raw("svc/d/status", b'{"instance":"d","mode":"NORMAL"}') == (True, set())
    assert porter.raw("svc/d/status", b'{"instance":"d","mode":"BEST"}') == (False, {15})
    assert porter.raw("svc/d/status", b"") == (True, set())
    assert porter.raw("override/site/result", b"", retain=False) == (False, {15})
    assert porter.raw("somebody/else", b"x" * MAX_PAYLOAD_BYTES) == (True, set())
    assert porter.raw("somebody/else", b"x" * (MAX_PAYLOAD_BYTES + 1)) == (False, {15})
    assert porter.raw("battery/b/desired", b"{") == (False, {3})


def test_what_waits_to_be_told_is_bounded_and_all_is_counted(porter: Porter) -> None:
    for _ in range(2 * MOST_KEPT):
        porter.gate.publish(Message(f"{ROOT}/svc/d/status", b"?"))
    assert len(porter.gate.take()) == MOST_KEPT
    assert porter.gate.counts == {15: 2 * MOST_KEPT}


def test_it_is_a_bus_to_whoever_publishes(porter: Porter) -> None:
    gate = porter.gate
    gate.subscribe("x/#", 1)
    porter.ear.publish(Message("x/y", b"1"))
    porter.ear.publish(Message("x/y", b"2"))
    told = gate.receive(0.0)
    assert told is not None
    assert (told.payload, [message.payload for message in gate.drain(0.0, 5)]) == (b"1", [b"2"])
    gate.reconnect()
    assert (gate.connections, gate.connected, gate.dropped) == (2, True, 0)
    gate.close()
    assert not gate.connected


def test_orders_for_what_is_gone_are_forgotten_after_some_days(porter: Porter) -> None:
    """Jobs come and go for years; what the gate remembers of them does not grow with that."""
    for day in range(10):
        porter.accept(200, 200, jobs=(JobOrder("j", "hold", 4),))
        assert porter.say(f"job/j{day}/desired", action="hold", gpus=4)[0]
        porter.clock.advance(86_400)
    assert len(porter.gate._passed) <= 3
