"""Trust: certificates that end are an alarm while there is time to mend it."""

from __future__ import annotations

from datetime import datetime

from facility.bus.certificates import ending
from facility.daemon.telling.alarms import Alarms
from facility.site import Site

CERTIFICATES = "certificates"


class Trust:
    """The site file's certificates; to be used under the daemon's lock."""

    def __init__(self, site: Site, alarms: Alarms) -> None:
        self._bus, self._alarms = site.bus, alarms

    def look(self, now: datetime) -> None:
        """Raise the alarm where one has ended, ends soon or cannot be read; clear it when none does."""
        if faults := tuple(ending(self._bus, now)):
            cause, remedy = ("; ".join(getattr(fault, part) for fault in faults)[:1000] for part in ("found", "remedy"))
            self._alarms.stand(CERTIFICATES, cause, now, place=faults[0].place, remedy=remedy)
        else:
            self._alarms.clear(CERTIFICATES, now)
