"""Load targets of the exchange: they act at once, are planned for, and what becomes of them is told."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from facility.bus.interface import Message
from facility.daemon.holding.overrule import import_kw
from facility.daemon.margin import LEAST_SHARE
from facility.journal.store import StoreFault
from tests.facility.dsx.exchange import BREACHES, NOW, STATES, Exchange, limit


def test_an_order_is_answered_and_caps_fall_at_once_and_the_next_plan_keeps_it(exchange: Exchange) -> None:
    exchange.passes(10, 3.2)
    assert exchange.cap_w() == 400
    exchange.states()
    woken = exchange.woken
    order = exchange.order(limit(2.0))
    assert exchange.cap_w() < 400
    assert exchange.woken > woken
    (event,) = [e for e in exchange.since(STATES) if e["data"]["feeds"]["main-a"]["event"] == "target_set"]
    assert event["correlationid"] == order["correlationid"]
    assert event["traceparent"].split("-")[1] == order["traceparent"].split("-")[1]
    assert event["traceparent"] != order["traceparent"]
    (target,) = event["data"]["feeds"]["main-a"]["targets"]
    assert target["correlation_id"] == order["correlationid"]
    assert (target["active"], target["load_constraint"]) == (True, {"value": 2.0, "unit": "kilowatt"})
    assert "end_time" not in target["interval"]
    exchange.passes(5, 1.95)
    exchange.daemon.cycle()
    plan = json.loads(exchange.broker.retained["facility/v1/s/plan/current"])
    assert all(step["import_kw"] <= 2.0 + 1e-6 for step in plan["steps"])


def test_an_order_that_comes_before_the_first_plan_is_answered_with_it(exchange: Exchange) -> None:
    exchange.kill()
    exchange.folder = exchange.folder / "new"
    exchange.folder.mkdir()
    exchange.open(plan=False)
    order = exchange.order(limit(2.0))
    assert not exchange.since(STATES)
    exchange.daemon.cycle()
    exchange.settle()
    told = exchange.since(STATES)
    assert [event["data"]["feeds"]["main-a"]["event"] for event in told] == ["target_set", "start_ramp_down", "end_ramp_down"]
    assert told[0]["correlationid"] == order["correlationid"]
    assert exchange.cap_w() < 400


def test_ramps_begin_with_the_constraint_and_end_when_load_and_meter_are_within_it(exchange: Exchange) -> None:
    exchange.passes(10, 3.2)
    exchange.states()
    exchange.order(limit(2.0))
    exchange.passes(5, 3.0)
    happened = exchange.states()
    assert [name for name, _ in happened] == ["target_set", "start_ramp_down"]
    assert [(state["in_flight"], state["compliant"]) for _, state in happened] == [(True, False), (True, True)]
    assert "power_event_start_time" in happened[1][1]
    exchange.passes(10, 1.95)  # a fall is believed when it is told twice
    ((name, state),) = exchange.states()
    assert (name, state["in_flight"], state["compliant"]) == ("end_ramp_down", False, True)
    exchange.order({"interval": {}, "load_constraint": None})
    exchange.passes(5, 1.95)
    happened = exchange.states()
    assert [name for name, _ in happened] == ["target_set", "start_ramp_up"]
    exchange.daemon.cycle()
    exchange.passes(5, 3.0)
    ((name, state),) = exchange.states()
    assert (name, state["in_flight"], state["targets"]) == ("end_ramp_up", False, [])
    assert "power_event_start_time" not in state


def test_a_target_for_later_begins_and_ends_by_itself(exchange: Exchange) -> None:
    start, end = exchange.clock.now() + timedelta(minutes=10), exchange.clock.now() + timedelta(minutes=30)
    exchange.passes(10, 3.0)
    exchange.order(limit(2.0, start, end))
    assert not exchange.states()[-1][1]["targets"][0]["active"]
    assert exchange.cap_w() == 400
    exchange.passes(600, 3.0)
    assert "start_ramp_down" in [name for name, _ in exchange.states()]
    assert exchange.cap_w() < 400
    exchange.passes(1205, 1.9)
    assert "start_ramp_up" in [name for name, _ in exchange.states()]
    exchange.daemon.cycle()
    exchange.passes(70, 1.9)
    assert exchange.cap_w() == 400


def test_the_state_is_told_now_and_then_and_after_a_reconnect(exchange: Exchange) -> None:
    exchange.passes(300, 3.0)
    assert len([name for name, _ in exchange.states() if name == "periodic"]) in {5, 6}
    exchange.broker.stop()
    exchange.broker.start()
    exchange.settle()
    assert [name for name, _ in exchange.states()] == ["periodic"]


def test_a_breach_is_told_when_it_lasts_escalates_and_ends_with_one_id(exchange: Exchange) -> None:
    exchange.passes(10, 3.2)
    order = exchange.order(limit(2.0))
    exchange.passes(55, 2.3)
    assert not exchange.since(BREACHES)
    exchange.passes(10, 2.3)
    (active,) = exchange.since(BREACHES)
    exchange.passes(305, 2.3)
    (escalated,) = exchange.since(BREACHES)
    assert exchange.alarms() >= {"load-target-breach"}
    exchange.passes(70, 1.9)
    (resolved,) = exchange.since(BREACHES)
    told = [event["data"] for event in (active, escalated, resolved)]
    assert [data["status"] for data in told] == ["active", "escalated", "resolved"]
    assert [data["infrastructure_actions"] for data in told] == [["SHUTDOWN_NODES"], ["SHUTDOWN_NODES", "TRIP_BREAKERS"], []]
    assert len({data["breach"]["breach_id"] for data in told}) == 1
    assert [("resolved_at" in data["breach"], "shed_hints" in data) for data in told] == [(False, True), (False, True), (True, False)]
    assert {data["severity"] for data in told} == {"warning"}
    assert told[0]["measured_load"] == {"value": 2.3, "unit": "kilowatt"}
    assert {data["target"]["correlation_id"] for data in told} == {order["correlationid"]}
    assert "load-target-breach" not in exchange.alarms()


def test_gpus_that_enforce_more_than_they_were_sent_are_hints_of_where_to_shed(exchange: Exchange) -> None:
    exchange.order(limit(2.0))
    exchange.passes(60, 2.3)
    exchange.defies(400)
    exchange.passes(10, 2.3)
    (event,) = exchange.since(BREACHES)
    hints = event["data"]["shed_hints"]
    assert [hint["resource_id"] for hint in hints] == ["node-1/0", "node-1/1"]
    assert {(hint["resource_type"], hint["action"], hint["priority"]) for hint in hints} == {("gpu", "power_cap", 1)}
    assert hints[0]["target_power"]["value"] <= exchange.cap_w() < 400


def test_a_fifth_above_the_target_is_critical_and_escalates_at_once(exchange: Exchange) -> None:
    exchange.order(limit(2.0))
    exchange.passes(75, 2.5)
    told = [event["data"] for event in exchange.since(BREACHES)]
    assert [(data["status"], data["severity"]) for data in told] == [("active", "critical"), ("escalated", "critical")]


def test_the_guard_holds_a_firm_target_between_plans_and_one_above_the_load_raises_nothing(exchange: Exchange) -> None:
    exchange.passes(10, 3.2)
    exchange.order(limit(100.0))
    exchange.passes(5, 3.2)
    assert exchange.cap_w() == 400
    exchange.order(limit(2.0))
    exchange.passes(5, 1.9)
    kept_w = exchange.cap_w()
    exchange.passes(20, 2.3)
    assert exchange.cap_w() < kept_w


def test_a_target_that_plans_fill_is_cut_once_and_not_with_every_plan(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    """The load is 2 % above what is expected, plans keep at first 1 % below the target: from the first cut on they keep that far below."""
    exchange.passes(10, 3.2)
    exchange.order(limit(2.0, end=exchange.clock.now() + timedelta(hours=4)))
    for step in range(240):
        if step % 30 == 0:
            exchange.daemon.cycle()
        here = exchange.daemon.rooms.known.situation(exchange.clock.now())
        in_force = exchange.daemon.rooms.governor.in_force
        assert in_force is not None
        exchange.passes(5, 1.02 * import_kw(here.site, in_force, here.snapshot, here.outdoor_c))
    cuts = [record.getMessage() for record in caplog.records if "caps give way" in record.getMessage()]
    assert len(cuts) == 1
    assert "the meter showed 2.0 of 2 kW" in cuts[0]
    assert 1.95 < exchange.daemon.rooms.known.situation(exchange.clock.now()).snapshot.import_kw <= 2.0


def test_best_effort_is_planned_for_and_neither_guarded_nor_escalated(exchange: Exchange) -> None:
    exchange.passes(10, 3.2)
    exchange.order(limit(2.0, strategy={"best_effort": True}))
    assert exchange.cap_w() == 400
    exchange.daemon.cycle()
    assert exchange.cap_w() < 400
    exchange.passes(600, 3.2)
    told = [event["data"] for event in exchange.since(BREACHES)]
    assert [(data["status"], data["infrastructure_actions"]) for data in told] == [("active", [])]


def test_a_silent_meter_neither_begins_nor_ends_a_breach(exchange: Exchange) -> None:
    exchange.order(limit(2.0))
    exchange.passes(200)
    assert not exchange.since(BREACHES)
    exchange.passes(70, 2.3)
    assert len(exchange.since(BREACHES)) == 1
    exchange.passes(200)
    assert not exchange.since(BREACHES)


def test_a_cycle_is_in_the_journal_with_the_limit_and_the_events_it_was_planned_for(exchange: Exchange) -> None:
    exchange.order(limit(2.0))
    exchange.daemon.cycle()
    inputs = json.loads(exchange.journal.cycles(1)[0].inputs)
    assert inputs["asked"]["import_limit_kw"] == pytest.approx([2.0 * (1 - LEAST_SHARE)] * 58)
    assert [(event["target_kw"], event["firm"]) for event in inputs["events"]] == [(2.0, True)]


def test_who_ordered_what_stands_in_the_account(exchange: Exchange) -> None:
    taken, refused = exchange.order(limit(2.0)), exchange.order(limit(2.0, end=NOW - timedelta(hours=1)))
    told = [(e.action, e.target, e.actor, e.result, e.id) for e in exchange.journal.account(NOW) if e.sort == "target"]
    by = ("set", "grid/main-a", "acme-energy")
    assert sorted(told) == sorted([(*by, "accepted", taken["id"]), (*by, "rejected", refused["id"])])


def test_orders_survive_a_restart_of_the_daemon(exchange: Exchange) -> None:
    order = exchange.order(limit(2.0))
    exchange.kill()
    exchange.clock.advance(30)
    exchange.states()
    exchange.open()
    exchange.passes(5, 1.9)
    told = exchange.states()
    assert {name for name, _ in told} == {"periodic"}
    state = told[0][1]
    assert state["targets"][0]["correlation_id"] == order["correlationid"]
    assert datetime.fromisoformat(state["power_event_start_time"]) == datetime.fromisoformat(state["targets"][0]["interval"]["start_time"])
    assert exchange.cap_w() < 400
    again = exchange.order(limit(3.0), id=order["id"], time=order["time"])
    assert again["id"] == order["id"]
    assert exchange.states()[-1][1]["targets"][0]["load_constraint"]["value"] == 2.0


def test_a_breach_outlives_the_process_that_found_it(exchange: Exchange) -> None:
    exchange.order(limit(2.0))
    exchange.passes(70, 2.3)
    exchange.kill()
    exchange.open()
    exchange.passes(5, 2.3)
    assert exchange.alarms() == {"load-target-breach"}
    exchange.passes(70, 1.9)
    assert exchange.alarms() == set()
    told = [event["data"] for event in exchange.since(BREACHES)]
    assert [data["status"] for data in told] == ["active", "resolved"]
    assert len({data["breach"]["breach_id"] for data in told}) == 1
    exchange.kill()
    exchange.open()
    exchange.passes(70, 1.9)
    assert not exchange.since(BREACHES)


def full(exchange: Exchange, patched: pytest.MonkeyPatch) -> None:
    """Have no fact be written to the journal any more."""

    def put(_key: str, _json: bytes) -> None:
        raise StoreFault("the disk is full")

    patched.setattr(exchange.journal, "put", put)


def test_an_order_that_cannot_be_stored_is_refused_and_told_so(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange.passes(5, 3.2)
    exchange.since(STATES)
    with monkeypatch.context() as patched:
        full(exchange, patched)
        order = exchange.order(limit(2.0))
    (event,) = exchange.since(STATES)
    assert (event["correlationid"], event["data"]["feeds"]["main-a"]["targets"]) == (order["correlationid"], [])
    assert (exchange.cap_w(), exchange.alarms()) == (400, {"load-target-refused"})
    assert not exchange.daemon.faults


def test_a_breach_that_cannot_be_stored_is_told_and_stored_later(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange.order(limit(2.0))
    with monkeypatch.context() as patched:
        full(exchange, patched)
        exchange.passes(70, 2.3)
        assert exchange.alarms() == {"load-target-breach"}
        assert not exchange.daemon.faults
    exchange.passes(5, 2.3)
    exchange.kill()
    exchange.open()
    exchange.passes(70, 1.9)
    told = [event["data"] for event in exchange.since(BREACHES)]
    assert [data["status"] for data in told] == ["active", "resolved"]
    assert len({data["breach"]["breach_id"] for data in told}) == 1


# --- what is not believed ---


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"specversion": "1.0"}, "specversion|1.0.2"),
        ({"source": "//grid/v1/isv/other"}, "belongs to"),
        ({"source": "acme"}, "source"),
        ({"type": "grid.powerstate.status.v1"}, "its type"),
        ({"id": "seven"}, "UUID"),
        ({"time": "2026-07-01T12:00:00"}, "time"),
        ({"time": "2026-07-01T12:05:00Z"}, "ahead"),
        ({"traceparent": "00-1-1-00"}, "traceparent"),
        ({"datacontenttype": "text/plain"}, "datacontenttype"),
        ({"data": {"targets": []}}, "data: "),
        ({"data": {"targets": [{"interval": {}}]}}, "load_constraint"),
        ({"data": {"targets": [limit(-1.0)]}}, "data: "),
        ({"data": {"targets": [{"interval": {}, "load_constraint": {"value": 1, "unit": "kW"}}]}}, "unit|watt"),
        ({"data": {"targets": [limit(2.0, NOW + timedelta(hours=2), NOW + timedelta(hours=1))]}}, "end_time"),
        ({"data": {"targets": [limit(2.0, end=NOW - timedelta(hours=1))]}}, "past"),
        ({"data": "e30.e30.e30"}, "no keys"),
        ({"data": None}, "data"),
    ],
)
def test_what_is_not_an_order_of_its_orderer_now_does_not_act_and_is_told(exchange: Exchange, more: dict[str, Any], why: str) -> None:
    exchange.passes(5, 3.2)
    exchange.states()
    exchange.order(limit(2.0), **more)
    assert exchange.cap_w() == 400
    alarm = json.loads(exchange.broker.retained["facility/v1/s/alarm/load-target-refused"])
    assert re.search(why, alarm["cause"])
    assert all(not state["targets"] for _, state in exchange.states())
    exchange.order(limit(2.0))
    assert "load-target-refused" not in exchange.alarms()


def test_whatever_an_order_looks_like_nothing_breaks(exchange: Exchange) -> None:
    good, chance = json.dumps(exchange.order(limit(3.9))).encode(), Random(1)
    for _ in range(300):
        spoilt = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(spoilt))
            spoilt[at : at + chance.randint(0, 3)] = bytes(chance.choices(b'{}[]",:0919eE.-nulltrue\\\xff', k=chance.randint(0, 3)))
        exchange.ear.publish(Message("grid/v1/isv/acme-energy/loadtarget/set", bytes(spoilt), qos=1))
    exchange.settle()
    assert not exchange.daemon.faults
    assert exchange.daemon.outcome.mode == "NORMAL"


def test_an_order_that_the_broker_remembers_does_not_act(exchange: Exchange) -> None:
    exchange.kill()
    exchange.order(limit(2.0), retain=True)
    exchange.open()
    assert (exchange.cap_w(), exchange.alarms()) == (400, {"load-target-refused"})


def test_what_a_known_orderer_is_refused_is_answered_with_its_correlation(exchange: Exchange) -> None:
    exchange.passes(5, 3.2)
    exchange.since(STATES)
    order = exchange.order(limit(2.0, end=NOW - timedelta(hours=1)))
    (event,) = exchange.since(STATES)
    assert event["correlationid"] == order["correlationid"]
    assert event["data"]["feeds"]["main-a"]["event"] == "periodic"
    assert event["data"]["feeds"]["main-a"]["targets"] == []


def test_an_order_for_other_feeds_and_one_of_a_stranger_pass_by(exchange: Exchange) -> None:
    exchange.passes(5, 3.2)
    exchange.states()
    exchange.order(limit(2.0, feed_tags=["main-b"]))
    exchange.order(limit(2.0), isv="stranger")
    assert (exchange.cap_w(), exchange.states(), exchange.alarms()) == (400, [], set())
    exchange.order(limit(2.0, feed_tags=["main-b", "main-a"]))
    assert exchange.cap_w() < 400


def test_enforcement_on_the_hardware_stands_as_an_alarm_until_it_is_reverted(exchange: Exchange) -> None:
    def enforced(action: str) -> None:
        result = {"resource_id": "node-17", "resource_type": "node", "requested_action": "power_cap", "code": "applied"}
        data = {"breach_id": str(uuid4()), "feed_tag": "main-a", "action": action, "code": "success", "results": [result]}
        data |= {"timestamp": NOW.isoformat()}
        event = {
            "specversion": "1.0.2", "id": str(uuid4()), "source": "//grid/v1/infra/ima-prod", "type": "grid.powerbreach.enforcement.v1",
            "time": NOW.isoformat(), "datacontenttype": "application/json", "subject": "powerbreach",
            "traceparent": f"00-{uuid4().hex}-00f067aa0ba902b7-01", "data": data,
        }  # fmt: skip
        exchange.ear.publish(Message("grid/v1/infra/ima-prod/powerbreach/enforcement", json.dumps(event).encode(), qos=2))
        exchange.settle()

    enforced("applied")
    assert exchange.alarms() == {"load-target-enforcement"}
    enforced("reverted")
    assert exchange.alarms() == set()
