"""Exchange: the daemon's part in NVIDIA DSX Exchange, where the site file's profile says so: flexible load and heartbeats."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from facility.bus.interface import Bus, Message
from facility.daemon.guard import SETTLE
from facility.daemon.holding.overrule import import_kw
from facility.daemon.neighbours.flex import Flex
from facility.daemon.neighbours.heartbeats import Heartbeats
from facility.daemon.recording.account import Account
from facility.daemon.situation import Situation
from facility.daemon.telling.alarms import Alarms
from facility.decision import Decision
from facility.dsx.powerstate import Seen
from facility.events import Event
from facility.journal.journal import Journal
from facility.site import Site


class Exchange:
    """To be used under the daemon's lock. Without the profile it hears nothing and says nothing. InputError for keys of no use."""

    def __init__(self, site: Site, bus: Bus, journal: Journal, alarms: Alarms, account: Account) -> None:
        dsx = site.bus.dsx if site.bus.profile == "dsx" else None
        self._flex = None if dsx is None else Flex(site, dsx, bus, journal, alarms, account)
        self._decision: Decision | None = None
        self._since, self._expected_kw = datetime.min.replace(tzinfo=UTC), 0.0
        self._heartbeats = None if dsx is None else Heartbeats(bus, alarms, dsx.integration)

    @property
    def patterns(self) -> tuple[tuple[str, int], ...]:
        """What to subscribe to beside readings, and with which quality of service."""
        flex = () if self._flex is None else self._flex.patterns
        return (*flex, *((pattern, 1) for pattern in (self._heartbeats.patterns if self._heartbeats is not None else ())))

    @property
    def events(self) -> tuple[Event, ...]:
        """The load targets that stand, as grid events."""
        return () if self._flex is None else self._flex.events

    def hears(self, topic: str) -> bool:
        """Whether a message is for `answer`."""
        heartbeats, flex = self._heartbeats, self._flex
        return (flex is not None and flex.hears(topic)) or (heartbeats is not None and heartbeats.hears(topic))

    def answer(self, message: Message, now: datetime) -> bool:
        """Take a message in; True where other load targets stand because of it."""
        if self._heartbeats is not None and self._heartbeats.hears(message.topic):
            self._heartbeats.hear(message, now)
            return False
        return self._flex is not None and self._flex.answer(message, now)

    def follow(
        self, here: Situation, decision: Decision | None, *, waiting: bool, plans: int, defiant: Mapping[str, tuple[str, ...]]
    ) -> bool:
        """Tell how the load targets are kept while `decision` is in force, `waiting` for read-backs, after so many `plans`; beat.

        `defiant` are the pools that enforce more than they were sent, with the names of their GPUs. True where another target holds
        from now on.
        """
        if self._heartbeats is not None:
            self._heartbeats.keep_time(here.now)
        if self._flex is None or decision is None:
            return False
        calculated_kw = self._calculated_kw(here, decision, waiting=waiting)
        caps_w = {caps.pool: max([caps.cap_w, *(group.cap_w for group in caps.groups)]) for caps in decision.pools}
        hints = tuple((gpu, caps_w[pool]) for pool, gpus in defiant.items() if pool in caps_w for gpu in gpus)
        return self._flex.look(Seen(here.now, calculated_kw, here.snapshot.import_kw, waiting, plans, hints))

    def _calculated_kw(self, here: Situation, decision: Decision, *, waiting: bool) -> float:
        """The load that is reckoned with: what `decision` was expected to draw when it came, and once it has settled what the meter shows."""
        if decision is not self._decision:
            self._decision, self._since = decision, here.now
            self._expected_kw = import_kw(here.site, decision, here.snapshot, here.outdoor_c)
        measured_kw, settled = here.snapshot.import_kw, not waiting and not self._since <= here.now < self._since + SETTLE
        return self._expected_kw if measured_kw is None or not settled else measured_kw

    def republish(self) -> None:
        """Tell the power state again after a reconnect."""
        if self._flex is not None:
            self._flex.republish()
