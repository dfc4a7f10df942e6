"""A hall whose cooling fails: its pools give way before it is too warm."""

from __future__ import annotations

from pathlib import Path

from facility.site import Site
from tests.facility.test_guard import RAW, THERMAL
from tests.faults.fault import Fault
from tests.faults.rehearsed import Rehearsed

QUICK = RAW["halls"] | {"h": {"feeder": "root", "thermal": THERMAL | {"heat_capacity_kwh_per_k": 0.05}}}
"""17 kW that nobody removes warm 0.05 kWh/K by 1 K in 10 s."""


def test_fault_21_a_hall_that_warms_by_1_k_in_10_s_is_never_too_warm_and_only_its_pools_give_way(tmp_path: Path, fault: Fault) -> None:
    room = Rehearsed(tmp_path, Site.model_validate(RAW | {"halls": QUICK}))
    before, air = room.caps_w(), room.plant.halls["h"]

    def warmed() -> bool:
        begun_c = air.temperature_c
        room.go_on(30, lambda: air.temperature_c < 35)
        return air.temperature_c > begun_c + 2.5

    fault(lambda: room.suffer(cooling_share={"h": 0.4}))
    fault.proven(warmed, "the hall warms by 1 K in 10 s", within_s=0)
    room.go_on(200, lambda: air.temperature_c < 35)
    after = room.caps_w()
    assert after["p"] + after["r"] < before["p"] + before["r"]
    assert all(after[pool] <= before[pool] for pool in "pr")
    assert after["q"] >= before["q"]
    assert "rising" in room.alarm("over-hall-h")["cause"]
    for _ in range(4):
        room.go_on(150, lambda: air.temperature_c < 35)
        room.daemon.cycle()
        assert room.caps_w()["p"] <= before["p"]
    room.suffer()
    room.go_on(600, lambda: air.temperature_c < 35)
    room.daemon.cycle()
    room.go_on(120, lambda: air.temperature_c < 35)
    assert room.alarm("over-hall-h") is None
    assert room.caps_w()["p"] + room.caps_w()["r"] > after["p"] + after["r"]
    room.close()
