"""The site at one instant, as far as it is known. Missing is a value: None, never a guess.

Where temperatures and stored energy are not heard any more, what stands in for them is the worst that they may have become since
(`facility.telemetry.stand_in`); of power nothing stands here that is not measured. `doubts` names every such value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from facility.verdict import Doubt


@dataclass(frozen=True)
class Job:
    """Work to finish by a deadline; it may wait. Instants are UTC.

    `work_gpu_h` is the work left in GPU hours at relative speed 1. `running` is what the scheduler last reported: True
    while its GPUs are held, False while it waits, None when nobody told. `pause_cost_gpu_h` is what each GPU loses when the
    job stops and starts again; None: the site's. `min_run_h` is how long a rigid job runs at least once it does, None: the site's,
    and `running_since` since when it runs, None where nobody knows. `other_pools` are those in which it may run instead, of the same GPU model.
    """

    id: str
    pool: str
    curve: str
    gpus: int
    work_gpu_h: float
    submit: datetime
    deadline: datetime
    tenant: str | None = None
    contract: str | None = None
    elastic: bool = False
    running: bool | None = None
    pause_cost_gpu_h: float | None = None
    min_run_h: float | None = None
    running_since: datetime | None = None
    other_pools: tuple[str, ...] = ()

    def due(self, at: datetime) -> datetime:
        """Its deadline; of a job that is late at `at`, when all its GPUs at full speed could have it done.

        The latter where its scheduler told where it stands: what nobody tells of may long be gone.
        """
        is_late = self.deadline <= at and self.running is not None
        return at + timedelta(hours=self.work_gpu_h / self.gpus) if is_late else self.deadline


@dataclass(frozen=True)
class Snapshot:
    """What was measured and reported at `at` (UTC). A key that is absent was not measured."""

    at: datetime
    jobs: tuple[Job, ...] = ()
    hall_c: Mapping[str, float] = field(default_factory=dict)
    """Temperature by hall, degC."""
    battery_kwh: Mapping[str, float] = field(default_factory=dict)
    """Energy stored by battery, kWh."""
    thermal_store_kwh: Mapping[str, float] = field(default_factory=dict)
    """Cold stored by cooling plant with a tank, kWh."""
    pool_kw: Mapping[str, float] = field(default_factory=dict)
    """IT power by pool, hosts included, kW."""
    pool_every_s: Mapping[str, float] = field(default_factory=dict)
    """Time between two readings of it, by pool, s; only where it is longer than meters usually take (`facility.sensors.PERIOD_S`)."""
    cooling_kw: Mapping[str, float] = field(default_factory=dict)
    """Electric power by cooling plant, kW."""
    feeder_kw: Mapping[str, float] = field(default_factory=dict)
    """Power into each feeder, kW; what hangs on it where that is measured and the feeder is not."""
    feeder_high_kw: Mapping[str, float] = field(default_factory=dict)
    """The most that it may be now, its newest reading included, kW: a guard does not wait for a second one."""
    import_kw: float | None = None
    """Power at the grid meter, as the last readings settle, kW; what hangs on it where that is measured and the meter is not."""
    import_high_kw: float | None = None
    """As `feeder_high_kw`, kW. None: nothing measures it."""
    outdoor_c: float | None = None
    slow_hours_used: Mapping[str, float] = field(default_factory=dict)
    """Hours of its budget that each contract has used in the running day, week or month; 0 where nobody counted."""
    genset_on_since: Mapping[str, datetime] = field(default_factory=dict)
    """Since when each genset runs that does, UTC; one that is absent is off."""
    genset_hours_run: Mapping[str, float] = field(default_factory=dict)
    """Hours that each genset ran in the running calendar year; 0 where nobody counted."""
    peak_so_far_kw: float = 0.0
    """Highest billing-interval mean of the month until now, kW."""
    peaks_so_far_kw: Mapping[str, float] = field(default_factory=dict)
    """The same in the window of a demand charge, by its id, kW; one that is absent has `peak_so_far_kw`."""
    interval_kwh: float | None = None
    """Energy metered in the running billing interval, kWh; None: not told."""
    interval_s: float = 0.0
    """How long it was metered, s."""
    enforced_cap_w: Mapping[str, int] = field(default_factory=dict)
    """Highest cap that agents reported as enforced, by pool, W."""
    gone_gpus: Mapping[str, int] = field(default_factory=dict)
    """GPUs that the agent of a pool says are gone, beside those in fixed maintenance; a pool that is absent has lost none."""
    stale: tuple[str, ...] = ()
    """Names of sensors that should have spoken and did not."""
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    """Why sensors are not believed as they are, and what is used in their place, by key; one that is absent is good."""
