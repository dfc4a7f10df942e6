"""What operators may ask for: targets, kinds, values and times, checked and clamped. Pure.

| target            | kinds                                                       | value                                     |
|-------------------|-------------------------------------------------------------|-------------------------------------------|
| `site`            | cap_w, import_limit_kw, hold, release, manual, freeze, stop | W that some GPU below can be set to, whole |
| `hall/<id>`       | cap_w, hold, release                                        |                                           |
| `pool/<hall>/<id>`| cap_w, hold, release                                        |                                           |
| `job/<id>`        | cap_w, hold, release, run, pause                            |                                           |
| `grid/<feed>`     | import_limit_kw                                             | kW; above the site's own up to priority 5 |
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Final, Literal

from facility.bus.messages import OverrideSet
from facility.overrides.arbitrate import CRITICAL_PRIORITY, MODES, ORDERS, reach_of_pool
from facility.overrides.proposal import Proposal
from facility.site import GpuModel, Site

Limits = Callable[[Proposal], tuple[float | None, str]]
"""The most that a proposal may ask for now, and why; None where nothing limits it further."""

KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "site": ("cap_w", "import_limit_kw", "hold", "release", "manual", "freeze", "stop"),
    "hall": ("cap_w", "hold", "release"),
    "pool": ("cap_w", "hold", "release"),
    "job": ("cap_w", "hold", "release", "run", "pause"),
    "grid": ("import_limit_kw",),
}

_JOB: Final = re.compile(r"job/[a-z0-9][a-z0-9-]{0,63}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Refused(Exception):
    """The request does not act, for this reason."""

    def __init__(self, reason: str, status: Literal["rejected", "expired"] = "rejected") -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Rules:
    """The rules of one site. `jobs` tells each known job's pool; None: any well-formed job id is taken."""

    site: Site
    jobs: Mapping[str, str] | None = None

    def asked(self, target: str, request: OverrideSet, now: datetime) -> tuple[Proposal, list[str]]:
        """Check a request; give what it asks and, where its end had to be clamped, why. Raises Refused."""
        self._know(target)
        kinds = KINDS[target.partition("/")[0]]
        if request.kind not in kinds:
            raise Refused(f"{request.kind} is not for {target}; there: {', '.join(kinds)}")
        if request.value is not None and not (math.isfinite(request.value) and request.value >= 0):
            raise Refused(f"the value {request.value} is not a finite number of 0 or more")
        if request.priority not in range(1, 17):
            raise Refused(f"priority {request.priority} is not one of 1 (life safety) to 16 (the optimiser)")
        if not request.by.strip():
            raise Refused("nobody signed it; say in `by` who commands")
        start, end, notes = self._interval(request, now)
        value = float(math.floor(request.value)) if request.kind == "cap_w" and request.value is not None else request.value
        return Proposal(request.id, target, request.kind, value, request.priority, start, end, request.by, request.reason), notes

    def clamped(self, asked: Proposal, limits: Limits | None) -> tuple[Proposal, list[str]]:
        """Bring the value into what can act, then below what `limits` allows; say why."""
        if asked.value is None:
            return asked, []
        low, high = self._settable(asked)
        step = self._step_w(asked.target) if asked.kind == "cap_w" else 1
        value, notes = min(max(asked.value, low), high), []
        if value != asked.value:
            notes.append(f"asked {asked.value:g}, {asked.target} takes {low:g} to {high:g}")
        if asked.kind == "cap_w" and value % step:
            value -= value % step
            notes.append(f"asked {asked.value:g}, {asked.target} takes multiples of {step} W")
        limit, why = limits(replace(asked, value=value)) if limits else (None, "")
        if limit is not None and limit < value:
            notes.append(f"asked {asked.value:g}, limited to {limit:g}: {why}")
            value = max(float(math.floor(limit / step) * step), low) if asked.kind == "cap_w" else limit
        return (replace(asked, value=value, asked=asked.value) if notes else asked), notes

    def rivals(self, one: Proposal, other: Proposal) -> bool:
        """Whether `one` reaches all that `other` does and decides the same thing there."""
        return one.target in self._reaching(other.target) and _subject(one) == _subject(other)

    def _know(self, target: str) -> None:
        known = {
            "site": ["site"],
            "hall": [f"hall/{hall}" for hall in self.site.halls],
            "pool": [f"pool/{pool.hall}/{key}" for key, pool in self.site.pools.items()],
            "grid": [f"grid/{self.site.grid.feed}"],
            "job": [f"job/{job}" for job in self.jobs or {}],
        }
        sort = target.partition("/")[0]
        if target in known.get(sort, ()) or (self.jobs is None and _JOB.fullmatch(target)):
            return
        names = known.get(sort) or [name for names in known.values() for name in names]
        near = get_close_matches(target, names, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise Refused(f"unknown target {target}; {meant}known: {', '.join(names[:30])}{', ...' if len(names) > 30 else ''}")

    def _interval(self, request: OverrideSet, now: datetime) -> tuple[datetime, datetime, list[str]]:
        control = self.site.control
        ceiling = timedelta(seconds=control.override_ceiling_s)
        start = whole_ms(request.start or now)
        if start > now + ceiling:
            raise Refused(f"it starts more than {ceiling} from now; send it nearer to its start")
        lasts_s = control.override_default_s if request.ttl_s is None else request.ttl_s
        try:
            end = whole_ms(request.end or start + timedelta(seconds=lasts_s))
        except (OverflowError, ValueError) as error:
            raise Refused(f"ttl_s {lasts_s} gives no end") from error
        if end <= now:
            raise Refused(f"its end, {_clock(end)}, has passed; it is {_clock(now)}", "expired")
        if end <= start:
            raise Refused(f"its end, {_clock(end)}, is not after its start, {_clock(start)}", "expired")
        latest = max(start, whole_ms(now)) + ceiling
        if end > latest:
            return start, latest, [f"asked until {_clock(end)}, an override lasts at most {ceiling}"]
        return start, end, []

    def _settable(self, asked: Proposal) -> tuple[float, float]:
        """Tell the lowest and highest value that can act: W that some GPU under the target takes, or kW."""
        if asked.kind == "import_limit_kw":
            return 0.0, math.inf if asked.priority <= CRITICAL_PRIORITY else self.site.grid.import_limit_kw
        models = self._models(asked.target)
        return float(min(m.min_cap_w for m in models)), float(max(m.max_cap_w for m in models))

    def _step_w(self, target: str) -> int:
        """Tell the step of the caps that some GPU under the target takes, W; each pool takes the multiple of its own below that."""
        return math.gcd(*(model.power_step_w for model in self._models(target)))

    def _models(self, target: str) -> list[GpuModel]:
        """List the GPU models under a target, the whole site's where none is known to be."""
        pool = self._pool(target)
        under = (
            [self.site.pools[pool]] if pool else [p for key, p in self.site.pools.items() if target in reach_of_pool(self.site, key)]
        )
        return [self.site.gpu_models[p.gpu_model] for p in under or self.site.pools.values()]

    def _pool(self, target: str) -> str | None:
        """Name the one pool in which a target lies, where that is known."""
        sort, _, rest = target.partition("/")
        pool = rest.partition("/")[2] if sort == "pool" else (self.jobs or {}).get(rest) if sort == "job" else None
        return pool if pool in self.site.pools else None

    def _reaching(self, target: str) -> set[str]:
        pool = self._pool(target)
        return {target, "site"} | (reach_of_pool(self.site, pool) if pool else set())


def whole_ms(instant: datetime) -> datetime:
    """Cut an instant to the precision in which it is stored."""
    return instant - (instant - _EPOCH) % timedelta(milliseconds=1)


def _subject(proposal: Proposal) -> str:
    """Name what a proposal decides: a cap, a limit, an order to jobs, or the mode."""
    return "order" if proposal.kind in {*ORDERS, "release"} else "mode" if proposal.kind in MODES else proposal.kind


def _clock(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
