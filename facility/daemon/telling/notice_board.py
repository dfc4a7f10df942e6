"""Notice board: the plan that is followed, retained on the bus for operators and dashboards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from facility.bus.interface import Bus, Message
from facility.bus.topics import Topics
from facility.daemon.governor import Governor
from facility.decide import Optimised
from facility.forecast import Forecast
from facility.report.current import plan_payload
from facility.site import Site
from facility.snapshot import Job


class NoticeBoard:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site, bus: Bus) -> None:
        self._site, self._bus, self._topic = site, bus, Topics(site.bus.root, site.id).plan()
        self._made: tuple[Sequence[Job], Forecast, Sequence[float]] | None = None
        self._payload = b""

    def made_for(self, jobs: Sequence[Job], forecast: Forecast, kept_back_kw: Sequence[float]) -> None:
        """Know what the plan that is followed from now on was made for, and how far it stays below the import limit in each step."""
        self._made = jobs, forecast, kept_back_kw

    def tell(self, governor: Governor, now: datetime) -> None:
        """Show the plan that is followed, where there is one, and the mode."""
        if isinstance(governor.plan, Optimised) and self._made is not None:
            mode, reason = governor.outcome.mode, governor.outcome.reason
            self._payload = plan_payload(self._site, governor.plan, *self._made, governor.plan_id, now, mode, reason)
            self.republish()

    def republish(self) -> None:
        """Show it again."""
        if self._payload:
            self._bus.publish(Message(self._topic, self._payload, qos=1, retain=True))
