"""A rehearsed plant and the daemon on a bus in memory, under one clock that the test moves: what is true of the plant is known to the test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from facility.simulate.device import Device
from facility.simulate.plant import Plant
from facility.site import Site
from tests.facility.test_daemon import House
from tests.facility.test_rentals import WHOLE

LIVED = Site.model_validate(WHOLE | {
    "grid": {"import_limit_kw": 5}, "feeders": {"main": {"rating_kw": 6}},
    "tariff": {"energy_price_per_mwh": 50},
    "halls": {"h": {"feeder": "main", "base_kw": 0.1, "thermal": {
        "heat_capacity_kwh_per_k": 1, "resistance_k_per_kw": 5, "start_c": 24, "recommended_min_c": 18, "recommended_max_c": 27,
        "allowable_max_c": 35, "cooling_plant": "k",
    }}},
    "cooling_plants": {"k": {
        "feeder": "main", "design_heat_kw": 5, "max_heat_kw": 6, "cop_at_25c": 4.5, "cop_loss_per_k": 0.05, "cop_min": 1.5,
        "min_load_share": 0.1, "free_cooling_full_below_c": 5, "free_cooling_none_above_c": 9, "pump_kw": 0.05, "pump_min_share": 0.2,
        "fan_kw": 0.05, "fan_min_share": 0.15, "misc_kw": 0.02,
    }},
    "batteries": {"b": {
        "feeder": "main", "capacity_kwh": 2, "charge_kw": 0.5, "discharge_kw": 0.5, "efficiency": 0.95, "min_share": 0.1,
        "start_share": 0.5, "wear_price_per_mwh": 10,
    }},
    "sample_jobs": [{"submit_local": "11:30", "duration_h": 2, "gpus": 4, "slack_h": 6, "elastic": True}],
})  # fmt: skip
"""The site of `tests/facility/test_daemon.py` with a cooled hall, a battery and a job of 4 GPUs for two hours; all of it draws up to 4.3 kW."""


@dataclass(frozen=True)
class Moment:
    """What is true at an instant: power from the grid, kW, and the work of jobs done so far, GPU h."""

    at: datetime
    import_kw: float
    done_gpu_h: float


class Rehearsal(House):
    """`truth` is what the plant was at each step, the newest last."""

    def __init__(self, folder: Path, site: Site = LIVED) -> None:
        super().__init__(folder / "journal.sqlite", site)
        self.plant = Plant(site, self.clock.now(), seed=0)
        self.device = Device(self.plant, self.broker.connect(), self.clock)
        self.truth: list[Moment] = []
        self.live(0.5)
        self.daemon.cycle()
        self.live(0.5)

    def live(self, minutes: float, step_s: float = 15.0) -> None:
        """Let time pass, with the guard awake at each step and a plan every five minutes by the clock."""
        for _ in range(round(minutes * 60 / step_s)):
            before = self.clock.now()
            self.clock.advance(step_s)
            self.device.tick()
            self.daemon.upkeep.guard_s -= 1
            self.settle()
            if before.minute // 5 != self.clock.now().minute // 5:
                self.daemon.cycle()
            done_gpu_h = sum(job.done_gpu_h for job in self.plant.scheduler.jobs.values())
            self.truth.append(Moment(self.clock.now(), self.plant.import_kw, done_gpu_h))

    def between(self, start: datetime, end: datetime) -> list[float]:
        """The true power from the grid at each step in [start, end), kW."""
        return [moment.import_kw for moment in self.truth if start <= moment.at < end]

    def plan(self) -> dict[str, Any]:
        told = self.retained("plan/current")
        assert told is not None
        return told
