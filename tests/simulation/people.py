"""People: what they commanded, what they were answered, and what must be true of it (I8, I9, I10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from facility.bus.interface import Message
from facility.bus.messages import OverrideResult, OverrideSet, decode
from facility.daemon.governor import Outcome
from facility.overrides.arbitrate import MODES
from facility.site import Site
from tests.simulation.invariants import Broken, shown
from tests.simulation.sites import ROOT
from tests.simulation.wire import Order

WITHIN_S = 2.0
ENDS = ("expired", "superseded", "cleared")


@dataclass(frozen=True)
class Standing:
    """A command that was accepted: what it asked, with the value that acts, until when, and when it was answered (s of the day)."""

    target: str
    asked: OverrideSet
    value: float | None
    until: datetime
    since_s: float


class People:
    """Follows commands, answers and what is shown. Seconds are those of the day, instants those of the service's clock."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._asked: dict[str, tuple[str, OverrideSet]] = {}
        self._due: dict[str, float] = {}
        self.standing: dict[str, Standing] = {}
        self._over: set[str] = set()
        self._maybe: set[str] = set()
        self._shown: dict[str, frozenset[str]] = {}
        self._blind_s = 0.0

    def know(self, message: Message) -> None:
        """Know of a command that somebody gives."""
        target, _, verb = message.topic.removeprefix(f"{ROOT}/override/").rpartition("/")
        if verb == "set":
            request = decode(message.payload, OverrideSet)
            self._asked.setdefault(request.id, (target, request))

    def reached(self, message: Message, at_s: float) -> None:
        """Know of one that has reached the service."""
        if message.payload and not message.retain:
            self._due.setdefault(msgspec.json.decode(message.payload)["id"], at_s + WITHIN_S)

    def hear(self, message: Message, at_s: float) -> None:
        """Hear an answer, a notice, or what is shown."""
        if message.topic.endswith("/state"):
            target, ids = shown(message)
            if again := sorted(ids & self._over):
                raise Broken("I9", f"{', '.join(again)} ended and is shown again on {target}")
            self._shown[target] = ids
            self._maybe -= ids
            return
        result = decode(message.payload, OverrideResult)
        if result.id is None:
            return
        self._due.pop(result.id, None)
        if result.status in ("accepted", "clamped") and result.until is not None:
            target, request = self._asked[result.id]
            self.standing[result.id] = Standing(target, request, result.effective, result.until, at_s)
        elif result.status in ENDS and result.id in self.standing:
            self._over.add(result.id)
            del self.standing[result.id]

    def killed(self) -> None:
        """Whoever was not answered before the process died does not know whether what he said was done: it may have ended another command."""
        if self._due:
            self._maybe |= self.standing.keys()

    def blind(self, at_s: float) -> None:
        """Nothing could be said or shown until now: the service was down, or the broker was."""
        self._blind_s = at_s
        self._due.clear()

    def look(self, at_s: float, now: datetime, outcome: Outcome, newest: Mapping[str, Order]) -> None:
        """See that each command was answered, acts, is shown, and ends."""
        if late := [name for name, due_s in self._due.items() if at_s > due_s]:
            raise Broken("I8", f"{', '.join(late)} got no answer within {WITHIN_S:g} s")
        seen_s = at_s - self._blind_s
        for name, it in list(self.standing.items()):
            past_s = (now - it.until).total_seconds()
            if name in self._maybe:
                if past_s > 0:
                    self._over.add(name)
                    del self.standing[name]
                continue
            showing = name in self._shown.get(it.target, frozenset())
            if past_s > WITHIN_S and seen_s > WITHIN_S:
                raise Broken("I9", f"{name} ended {past_s:.1f} s ago, and nobody was told{' while it is shown' if showing else ''}")
            if past_s < 0 and min(at_s - it.since_s, seen_s) > WITHIN_S and not showing:
                raise Broken("I9", f"{name} was accepted until {it.until} and is not shown")
        if seen_s > WITHIN_S:
            self._modes(at_s, now, outcome)
            self._caps(at_s, now, newest)

    def _acting(self, at_s: float, now: datetime) -> list[Standing]:
        sure = (it for name, it in self.standing.items() if name not in self._maybe)
        return [it for it in sure if now < it.until and at_s - it.since_s > WITHIN_S]

    def _modes(self, at_s: float, now: datetime, outcome: Outcome) -> None:
        """Who drives has MANUAL, unless what was in force cannot go on without harm to the plant, and that is said."""
        drives = any(it.asked.kind in MODES for it in self._acting(at_s, now))
        if drives and outcome.mode != "MANUAL" and not (outcome.mode == "SAFE" and "to go on would break" in outcome.reason):
            raise Broken("I10", f"an operator drives for more than {WITHIN_S:g} s, and it is {outcome}")

    def _caps(self, at_s: float, now: datetime, newest: Mapping[str, Order]) -> None:
        """No order is above the strongest cap that reaches its pool, of equals the lowest; one that was just accepted may act, or not yet."""
        settled = self._acting(at_s, now)
        for pool, order in newest.items():
            hall = self._site.pools[pool].hall
            reach = ("site", f"hall/{hall}", f"pool/{hall}/{pool}")
            winners = [
                min((it for it in several if it.asked.kind == "cap_w" and it.target in reach), key=_strength, default=None)
                for several in (settled, self.standing.values())
            ]
            if winners[0] is None:
                continue
            most_w = max(winner.value or 0.0 for winner in winners if winner is not None)
            lowest_w = self._site.gpu_models[self._site.pools[pool].gpu_model].min_cap_w
            if order.caps.highest_w() > max(most_w, lowest_w):
                said = f"{winners[0].asked.id} by {winners[0].asked.by} says {most_w:g} W"
                raise Broken("I8", f"pool {pool} is sent {order.caps.highest_w()} W, {said}")


def _strength(it: Standing) -> tuple[int, float]:
    """The strongest first."""
    return it.asked.priority, it.value or 0.0
