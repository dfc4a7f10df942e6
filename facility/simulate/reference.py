"""Reference: the same simulated site without us, to compare with - no caps, every job starts as soon as its GPUs are free."""

from __future__ import annotations

from datetime import datetime, timedelta

from facility.bus.messages import JobDesired
from facility.sensors import Sensor
from facility.simulate.plant import Plant
from facility.site import Site


class Reference:
    """An uncontrolled twin of the rehearsal plant from `start` on. `import_kw` is its power at the grid meter."""

    def __init__(self, site: Site, start: datetime, seed: int = 0) -> None:
        self._plant = Plant(site, start, seed)
        self._told: set[str] = set()

    @property
    def import_kw(self) -> float:
        """Power at the grid meter, kW."""
        return self._plant.import_kw

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        """What can be read there."""
        return self._plant.sensors

    def read(self, sensor: Sensor) -> float:
        """Read one instrument, noise included, in the sensor's unit."""
        return self._plant.read(sensor)

    @property
    def now(self) -> datetime:
        """How far it has come, UTC."""
        return self._plant.now

    def advance(self, until: datetime) -> None:
        """Let time pass up to `until`."""
        for job in list(self._plant.scheduler.jobs.values()):
            if job.id not in self._told:
                self._told.add(job.id)
                now = self._plant.now
                always = now + timedelta(days=365)
                order = JobDesired(epoch=1, seq=1, issued_at=now, valid_until=always, action="run", gpus=job.gpus)
                self._plant.scheduler.obey(job.id, order, now)
        seconds = (until - self._plant.now).total_seconds()
        if seconds > 0:
            self._plant.step(seconds)
