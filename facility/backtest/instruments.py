"""Instruments: what can be seen of a plant at an instant, as the daemon's telemetry tells it: the median of three noisy readings, and of
power also the newest where that is higher.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from facility.backtest.metering import Metering
from facility.simulate.plant import Plant
from facility.simulate.scheduler import RehearsedJob
from facility.snapshot import Job, Snapshot
from facility.telemetry.latest import BY_POINT


class Instruments:
    """The meters of `plant`, and its scheduler's word of `jobs`, by id; `metering` has what was billed."""

    def __init__(self, plant: Plant, jobs: Mapping[str, Job], metering: Metering) -> None:
        self._plant, self._jobs, self._metering = plant, jobs, metering
        self._zone = ZoneInfo(plant.site.timezone)

    def snapshot(self) -> Snapshot:
        """Read everything once."""
        plant, now = self._plant, self._plant.now
        read: dict[str, dict[str, float]] = {name: {} for name in BY_POINT.values()}
        feeder_high_kw: dict[str, float] = {}
        import_kw = import_high_kw = outdoor_c = None
        for sensor in plant.sensors:
            name = BY_POINT.get((sensor.asset_type, sensor.point))
            if sensor.redundant_to or (name is None and sensor.asset_type not in ("meter", "weather")):
                continue
            newest, *others = (plant.read(sensor) for _ in range(3))
            settled = sorted((newest, *others))[1]
            if name is not None:
                read[name][sensor.asset] = settled
                if name == "feeder_kw":
                    feeder_high_kw[sensor.asset] = max(settled, newest)
            elif sensor.asset_type == "meter":
                import_kw, import_high_kw = settled, max(settled, newest)
            else:
                outdoor_c = settled
        kwh, seconds = self._metering.running()
        peaks_kw = self._metering.peaks_kw(self._month(now))
        return Snapshot(
            at=now,
            jobs=self.jobs(),
            hall_c=read["hall_c"],
            battery_kwh=read["battery_kwh"],
            thermal_store_kwh=read["thermal_store_kwh"],
            pool_kw=read["pool_kw"],
            cooling_kw=read["cooling_kw"],
            feeder_kw=read["feeder_kw"],
            feeder_high_kw=feeder_high_kw,
            import_kw=import_kw,
            import_high_kw=import_high_kw,
            outdoor_c=outdoor_c,
            peaks_so_far_kw=peaks_kw,
            interval_kwh=kwh if seconds else None,
            interval_s=seconds,
            enforced_cap_w={name: pool.enforced_cap_w for name, pool in plant.pools.items()},
        )

    def jobs(self) -> tuple[Job, ...]:
        """The jobs that are submitted and not done."""
        return tuple(self._job(job) for job in self._plant.scheduler.jobs.values() if job.finished is None)

    def _job(self, job: RehearsedJob) -> Job:
        told = self._jobs[job.id]
        left_gpu_h = max(told.work_gpu_h - job.done_gpu_h, 0.0)
        return replace(told, work_gpu_h=left_gpu_h, running=job.state == "running", running_since=job.running_since)

    def _month(self, now: datetime) -> str:
        return now.astimezone(self._zone).strftime("%Y-%m")
