"""Hub: the bus, heard in a thread of its own, and frames of all that there is to draw, made once for everybody.

There is a frame each second, for ages grow; where there is news there is one as soon as it stops coming in, but the making of frames takes no more
than a share of the time. A frame is immutable. `Hub.frame` is the newest; who draws compares what it drew last with what is in it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from facility.bus.interface import Bus
from facility.bus.messages import PlanCurrent
from facility.clock import Clock
from facility.console.model import rows
from facility.console.model.glance import Glance, glance, price_at
from facility.console.model.heard import Heard
from facility.console.model.rows import Jobs, Row
from facility.console.model.spend import Spend
from facility.site import Site

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
SOONEST_S: Final = 0.1
"""How long after a frame the next one is made at the soonest."""
SHARE: Final = 0.2
"""The share of the time that frames may take where there is news all the time."""
AT_ONCE: Final = 2000
"""Messages taken in before anything else is looked at."""
LISTEN_S: Final = 0.03
"""How long nothing has come in when news has stopped coming."""


@dataclass(frozen=True)
class Frame:
    """All that there is to draw. `tables` are rows by the name of their table; `away_s` is since when the broker is not reached, s."""

    number: int
    glance: Glance
    tables: dict[str, Sequence[Row]]
    plan: PlanCurrent | None
    away_s: float | None


class Pace:
    """When the next frame is due. Instants are of the clock's stopwatch, s."""

    def __init__(self, now_s: float) -> None:
        self._made_s, self._rest_s, self._news = now_s, EVERY_S, False

    def due(self, now_s: float, *, news: bool) -> bool:
        """Whether one is, where `news` says whether anything came in just now."""
        self._news = self._news or news
        return now_s >= self._made_s + EVERY_S or (self._news and not news and now_s >= self._made_s + self._rest_s)

    def made(self, began_s: float, ended_s: float) -> None:
        """One was made, and that took a while."""
        self._made_s, self._rest_s, self._news = began_s, max(SOONEST_S, (ended_s - began_s) / SHARE), False


class Hub:
    """Hears `bus`, and makes frames until it is closed. `answered` is told answers by the name of their topic, in the hub's thread."""

    def __init__(self, site: Site, bus: Bus, clock: Clock, answered: Callable[[str, dict[str, str], bytes], None]) -> None:
        self.site, self._bus, self._clock = site, bus, clock
        self.zone = ZoneInfo(site.timezone)
        self.heard = Heard(site, clock, answered)
        self.spend = Spend(self.zone)
        self._jobs = Jobs(self.heard)
        self._rows_of_jobs: Sequence[Row] = ()
        self._connected_s = clock.elapsed_s()
        self._over = threading.Event()
        self._watch: Callable[[], object] | None = None
        self._before: tuple[datetime, float, float] | None = None
        for pattern in self.heard.patterns:
            bus.subscribe(pattern, 1)
        self.frame = self._frame(0)
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()

    def watch(self, told: Callable[[], object] | None) -> None:
        """Have somebody told of each new frame, in the hub's thread; None: nobody any more."""
        self._watch = told

    def spent_before(self, since: datetime, cost: float, energy_kwh: float) -> None:
        """Know what a history tells of the day before the console began to look."""
        self._before = since, cost, energy_kwh

    def now(self) -> datetime:
        """The site's instant, UTC."""
        return self.heard.beat.now()

    def close(self) -> None:
        """Stop; the bus is the caller's."""
        self._over.set()
        self._thread.join(5)

    def _run(self) -> None:
        pace = Pace(self._clock.elapsed_s())
        while not self._over.is_set():
            try:
                told = self._bus.drain(LISTEN_S, AT_ONCE)
                for message in told:
                    self.heard.hear(message)
                if pace.due(began_s := self._clock.elapsed_s(), news=bool(told)):
                    self.frame = self._frame(self.frame.number + 1)
                    pace.made(began_s, self._clock.elapsed_s())
                    if (watch := self._watch) is not None:
                        watch()
            except Exception:
                log.exception("the console goes on without what it did not understand")

    def _frame(self, number: int) -> Frame:
        heard = self.heard
        if self._bus.connected:
            self._connected_s = self._clock.elapsed_s()
        if self._jobs.refresh():
            self._rows_of_jobs = self._jobs.rows()
        now = heard.beat.now()
        if heard.daemon is not None:  # before, the site's instant is not known
            meter = heard.value(f"site/meter/{self.site.grid.feed}/import_kw")
            self.spend.look(now, meter, price_at(self.site, heard.plan, now))
            before, self._before = self._before, None
            if before is not None:
                self.spend.begin(*before)
        away_s = self._clock.elapsed_s() - self._connected_s
        return Frame(
            number,
            glance(heard, self.spend, self._jobs.counts()),
            {
                "pools": tuple(rows.pools(heard)),
                "jobs": self._rows_of_jobs,
                "tenants": tuple(rows.tenants(heard, self._jobs)),
                "feeders": tuple(rows.feeders(heard)),
                "overrides": tuple(rows.overrides(heard)),
                "alarms": tuple(rows.alarms(heard)),
            },
            heard.plan,
            away_s if away_s > 1.5 * EVERY_S or not self._bus.connected else None,
        )

