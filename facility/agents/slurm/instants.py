"""Instants: Slurm's clock and the site's, which are one but in rehearsals, where the site's runs `speed` times as fast.

site = epoch_site + (slurm - epoch_slurm) * speed
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from facility.clock import Clock, ScaledClock


@dataclass(frozen=True)
class Instants:
    """From one clock to the other."""

    epoch_slurm: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    epoch_site: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    speed: float = 1.0

    @classmethod
    def of(cls, clock: Clock) -> Instants:
        """Those of a site's clock."""
        if not isinstance(clock, ScaledClock):
            return cls()
        return cls(datetime.fromtimestamp(clock.epoch_real_s, UTC), clock.epoch_sim, clock.speed)

    def site(self, slurm: datetime) -> datetime:
        """The site's instant at one of Slurm's."""
        return self.epoch_site + (slurm - self.epoch_slurm) * self.speed

    def slurm(self, site: datetime) -> datetime:
        """Slurm's instant at one of the site's."""
        return self.epoch_slurm + (site - self.epoch_site) / self.speed

    def hours(self, slurm_s: float) -> float:
        """The site's hours that so many of Slurm's seconds are."""
        return timedelta(seconds=slurm_s).total_seconds() * self.speed / 3600
