"""Caps that come late, twice, in the wrong order, not at all, or are none: no feeder ever carries more than its rating."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from facility.daemon.question import Question
from facility.decide import Decided, Undecided
from tests.faults.careless import Rehearsal, site
from tests.faults.fault import Fault
from tests.processes import CAPS, POOL, ROOT, House, needs_mosquitto

LOWEST_W, HIGHEST_W = 100, 400
"""What the A100s of the demonstration can be set to."""


@pytest.fixture
def rehearse(tmp_path: Path) -> Iterator[Any]:
    made: list[Rehearsal] = []

    def begin(gpus: int = 10, **control: Any) -> Rehearsal:
        made.append(Rehearsal(tmp_path, site(gpus, **control)))
        made[-1].pass_by(5)
        return made[-1]

    yield begin
    for one in made:
        one.close()


def cycles(world: Rehearsal, count: int, seconds: int) -> list[str]:
    """Plan and let time pass, so many times; the modes after each plan."""
    modes = []
    for _ in range(count):
        modes.append(world.daemon.cycle().mode)
        world.pass_by(seconds)
    return modes


def test_fault_23_caps_that_are_applied_40_s_late_never_overload_a_feeder(fault: Fault, rehearse: Any) -> None:
    world = rehearse(cycle_s=60, cap_ttl_s=180)
    fault(lambda: setattr(world.broker, "late_s", 40.0))
    modes = cycles(world, 25, 60)
    fault.proven(lambda: world.broker.late > 50, "agents are told 40 s after it was sent")
    assert world.over == []
    assert modes.count("NORMAL") == len(modes)
    assert max(load["main"] for load in world.loads_kw) > 7, "what may be used is used all the same"


def test_fault_24_caps_and_reports_that_are_lost_doubled_and_reordered_never_overload_a_feeder(fault: Fault, rehearse: Any) -> None:
    """200 plans by chance; the plant is looked at every second, and the gate found nothing that it had to keep back."""
    world = rehearse(cycle_s=12, cap_ttl_s=36)
    fault(lambda: setattr(world.broker, "share", 0.3))
    modes = cycles(world, 200, 12)
    broker = world.broker
    fault.proven(lambda: min(broker.lost, broker.doubled, broker.late) > 300, "messages are lost, doubled and late")
    assert world.over == []
    assert modes.count("NORMAL") == len(modes)
    assert max(load["main"] for load in world.loads_kw) > 6
    assert not world.daemon.faults


def test_fault_25_a_planner_that_wants_caps_out_of_range_is_refused_and_nothing_of_it_is_sent(fault: Fault, rehearse: Any) -> None:
    world = rehearse(cycle_s=60, cap_ttl_s=180)
    world.daemon.cycle()
    world.pass_by(30)
    wanted: list[Any] = [99, 401, 10_000, 0, -300, 250.5, float("nan"), float("inf"), "300", None]
    asked: list[Any] = []

    def nonsense(question: Question) -> Decided | Undecided:
        asked.append(wanted[len(asked)])
        return world.decided(question, dict.fromkeys(world.site.pools, asked[-1]))

    fault(lambda: setattr(world, "plan", nonsense))
    world.heard()
    modes = cycles(world, len(wanted), 10)
    fault.proven(lambda: asked == wanted, "plans have caps that cannot be set")
    assert set(modes) == {"HOLD"}
    assert all("cap_w" in json.loads(message.payload) for message in world.heard())
    assert all(100 <= json.loads(message.payload)["cap_w"] <= 400 for message in world.heard())
    assert world.over == []


@needs_mosquitto
def test_fault_25_caps_and_reports_out_of_range_change_nothing_that_is_sent(fault: Fault, house: House) -> None:
    """An operator's are clamped or rejected and said so; an agent's count as what its GPUs can be set to, and raise an alarm."""
    began = house.publish(f"{ROOT}/override/{POOL}/set", b"{}")
    answers = []
    for value in (10_000, 401, 99, 0):
        if fault.injected:
            answers.append(house.order(POOL, f"range-{value}", "cap_w", value))
            house.clear(POOL, f"range-{value}")
    for name, value in (("minus", -1), ("nan", "NaN"), ("text", "much")):
        told = json.dumps({"id": f"range-{name}", "kind": "cap_w", "value": value, "by": "ann", "ttl_s": 60})
        if fault.injected:
            answers.append(house.answer(POOL, f"range-{name}", house.publish(f"{ROOT}/override/{POOL}/set", told)))
    sent = house.ear.told(CAPS)
    report = {"timestamp": int(house.now().timestamp() * 1000), "epoch": sent["epoch"], "seq": sent["seq"] + 10_000, "enforced_cap_w": 9_999}
    nonsense = fault(lambda: house.publish(f"{ROOT}/cap/h1/h1-b/reported", json.dumps(report), "-r"))
    reported = f"{ROOT}/cap/h1/h1-b/reported"
    fault.proven(lambda: nonsense and any(told["enforced_cap_w"] == 9_999 for told in house.ear.since(nonsense, reported)), "9,999 W are reported")
    assert [answer["status"] for answer in answers] == ["clamped"] * 4 + ["rejected"] * 3
    alarm = f"{ROOT}/alarm/cap-h1-b"
    house.until(lambda: any("9999 W" in told["cause"] for told in house.ear.since(began, alarm)), 3, "an alarm")
    house.until(lambda: house.ear.newest.get(alarm) == b"", 5, "the end of the alarm, with the agent's next report")
    caps = house.ear.since(began, CAPS)
    assert caps
    assert all(LOWEST_W <= cap_w <= HIGHEST_W for told in caps for cap_w in (told["cap_w"], *(group["cap_w"] for group in told["groups"])))
    assert not [topic for topic in house.ear.newest if "/alarm/invariant-" in topic]


def test_fault_53_after_a_blackout_a_thousand_gpus_come_back_a_few_at_a_time(fault: Fault, rehearse: Any) -> None:
    """3 pools of 400 GPUs fall back from full power to 150 W while the broker is away; what is planned then is 310 kW, and a step 16 kW at most."""
    world = rehearse(400, cycle_s=60, cap_ttl_s=120)
    full = {"p": 280, "q": 250, "r": 240}
    world.plan = lambda asked: world.decided(asked, full)
    cycles(world, 3, 60)
    before_kw = world.plant.feeder_kw["main"]
    assert before_kw == pytest.approx(308)
    fault(world.broker.stop)
    cycles(world, 4, 60)
    fault.proven(lambda: world.plant.feeder_kw["main"] == pytest.approx(180), "agents heard nothing, and fell back")
    world.broker.start()
    back = len(world.loads_kw)
    cycles(world, 4, 60)
    loads_kw = [load["main"] for load in world.loads_kw[back:]]
    rating_kw = world.site.feeders["main"].rating_kw
    assert loads_kw[-1] == pytest.approx(before_kw)
    assert max(after - before for before, after in pairwise(loads_kw)) <= 0.05 * rating_kw + 0.01
    assert max(after - before for before, after in zip(loads_kw, loads_kw[10:], strict=False)) <= 0.25 * rating_kw
    assert world.over == []


@needs_mosquitto
def test_fault_53_after_a_stop_the_demonstrations_1504_gpus_come_back_a_few_at_a_time(fault: Fault, house: House) -> None:
    """Caps of all three pools, as the broker carries them: in no ten seconds of the site's clock do they rise by a quarter of the transformer."""
    pools = {"h1/h1-a": 512, "h1/h1-b": 480, "h2/h2-a": 512}
    stopped = fault(lambda: house.order("site", "stop-53", "stop"))

    def sum_kw() -> float:
        told = {pool: house.ear.told(f"{ROOT}/cap/{pool}/desired") for pool in pools}
        return sum(_sum_w(caps, pools[pool]) for pool, caps in told.items()) / 1000

    fault.proven(lambda: stopped and sum_kw() <= 177, "all caps are at their lowest")
    house.clear("site", "stop-53")
    risen: list[tuple[float, float]] = []

    def rises() -> bool:
        risen.append((house.now().timestamp(), sum_kw()))
        return risen[-1][1] > 300

    house.until(rises, 20, "full power")
    for at, kw in risen:
        soon = [after_kw for after, after_kw in risen if at <= after <= at + 10]
        assert max(soon) - kw <= 0.25 * 1000
    assert sum(1 for (_, kw), (_, after_kw) in pairwise(risen) if after_kw > kw) >= 3, "in several steps"


def _sum_w(caps: dict[str, Any], gpus: int) -> int:
    grouped = sum(group["gpus"] for group in caps["groups"])
    return sum(group["gpus"] * group["cap_w"] for group in caps["groups"]) + (gpus - grouped) * int(caps["cap_w"])
