"""Arbitration: proposals by priority, turned into bounds for each step of the horizon. Pure.

Of the proposals that reach a pool, a job or the grid in a step, the one with the smallest priority number decides; of
equals the one that draws less: the lower cap, the lower limit, hold before run. A target does not win by being more
specific, only by its priority. Step 0 is now: what is in force at `now` counts. In a later step everything counts that
touches it, so a cap that ends inside an hour is planned for the whole hour.

    import limit = min over the step of  min(site's limit, windows by local clock, winner)     priority > 5
                                         winner                                                priority <= 5
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from facility.overrides.proposal import Proposal
from facility.site import Site
from facility.windows import inside, minutes

Mode = Literal["normal", "freeze", "manual", "stop"]

CRITICAL_PRIORITY: Final = 5
"""Up to this priority (critical equipment) an import limit may be raised above the site's own."""

MODES: Final[Mapping[str, Mode]] = {"stop": "stop", "manual": "manual", "freeze": "freeze"}
"""Kinds that set the mode; of equal priorities the earlier one decides."""

ORDERS: Final[Mapping[str, str]] = {"hold": "hold", "pause": "hold", "run": "run"}
"""What a job is told by each kind; of equal priorities the earlier one decides, for it draws less."""

_MILDNESS: Final = {kind: float(i) for kinds in (MODES, ORDERS) for i, kind in enumerate(kinds)}


@dataclass(frozen=True)
class Bounds:
    """What people commanded, a value per step [edges[i], edges[i+1]); None where nobody commands.

    Every pool has an entry. A job has one where a proposal names it; what is said there is already weighed against its
    pool, hall and site, and stands in place of the pool's.
    """

    pool_cap_w: Mapping[str, tuple[float | None, ...]]
    """Cap by pool, W, inside the settable range of its GPU model."""
    job_cap_w: Mapping[str, tuple[float | None, ...]]
    """Cap by job, W."""
    import_limit_kw: tuple[float, ...]
    """Most that may be drawn from the grid, kW."""
    job_orders: Mapping[str, tuple[str | None, ...]]
    """`hold` or `run` by job."""
    held_pools: Mapping[str, tuple[bool, ...]]
    """Whether the jobs of a pool wait, by pool."""
    mode: Mode
    """What is in force at `now`."""
    reasons: Mapping[str, str]
    """Who commands what until when, in words, by pool, job and `grid`."""
    event_target_kw: tuple[float | None, ...] = ()
    """Most that a grid event allows, kW; None in steps that none calls, () where there is none."""
    kept_back_kw: tuple[float, ...] = ()
    """What `import_limit_kw` is below what may be drawn, for what plans do not foresee, kW; () where it is what may be drawn."""
    position_kw: tuple[float | None, ...] = ()
    """Power that was committed a day ahead, kW; None in steps that are not committed, () where nothing is."""


def bounds(
    site: Site,
    proposals: Sequence[Proposal],
    now: datetime,
    edges: Sequence[datetime],
    *,
    jobs: Mapping[str, str] | None = None,
) -> Bounds:
    """Weigh `proposals` into bounds for the `len(edges) - 1` steps; `edges[0] <= now < edges[1]`, UTC.

    `jobs` tells the pool of each job by job id: without it, a proposal on a pool or hall is not weighed against one on a
    job inside. The order of the proposals does not matter, and those that ended by `now` do not act.
    """
    live = [proposal for proposal in proposals if proposal.end > now]
    steps = _Steps(now, tuple(edges))
    if not live:
        return _uncommanded(site, steps)
    places = jobs or {}
    wishes = {
        pool: _Wishes([p for p in live if p.target in reach_of_pool(site, pool)], _range(site, pool)) for pool in site.pools
    }
    named = sorted({p.target.removeprefix("job/") for p in live if p.target.startswith("job/")})
    for job in named:
        pool = places.get(job)
        reach = {f"job/{job}", "site"} | (reach_of_pool(site, pool) if pool in site.pools else set())
        wishes[f"job/{job}"] = _Wishes([p for p in live if p.target in reach], _range(site, pool))
    caps = {key: wish.caps(steps) for key, wish in wishes.items()}
    orders = {key: wish.orders(steps) for key, wish in wishes.items()}
    grid = [p for p in live if p.kind == "import_limit_kw" and p.target in {"site", f"grid/{site.grid.feed}"}]
    modes = [p for p in live if p.kind in MODES and p.active(now)]
    return Bounds(
        pool_cap_w={pool: _values(caps[pool]) for pool in site.pools},
        job_cap_w={job: _values(caps[f"job/{job}"]) for job in named},
        import_limit_kw=_import_limits_kw(site, grid, steps),
        job_orders={job: tuple(None if p is None else ORDERS[p.kind] for p in orders[f"job/{job}"]) for job in named},
        held_pools={pool: tuple(p is not None for p in orders[pool]) for pool in site.pools},
        mode=MODES[min(modes, key=rank).kind] if modes else "normal",
        reasons={
            key.removeprefix("job/"): text
            for key in wishes
            if (text := _words([*(p for _, p in filter(None, caps[key])), *filter(None, orders[key])]))
        }
        | ({"grid": text} if (text := _words(filter(None, steps.firsts(grid)))) else {}),
    )


def rank(proposal: Proposal) -> tuple[int, float, str]:
    """Sort proposals of one sort (caps, limits, orders, modes), the one that decides first: by priority, then what draws less.

    The id only makes the reason that is told independent of the order of the proposals.
    """
    return proposal.priority, _MILDNESS.get(proposal.kind, 0.0) if proposal.value is None else proposal.value, proposal.id


def limit_at(site: Site, instant: datetime) -> float:
    """Tell the site's own import limit at an instant, kW: the connection's, lowered by the windows of the local clock."""
    if not site.grid.limit_windows:
        return site.grid.import_limit_kw
    local = instant.astimezone(ZoneInfo(site.timezone)).strftime("%H:%M:%S")
    return min([site.grid.import_limit_kw, *(w.import_limit_kw for w in site.grid.limit_windows if inside(w, local))])


def reach_of_pool(site: Site, pool: str) -> set[str]:
    """Name the targets whose proposals reach a pool: the pool itself, its hall and the site."""
    return {"site", f"hall/{site.pools[pool].hall}", f"pool/{site.pools[pool].hall}/{pool}"}


@dataclass(frozen=True)
class _Steps:
    """The steps of the horizon and what touches them."""

    now: datetime
    edges: tuple[datetime, ...]

    def __len__(self) -> int:
        return len(self.edges) - 1

    def touching(self, i: int, proposals: Iterable[Proposal]) -> list[Proposal]:
        """List those that count in step i."""
        if i == 0:
            return [p for p in proposals if p.active(self.now)]
        return [p for p in proposals if p.start < self.edges[i + 1] and p.end > self.edges[i]]

    def firsts(self, proposals: Sequence[Proposal]) -> list[Proposal | None]:
        """Tell which of them decides in each step."""
        if not proposals:
            return [None] * len(self)
        return [min(self.touching(i, proposals), key=rank, default=None) for i in range(len(self))]


@dataclass(frozen=True)
class _Wishes:
    """The proposals that reach one pool or job, and the caps its GPUs can be set to: lowest, highest and step, W."""

    proposals: list[Proposal]
    settable_w: tuple[int, int, int]

    def caps(self, steps: _Steps) -> list[tuple[float, Proposal] | None]:
        low, high, step = self.settable_w
        caps = [p for p in self.proposals if p.kind == "cap_w"]
        winners = steps.firsts(caps)
        return [None if p is None or p.value is None else (min(max(p.value - p.value % step, low), high), p) for p in winners]

    def orders(self, steps: _Steps) -> list[Proposal | None]:
        return steps.firsts([p for p in self.proposals if p.kind in ORDERS])


def _range(site: Site, pool: str | None) -> tuple[int, int, int]:
    """Tell the settable caps of a pool's GPUs, W: lowest, highest and step; the whole site's where the pool is not known."""
    pools = [site.pools[pool]] if pool in site.pools else list(site.pools.values())
    models = [site.gpu_models[p.gpu_model] for p in pools]
    return min(m.min_cap_w for m in models), max(m.max_cap_w for m in models), math.lcm(*(m.power_step_w for m in models))


def _uncommanded(site: Site, steps: _Steps) -> Bounds:
    """What holds where nobody commands anything."""
    no_cap: tuple[float | None, ...] = (None,) * len(steps)
    return Bounds(
        pool_cap_w=dict.fromkeys(site.pools, no_cap),
        job_cap_w={},
        import_limit_kw=_import_limits_kw(site, (), steps),
        job_orders={},
        held_pools=dict.fromkeys(site.pools, (False,) * len(steps)),
        mode="normal",
        reasons={},
    )


def _import_limits_kw(site: Site, proposals: Sequence[Proposal], steps: _Steps) -> tuple[float, ...]:
    """Tell the lowest limit of each step, kW."""
    if not proposals and not site.grid.limit_windows:
        return (site.grid.import_limit_kw,) * len(steps)
    return tuple(_import_limit_kw(site, proposals, steps, i) for i in range(len(steps)))


def _import_limit_kw(site: Site, proposals: Sequence[Proposal], steps: _Steps, i: int) -> float:
    """Tell the lowest limit at any instant of step i, kW."""
    start, end = max(steps.edges[i], steps.now) if i == 0 else steps.edges[i], steps.edges[i + 1]
    changes = {t for p in proposals for t in (p.start, p.end) if i and start < t < end}
    return min(
        _limit_with(limit_at(site, t), [p for p in proposals if p.active(t if i else steps.now)])
        for t in {start, *changes, *(minutes(start, end) if site.grid.limit_windows else ())}
    )


def _limit_with(own_kw: float, active: Sequence[Proposal]) -> float:
    winner = min(active, key=rank, default=None)
    if winner is None or winner.value is None:
        return own_kw
    return winner.value if winner.priority <= CRITICAL_PRIORITY else min(own_kw, winner.value)


def _values(caps: Iterable[tuple[float, Proposal] | None]) -> tuple[float | None, ...]:
    return tuple(None if cap is None else cap[0] for cap in caps)


def _words(winners: Iterable[Proposal]) -> str:
    """Say who commands what until when, each winner once."""
    return "; ".join(describe(proposal) for proposal in dict.fromkeys(winners))


def describe(proposal: Proposal) -> str:
    """Say a proposal in an operator's words.

    >>> start, end = datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 7, 1, 13, tzinfo=UTC)
    >>> describe(Proposal("a", "hall/north", "cap_w", 300, 8, start, end, "anna", "chiller repair"))
    'cap 300 W on hall/north by anna (priority 8) from 2026-07-01 12:00 until 2026-07-01 13:00 UTC: chiller repair'
    """
    what = (
        {"cap_w": f"cap {proposal.value:g} W", "import_limit_kw": f"import limit {proposal.value:g} kW"}
        if proposal.value is not None
        else {}
    )
    return (
        f"{what.get(proposal.kind, proposal.kind)} on {proposal.target} by {proposal.by} (priority {proposal.priority})"
        f" from {proposal.start.astimezone(UTC):%Y-%m-%d %H:%M} until {proposal.end.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        f"{': ' if proposal.reason else ''}{proposal.reason}"
    )
