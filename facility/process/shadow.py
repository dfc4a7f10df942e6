"""Shadow: what a daemon would do beside the one that runs, or beside none, for people who are to trust it first.

It reads, decides, verifies and writes a journal of its own as always, on a bus that says nothing (`facility.bus.mute`). What it would have
set stands here against what is enforced, and what its plans expected to draw against what the meter showed in the same minutes. That is an
estimate: a plan expects and a meter knows, each of its plans begins from what really happened before, and work that it would have put
off is not counted as owed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from facility.bus.interface import Message
from facility.bus.messages import Alarm, CapDesired, OverrideResult, PlanCurrent, decode
from facility.bus.topics import Topics
from facility.daemon.rooms import Rooms
from facility.site import Site

EVERY = timedelta(seconds=1)
LONGEST = timedelta(minutes=1)
"""What lies between two looks further apart is not counted."""
MOST_TOLD = 20
RESULTS = frozenset({"override_result", "contract_result", "position_result"})


@dataclass
class Means:
    """Sums over time of what would have been set in a pool and what is enforced there, W s, for the time in which both are known, s."""

    would_w_s: float = 0.0
    is_w_s: float = 0.0
    seconds: float = 0.0


@dataclass
class Shadow:
    """Collects; `kept` takes every message that was not sent, `look` the rooms now and then."""

    site: Site
    began: datetime | None = None
    looked: datetime | None = None
    messages: int = 0
    modes: dict[str, float] = field(default_factory=dict)
    caps_w: dict[str, int] = field(default_factory=dict)
    pools: dict[str, Means] = field(default_factory=dict)
    alarms: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    overruled: list[str] = field(default_factory=list)
    plan: PlanCurrent | None = None
    metered_kwh: float = 0.0
    planned_kwh: float = 0.0
    saved_money: float | None = 0.0
    compared_h: float = 0.0

    def kept(self, message: Message) -> None:
        """Know of a message that was not sent."""
        self.messages += 1
        name, ids = Topics(self.site.bus.root, self.site.id).parse(message.topic) or ("", {})
        if not message.payload:
            return
        if name == "cap_desired":
            caps = decode(message.payload, CapDesired)
            self.caps_w[ids["pool"]] = max([caps.cap_w, *(group.cap_w for group in caps.groups)])
        elif name == "plan":
            self.plan = decode(message.payload, PlanCurrent)
        elif name == "alarm":
            self.alarms.setdefault(ids["alarm"], decode(message.payload, Alarm).cause)
        elif name in RESULTS:
            self._answered(decode(message.payload, OverrideResult))

    def look(self, rooms: Rooms, now: datetime) -> None:
        """Compare what would be with what is, since the last look."""
        self.began = self.began or now
        last, self.looked = self.looked, now
        if last is None or not timedelta(0) < now - last <= LONGEST:
            return
        seconds, snapshot, governor = (now - last).total_seconds(), rooms.known.situation(now).snapshot, rooms.governor
        self.modes[governor.outcome.mode] = self.modes.get(governor.outcome.mode, 0.0) + seconds
        for pool, cap_w in self.caps_w.items():
            if (enforced_w := snapshot.enforced_cap_w.get(pool)) is not None:
                sums = self.pools.setdefault(pool, Means())
                sums.would_w_s += cap_w * seconds
                sums.is_w_s += enforced_w * seconds
                sums.seconds += seconds
        steps = () if self.plan is None else self.plan.steps
        step = next((step for step in steps if step.time <= now < step.time + timedelta(hours=step.hours)), None)
        if step is not None and snapshot.import_kw is not None and governor.outcome.mode in ("NORMAL", "HOLD"):
            hours = seconds / 3600
            self.compared_h += hours
            self.metered_kwh += snapshot.import_kw * hours
            self.planned_kwh += step.import_kw * hours
            if step.price_per_mwh is None:
                self.saved_money = None
            elif self.saved_money is not None:
                self.saved_money += (snapshot.import_kw - step.import_kw) * hours * step.price_per_mwh / 1000

    def due(self, now: datetime) -> bool:
        """Whether it is time to look."""
        return self.looked is None or abs(now - self.looked) >= EVERY

    def lasted(self) -> timedelta:
        """For how long it has looked."""
        return timedelta(0) if self.began is None or self.looked is None else self.looked - self.began

    def as_fields(self, cycles: Counter[str]) -> dict[str, Any]:
        """What programs read; `cycles` by how they ended. Energy in kWh, money in the site's currency, caps in W, shares of the time."""
        told_s = sum(self.modes.values()) or 1.0
        return {
            "site": self.site.id,
            "lasted_s": round(self.lasted().total_seconds(), 1),
            "cycles": dict(cycles),
            "modes": {mode: round(seconds / told_s, 4) for mode, seconds in self.modes.items()},
            "would_have_published": self.messages,
            "published": 0,
            "caps_w": {
                pool: {"would": round(sums.would_w_s / sums.seconds, 1), "is": round(sums.is_w_s / sums.seconds, 1)}
                for pool, sums in sorted(self.pools.items())
            },
            "estimate": {
                "compared_h": round(self.compared_h, 4),
                "metered_kwh": round(self.metered_kwh, 3),
                "planned_kwh": round(self.planned_kwh, 3),
                "less_kwh": round(self.metered_kwh - self.planned_kwh, 3),
                "less_money": None if self.saved_money is None else round(self.saved_money, 4),
                "currency": self.site.currency,
            },
            "commands": dict(self.answers),
            "overruled": self.overruled,
            "alarms": self.alarms,
        }

    def as_lines(self, cycles: Counter[str]) -> Iterator[str]:
        """What people read."""
        told = self.as_fields(cycles)
        ended = ", ".join(f"{many} {how}" for how, many in cycles.items()) or "none"
        modes = ", ".join(f"{mode} {100 * share:.0f} %" for mode, share in told["modes"].items())
        yield f"shadow of {self.site.id} for {self.lasted()}: cycles: {ended}; {modes or 'no mode yet'}"
        yield f"{self.messages:,} messages would have been published; none was"
        energy = told["estimate"]
        if self.compared_h:
            money = "" if energy["less_money"] is None else f" and {energy['less_money']:,.2f} {self.site.currency}"
            yield f"import in {self.compared_h:.2f} h: metered {self.metered_kwh:,.1f} kWh, planned {self.planned_kwh:,.1f} kWh"
            yield f"an estimate: {energy['less_kwh']:,.1f} kWh{money} less; plans expect, and work that they put off is not counted as owed"
        else:
            yield "import: nothing to compare, for the meter or a plan is missing"
        for pool, mean in told["caps_w"].items():
            yield f"cap of {pool}: would have been {mean['would']:,.0f} W in the mean, {mean['is']:,.0f} W was enforced"
        commands = ", ".join(f"{many} {status}" for status, many in self.answers.items())
        yield f"commands it would have answered: {commands or 'none'}; what was commanded before it began it does not know"
        yield from (f"would have overruled: {words}" for words in self.overruled)
        yield from (f"would have raised the alarm {name}: {cause}" for name, cause in self.alarms.items())

    def _answered(self, result: OverrideResult) -> None:
        self.answers[result.status] += 1
        if result.status in {"clamped", "rejected"} and len(self.overruled) < MOST_TOLD:
            self.overruled.append(f"{result.id}: {result.status}: {result.reason}")
