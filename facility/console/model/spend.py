"""Spend: what the energy has cost since local midnight, as far as it was seen.

cost += metered import * price * hours        at each look; a meter that is silent longer than PATIENCE adds nothing, and nothing is guessed
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

PATIENCE: Final = timedelta(minutes=15)


class Spend:
    """Adds up by looks; begins again at local midnight. `since` says from when on it knows, None: from nothing yet."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self.since: datetime | None = None
        self.cost = self.energy_kwh = 0.0
        self._last: tuple[datetime, float, float] | None = None

    def look(self, now: datetime, import_kw: float | None, price_per_mwh: float | None) -> None:
        """Take what is metered, kW, and paid, money/MWh, at the site's instant `now`; None where nobody knows."""
        last, self._last = self._last, None
        if self.since is not None and now.astimezone(self._zone).date() != self.since.astimezone(self._zone).date():
            self.since, self.cost, self.energy_kwh = None, 0.0, 0.0
        if import_kw is None or price_per_mwh is None:
            return
        self._last = now, import_kw, price_per_mwh
        if self.since is None:
            self.since = now
        elif last is not None and timedelta() < now - last[0] <= PATIENCE:
            hours = (now - last[0]) / timedelta(hours=1)
            self.energy_kwh += last[1] * hours
            self.cost += last[1] * hours * last[2] / 1000

    def begin(self, since: datetime, cost: float, energy_kwh: float) -> None:
        """Know what a history tells of the time before the first look."""
        self.since = since
        self.cost += cost
        self.energy_kwh += energy_kwh
