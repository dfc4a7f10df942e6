"""Messages go out so that the feeder holds whichever of them arrive.

Pools `p` and `q` have 10 GPUs of 100 to 400 W each under one feeder of 5 kW, without hosts: the caps of both may sum to 500 W a
GPU. The fallback fills 80 %: 200 W in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker, MemoryBus
from facility.bus.messages import CapGroup as Reported
from facility.bus.messages import CapReported
from facility.daemon.sending.actuate import Actuator
from facility.daemon.sending.in_force import LATE, MOST_IN_FORCE
from facility.decision import BatteryOrder, CapGroup, CoolingOrder, Decision, GensetOrder, JobOrder, PoolCaps, SolarOrder
from facility.invariants.ceiling import caps_of, ceiling, part, sum_w, ways
from facility.journal.journal import Journal
from facility.site import Site
from facility.snapshot import Snapshot

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
PAUSE = timedelta(seconds=10)
"""The longest between two steps."""
RAW = {
    "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 100},
    "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
    "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": {"source": "by hand", "points": [
        {"cap_w": 100, "draw_w": 100, "speed": 0.2}, {"cap_w": 400, "draw_w": 400, "speed": 1}]}}}},
    "feeders": {"main": {"rating_kw": 5}}, "halls": {"h": {"feeder": "main"}},
    "pools": {name: {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": 10} for name in ("p", "q")},
    "batteries": {"b": {"feeder": "main", "capacity_kwh": 10, "charge_kw": 4, "discharge_kw": 3}},
    "jobs": {"curve": "train"}, "control": {"rise_share": 1.0},
}  # fmt: skip
SITE = Site.model_validate(RAW)


class Desk:
    """An actuator, an ear on the bus, and agents that report when they are told to."""

    def __init__(self, journal: Journal, site: Site = SITE) -> None:
        self.now, self.site = NOW, site
        self.seen: dict[str, Any] = {}
        self.broker = MemoryBroker(lambda: self.now)
        self.ear: MemoryBus = self.broker.connect()
        self.ear.subscribe("#", 1)
        self.actuator = Actuator(site, self.broker.connect(), journal, 7, Random(1))

    def send(self, p: PoolCaps | int, q: PoolCaps | int, **more: object) -> list[tuple[str, int]]:
        self.now += PAUSE
        pools = tuple(caps if isinstance(caps, PoolCaps) else PoolCaps(name, caps) for name, caps in (("p", p), ("q", q)))
        made = Decision(self.now, self.now + timedelta(minutes=15), pools, **more)  # type: ignore[arg-type]
        self.actuator.send(made, self.site, Snapshot(self.now, **self.seen), 10.0, self.now, "plan")
        return self.heard()

    def heard(self) -> list[tuple[str, int]]:
        """The caps that were sent since the last call, in order: (pool, cap of the GPUs in no group)."""
        found = []
        while (message := self.ear.receive(0.0)) is not None:
            levels = message.topic.split("/")
            fields = msgspec.json.decode(message.payload)
            found.append((levels[5] if levels[3] == "cap" else f"{levels[3]} {levels[4]}", fields.get("cap_w", 0)))
        return found

    def confirm(self, pool: str, seq: int | None = None, epoch: int = 7, cap_w: int = 100, **more: Any) -> list[tuple[str, int]]:
        self.now += PAUSE
        sent = self.actuator.in_force._seq.get(pool) if seq is None else seq
        retained = more.pop("retained", False)
        report = CapReported(timestamp=0, epoch=epoch, seq=sent, enforced_cap_w=cap_w, **more)
        self.actuator.read_back(pool, report, retained=retained)
        self.actuator.release(self.site, Snapshot(self.now, **self.seen), 10.0, self.now)
        return self.heard()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield Desk(journal)


def settled(desk: Desk, p: int, q: int) -> None:
    desk.send(p, q)
    desk.confirm("p")
    desk.confirm("q")


def test_at_the_start_every_gpu_may_have_its_highest_cap_so_all_is_sent_at_once(desk: Desk) -> None:
    assert desk.send(300, 200) == [("p", 300), ("q", 200)]


def test_an_increase_waits_until_the_pool_that_gives_way_has_reported(desk: Desk) -> None:
    settled(desk, 300, 200)
    assert desk.send(200, 300) == [("p", 200), ("q", 200)]
    assert desk.actuator.waiting == ("q",)
    assert desk.confirm("p") == [("q", 300)]
    assert not desk.actuator.waiting


@pytest.mark.parametrize(("seq", "epoch"), [(0, 7), (None, 6)])
def test_a_report_of_an_older_message_or_of_another_epoch_confirms_nothing(desk: Desk, seq: int | None, epoch: int) -> None:
    settled(desk, 300, 200)
    desk.send(200, 300)
    assert desk.confirm("p", seq, epoch) == []
    assert desk.actuator.waiting == ("q",)


def test_a_report_of_higher_caps_than_were_sent_confirms_nothing_and_counts_as_in_force(desk: Desk) -> None:
    settled(desk, 300, 200)
    desk.send(200, 300)
    assert desk.confirm("p", cap_w=400) == []
    assert desk.actuator.waiting == ("q",)
    assert desk.actuator.too_high == {"p": "pool p reports 400 W enforced, 200 W was sent"}
    assert sum_w(desk.actuator.in_force.most("p")) == 4000
    assert desk.confirm("p", cap_w=200) == [("q", 300)]
    assert desk.actuator.too_high == {}


def test_a_workload_that_has_a_higher_cap_than_was_sent_for_it_confirms_nothing(desk: Desk) -> None:
    settled(desk, 300, 200)
    desk.send(PoolCaps("p", 100, (CapGroup("w", 2, 150), CapGroup("x", 2, 300))), 200)
    desk.confirm("p", cap_w=300, groups=(Reported(workload="w", gpus=2, cap_w=300),))
    assert desk.actuator.too_high == {"p": "pool p reports 300 W enforced for w, 150 W was sent"}
    desk.confirm("p", cap_w=300, groups=(Reported(workload="w", gpus=2, cap_w=150),))
    assert desk.actuator.too_high == {}


def restarted(desk: Desk, p: int, q: int) -> None:
    pools = (PoolCaps("p", p), PoolCaps("q", q))
    desk.actuator.resume(Decision(desk.now - timedelta(minutes=5), desk.now + timedelta(minutes=10), pools), desk.now)


def test_after_a_restart_what_rises_waits_until_the_agents_have_reported(desk: Desk) -> None:
    restarted(desk, 300, 200)
    assert desk.send(200, 300) == [("p", 200), ("q", 200)]
    assert desk.actuator.waiting == ("q",)
    assert desk.confirm("p", cap_w=200) == []
    assert desk.confirm("q", cap_w=200) == [("q", 300)]


def test_without_a_journal_reports_end_the_assumption_of_the_worst_but_retained_ones_do_not(desk: Desk) -> None:
    for pool in ("p", "q"):
        desk.confirm(pool, seq=3, epoch=6, cap_w=200, retained=True)
    assert sum_w(desk.actuator.in_force.most("p")) == 4000
    for pool in ("p", "q"):
        desk.confirm(pool, seq=3, epoch=6, cap_w=200)
    assert sum_w(desk.actuator.in_force.most("p")) == 2000
    assert desk.send(200, 300) == [("p", 200), ("q", 300)]


def test_after_a_restart_an_order_of_before_may_still_be_on_its_way_whatever_was_reported_until_one_of_ours_is(desk: Desk) -> None:
    """`p` was sent 400 W, which the journal does not know yet and its slow agent neither: what is reported is the order before."""
    restarted(desk, 200, 200)
    desk.confirm("p", seq=3, epoch=6, cap_w=200)
    desk.confirm("q", seq=4, epoch=6, cap_w=200)
    assert sum_w(desk.actuator.in_force.most("p")) == 4000
    assert desk.send(200, 300) == [("p", 200), ("q", 200)]
    assert desk.confirm("q", cap_w=200) == []
    assert desk.confirm("p", cap_w=200) == [("q", 300)]


def test_a_report_below_what_the_journal_tells_makes_more_than_it_an_increase(desk: Desk) -> None:
    """The journal says 300 and 200 W, but since then `p` was lowered to 100 and `q` raised to 400 W."""
    restarted(desk, 300, 200)
    desk.confirm("p", seq=3, epoch=6, cap_w=100)
    desk.confirm("q", seq=4, epoch=6, cap_w=400)
    assert desk.send(300, 200) == [("q", 200), ("p", 100)]
    assert desk.confirm("q", cap_w=200) == []
    assert desk.confirm("p", cap_w=100) == [("p", 300)]


def test_without_any_report_an_earlier_process_is_outlived_when_its_caps_have_lapsed(desk: Desk) -> None:
    restarted(desk, 100, 100)
    assert desk.send(200, 300) == [("p", 100), ("q", 100)]
    desk.now += timedelta(minutes=16)
    assert desk.send(200, 300) == [("p", 200), ("q", 300)]


def test_an_increase_that_fits_in_any_case_waits_for_nobody(desk: Desk) -> None:
    settled(desk, 200, 200)
    assert desk.send(200, 300) == [("p", 200), ("q", 300)]
    assert not desk.actuator.waiting


def test_the_same_again_is_no_increase(desk: Desk) -> None:
    wide = PoolCaps("p", 100, (CapGroup("w", 5, 400), CapGroup("x", 5, 100)))
    settled(desk, 300, 200)
    desk.send(wide, 250)
    desk.confirm("p")
    desk.confirm("q")
    assert desk.send(wide, 250) == [("p", 100), ("q", 250)]


def test_within_a_pool_what_one_workload_gives_the_other_gets_only_after_the_report(desk: Desk) -> None:
    """5 GPUs at 400 and 5 at 100 W are 2.5 kW; half way between they could be 10 at 400 W."""
    settled(desk, 250, 250)
    one = PoolCaps("p", 100, (CapGroup("w", 5, 400), CapGroup("x", 5, 100)))
    other = PoolCaps("p", 100, (CapGroup("w", 5, 100), CapGroup("x", 5, 400)))
    desk.send(one, 250)
    desk.confirm("p")
    desk.send(other, 250)
    assert desk.actuator.in_force.last("p")[0].groups == (CapGroup("w", 5, 100), CapGroup("x", 5, 100))
    desk.confirm("p")
    assert desk.actuator.in_force.last("p")[0].groups == other.groups


def test_a_message_that_both_lowers_and_raises_lowers_at_once(desk: Desk) -> None:
    settled(desk, 300, 200)
    desk.send(PoolCaps("p", 100, (CapGroup("w", 9, 300),)), 220)
    while desk.actuator.waiting:
        assert desk.confirm("p") or desk.confirm("q")
    assert desk.send(250, 250)[0] == ("p", 100)


def test_what_lapsed_counts_no_higher_than_the_fallback(desk: Desk) -> None:
    """`p` was sent 300 and then 100 W and never reported; after 15 min it has 200 W at most, which leaves 300 to `q`."""
    settled(desk, 100, 100)
    desk.send(300, 100)
    assert desk.send(100, 300) == [("p", 100), ("q", 100)]
    desk.now += timedelta(minutes=16)
    assert desk.send(100, 300) == [("p", 100), ("q", 300)]
    assert sum_w(desk.actuator.in_force.most("p")) == 2000


def test_every_cap_says_what_silence_falls_back_to_whatever_it_is_itself(desk: Desk) -> None:
    desk.send(100, 300)
    sent = {topic.split("/")[5]: msgspec.json.decode(payload) for topic, payload in desk.broker.retained.items()}
    assert {pool: (fields["cap_w"], fields["fallback_cap_w"]) for pool, fields in sent.items()} == {"p": (100, 200), "q": (300, 200)}


def test_what_may_be_in_force_stays_a_short_list(desk: Desk) -> None:
    for i in range(5 * MOST_IN_FORCE):
        desk.send(100 + i, 100)
    assert len(desk.actuator.in_force._every["p"]) <= MOST_IN_FORCE + 2


def test_holds_go_first_and_runs_last_and_every_number_is_greater_than_the_one_before(desk: Desk) -> None:
    jobs = (JobOrder("runs", "run", 2), JobOrder("waits", "hold", 2))
    desk.ear.receive(0.0)
    pools = (PoolCaps("p", 100), PoolCaps("q", 100))
    cooling = CoolingOrder("c", (("h", 24.0),), 1.0, 18.0)
    sources: dict[str, Any] = {"cooling": (cooling,), "solar": (SolarOrder("roof", 3.0, 2.0),), "gensets": (GensetOrder("g", 1.0),)}
    made = Decision(NOW, NOW + timedelta(minutes=9), pools, jobs, (BatteryOrder("b", 1.0),), **sources)
    desk.actuator.send(made, SITE, Snapshot(NOW), 10.0, NOW, "plan")
    messages = []
    while (message := desk.ear.receive(0.0)) is not None:
        messages.append(message)
    order = [message.topic.removeprefix("facility/v1/s/").removesuffix("/desired") for message in messages]
    assert order == ["job/waits", "cap/h/p", "cap/h/q", "cooling/c", "battery/b", "genset/g", "solar/roof", "job/runs"]
    told = [msgspec.json.decode(message.payload) for message in messages]
    numbers = [(t["epoch"], t["seq"]) for t in told]
    assert numbers == sorted(set(numbers))
    assert {datetime.fromisoformat(t["valid_until"]) for t in told} == {NOW + timedelta(minutes=9)}


def test_after_a_reconnect_only_what_still_holds_is_said_again(desk: Desk) -> None:
    desk.send(100, 100)
    desk.actuator.republish(desk.now + timedelta(minutes=14))
    assert desk.heard() == [("p", 100), ("q", 100)]
    desk.actuator.republish(desk.now + timedelta(minutes=15))
    assert desk.heard() == []


def test_what_could_not_be_queued_is_said_once_and_told_again_with_the_next_decision(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    away = desk.actuator._bus
    made = Decision(NOW, NOW + timedelta(minutes=15), (PoolCaps("p", 100), PoolCaps("q", 100)))
    for bus, heard, says in ((Closed(), [], "could not be queued"), (away, [("p", 100), ("q", 100)], "queued again"), (away, [], "")):
        desk.actuator._bus = bus  # type: ignore[assignment]
        caplog.clear()
        with caplog.at_level("INFO"):
            desk.actuator.send(made, SITE, Snapshot(NOW), 10.0, NOW, "plan")
        assert desk.heard() == heard
        assert [record.message.rpartition(": ")[2] for record in caplog.records] == ([says] if says else [])


def test_what_an_earlier_process_sent_to_pools_that_are_gone_is_nobodys(desk: Desk) -> None:
    earlier = Decision(NOW, NOW + timedelta(minutes=10), (PoolCaps("gone", 100),), batteries=(BatteryOrder("b", 2.0),))
    desk.actuator.resume(earlier, NOW)
    assert desk.actuator.in_force.charging_kw == {"b": 2.0}
    assert desk.send(100, 100) == [("p", 100), ("q", 100)]


class Closed:
    """A connection that takes nothing."""

    def publish(self, message: Message) -> bool:
        return False


def messages() -> st.SearchStrategy[PoolCaps]:
    group = st.builds(CapGroup, st.sampled_from("abc"), st.integers(1, 3), st.integers(100, 400))
    return st.builds(PoolCaps, st.just("p"), st.integers(100, 400), st.lists(group, max_size=3).map(tuple))


@given(messages(), messages())
def test_a_ceiling_is_above_both_messages_and_a_lower_part_raises_neither(one: PoolCaps, other: PoolCaps) -> None:
    had, wanted = caps_of(one, 10), caps_of(other, 10)
    most = ceiling(had, wanted)
    assert sum(gpus for _, runs in most for _, gpus in runs) == 10
    assert sum_w(most) >= max(sum_w(had), sum_w(wanted))
    assert sum_w(ceiling(had, had)) == sum_w(had)
    lowered = caps_of(part(other, ways(other, [one], 10), 0.0, 100, 1), 10)
    assert sum_w(ceiling(had, lowered)) == sum_w(had)
    assert sum_w(ceiling(wanted, lowered)) == sum_w(wanted)


def test_a_battery_that_was_told_to_charge_may_go_on_until_that_order_ends_so_caps_rise_only_then(desk: Desk) -> None:
    """5 kW of caps fit, not 1 kW of charging besides; the order that ends it may be lost."""
    desk.send(200, 200, batteries=(BatteryOrder("b", 1.0),))
    desk.confirm("p")
    desk.confirm("q")
    assert ("p", 300) not in desk.send(300, 200, batteries=(BatteryOrder("b", -1.0),))
    assert desk.actuator.waiting == ("p",)
    desk.now += timedelta(minutes=15) - 4 * PAUSE
    assert ("p", 300) not in desk.send(300, 200, batteries=(BatteryOrder("b", -1.0),)), "by its own clock the battery may not be so far"
    desk.now += LATE
    assert ("p", 300) in desk.send(300, 200, batteries=(BatteryOrder("b", -1.0),))


def test_no_cap_rises_into_what_a_plant_draws_to_cool_a_hall_down(tmp_path: Path) -> None:
    """Without end 2 kW of IT need no cooling that is chilled at 10 degC; 0.6 kW are measured, and 5 kW of caps leave no room for them."""
    thermal = {"heat_capacity_kwh_per_k": 10, "resistance_k_per_kw": 14, "start_c": 24, "cooling_plant": "c"}
    plant = {"feeder": "main", "design_heat_kw": 100, "max_heat_kw": 100, "pump_kw": 0, "fan_kw": 0}
    site = Site.model_validate(RAW | {"halls": {"h": {"feeder": "main", "thermal": thermal}}, "cooling_plants": {"c": plant}})
    with Journal(tmp_path / "journal.sqlite") as journal:
        desk = Desk(journal, site)
        settled(desk, 200, 200)
        desk.seen = {"hall_c": {"h": 25.0}, "pool_kw": {"p": 1.0, "q": 1.0}, "cooling_kw": {"c": 0.6}}
        assert ("p", 300) not in desk.send(300, 200), "it would have 5 kW and 0.6 kW"
        assert desk.actuator.waiting == ("p",)
        desk.seen = {"hall_c": {"h": 24.0}, "pool_kw": {"p": 1.0, "q": 1.0}, "cooling_kw": {"c": 0.6}}
        assert ("p", 300) in desk.send(300, 200)


def charging_kw(desk: Desk) -> float:
    """What the battery is told to charge with, by what the broker retains."""
    return float(msgspec.json.decode(desk.broker.retained["facility/v1/s/battery/b/desired"])["power_kw"])


def test_a_battery_charges_only_once_the_pools_that_gave_way_have_reported(desk: Desk) -> None:
    """5 kW of caps leave no room for 1 kW of charging, and the message that lowers them may be lost."""
    settled(desk, 300, 200)
    assert ("p", 200) in desk.send(200, 200, batteries=(BatteryOrder("b", 1.0),))
    assert (charging_kw(desk), desk.actuator.waiting) == (0.0, ("b",))
    assert desk.actuator.batteries == (BatteryOrder("b", 0.0),)
    assert desk.confirm("q", cap_w=200) == [], "it is not told the same again"
    desk.confirm("p", cap_w=200)
    assert (charging_kw(desk), desk.actuator.waiting) == (1.0, ())


def test_a_battery_goes_on_with_what_it_charges_already_until_there_is_room_for_more(desk: Desk) -> None:
    settled(desk, 200, 200)
    desk.send(200, 200, batteries=(BatteryOrder("b", 1.0),))
    assert charging_kw(desk) == 1.0
    desk.send(150, 200, batteries=(BatteryOrder("b", 1.5),))
    assert charging_kw(desk) == 1.0
    desk.confirm("p", cap_w=150)
    assert charging_kw(desk) == 1.5
    desk.send(150, 200, batteries=(BatteryOrder("b", -1.0),))
    assert charging_kw(desk) == -1.0, "what gives way waits for nothing"


def test_where_caps_have_room_a_battery_charges_at_once(desk: Desk) -> None:
    settled(desk, 100, 200)
    desk.send(100, 200, batteries=(BatteryOrder("b", 2.0),))
    assert (charging_kw(desk), desk.actuator.waiting) == (2.0, ())


def test_of_many_orders_to_a_battery_the_highest_counts_and_few_are_remembered(desk: Desk) -> None:
    for kw in range(3 * MOST_IN_FORCE):
        desk.actuator.in_force.charges("b", 4 - kw / 100, NOW + timedelta(minutes=kw))
        assert desk.actuator.in_force.charging_kw == {"b": 4.0}
        assert len(desk.actuator.in_force._charge["b"]) <= MOST_IN_FORCE
    desk.actuator.in_force.lapse(NOW + timedelta(days=1))
    assert desk.actuator.in_force.charging_kw == {}


def test_of_a_battery_an_order_that_another_outlasts_with_no_less_is_forgotten(desk: Desk) -> None:
    for kw, minutes in ((2.0, 5), (1.0, 9), (1.0, 4), (3.0, 7), (1.0, 9)):
        desk.actuator.in_force.charges("b", kw, NOW + timedelta(minutes=minutes))
    assert desk.actuator.in_force._charge["b"] == [(1.0, NOW + timedelta(minutes=9)), (3.0, NOW + timedelta(minutes=7))]
    desk.actuator.in_force.lapse(NOW + timedelta(minutes=7) + LATE)
    assert desk.actuator.in_force.charging_kw == {"b": 1.0}


def test_what_is_sent_again_raises_nothing_whatever_older_messages_may_be_in_force(desk: Desk) -> None:
    """The last order names eight GPUs, the one before none: which of them those are nobody knows, and nobody needs to."""
    settled(desk, 150, 100)
    again = PoolCaps("p", 100, (CapGroup("c", 8, 400),))
    desk.send(again, 100)
    assert desk.actuator.in_force.adds(PoolCaps("p", 400))
    assert not desk.actuator.in_force.adds(again)
    most = desk.actuator.in_force.most("p")
    desk.send(again, 100)
    assert desk.actuator.in_force.most("p") == most
    assert not desk.actuator.waiting


def test_cooling_counts_with_the_heat_of_now_while_what_lowers_may_not_have_arrived(tmp_path: Path) -> None:
    """Of 5 kW that pools draw a COP of 4 makes 1.25 kW of cooling: with 400 W in p still and 200 W in q already 7.25 kW, of 7.1."""
    thermal = {
        "heat_capacity_kwh_per_k": 5, "resistance_k_per_kw": 1e6, "start_c": 24, "recommended_min_c": 18, "recommended_max_c": 27,
        "allowable_max_c": 32, "cooling_plant": "c",
    }  # fmt: skip
    plant = {
        "feeder": "main", "design_heat_kw": 10, "max_heat_kw": 20, "cop_at_25c": 4, "cop_loss_per_k": 0, "pump_kw": 0, "fan_kw": 0,
        "free_cooling_full_below_c": -20, "free_cooling_none_above_c": -10, "min_load_share": 0,
    }  # fmt: skip
    cooled = RAW | {"feeders": {"main": {"rating_kw": 7.1}}, "halls": {"h": {"feeder": "main", "thermal": thermal}}, "cooling_plants": {"c": plant}}
    with Journal(tmp_path / "cooled.sqlite") as journal:
        desk = Desk(journal, Site.model_validate(cooled))
        settled(desk, 400, 100)
        desk.seen = {"pool_kw": {"p": 4.0, "q": 1.0}, "hall_c": {"h": 24.0}}
        assert desk.send(100, 200) == [("p", 100), ("q", 100)]
        assert desk.actuator.waiting == ("q",)
        assert desk.confirm("p") == [("q", 200)]
