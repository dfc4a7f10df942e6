"""Billing: which readings of the grid's meter count for its billing intervals.

One that leapt counts when the next one confirms it, at its own instant; a spike and a meter that is stuck never do. So the peak of the month,
which allows as much again, is none that a sensor made up.
"""

from __future__ import annotations

from datetime import timedelta

from facility.site import Site
from facility.tariff import billing_interval, charges, in_window
from facility.telemetry.meter import Meter, Metered
from facility.telemetry.readings import Reading
from facility.telemetry.track import Track


class Billing:
    """The billing `meter` of a site, by its tariff's intervals and windows."""

    def __init__(self, site: Site, metered: Metered | None = None) -> None:
        self.meter = Meter(
            site.timezone,
            metered,
            begin=lambda instant: billing_interval(site, instant),
            length=timedelta(minutes=site.tariff.billing_interval_min),
            charged=lambda interval: [name for name, charge in charges(site).items() if in_window(site, charge, interval)],
        )
        self._unconfirmed: tuple[Reading, int] | None = None

    def take(self, reading: Reading, track: Track, holds: timedelta) -> None:
        """Count a reading, which the meter's `track` has taken in; it holds for `holds` at most."""
        waiting, self._unconfirmed = self._unconfirmed, None
        if track.leapt_from is not None:
            self._unconfirmed = (reading, track.spikes)
        elif not track.stuck:
            if waiting is not None and waiting[1] == track.spikes:
                self.meter.read(waiting[0].value, waiting[0].at, holds)
            self.meter.read(reading.value, reading.at, holds)
