"""Kept: a question, a situation and an answer as JSON in the journal, and back, to the same bytes.

What many records have in common - a site and each part of it, decisions, readings - is a piece, which the JSON names by its hash. Of the
service's own part of the site only the topics' root is kept: it may hold passwords, and no decision depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from facility import __version__
from facility.daemon.question import Question
from facility.daemon.situation import Situation
from facility.decide import Decided, Undecided
from facility.decision import Decision
from facility.events import Event
from facility.forecast import Forecast
from facility.journal.pieces import named
from facility.overrides.arbitrate import Bounds
from facility.overrides.proposal import Proposal
from facility.rental.rental import Rental
from facility.site import Contract, Site
from facility.snapshot import Snapshot
from models.horizon import Floats

SITES_REMEMBERED: Final = 8

T = TypeVar("T")
Values = tuple[float, ...]


@dataclass(frozen=True)
class KeptSituation:
    """A `Situation`; `site` names the piece of the site, `snapshot` that of the readings."""

    now: datetime
    site: str
    snapshot: str
    asked: Bounds
    outdoor_c: float


@dataclass(frozen=True)
class KeptForecast:
    """A `Forecast`, its arrays as tuples."""

    price_per_mwh: Values
    outdoor_c: Values
    carbon_g_per_kwh: Values
    assumed: tuple[str, ...]
    demand_gpus: Mapping[str, tuple[int, ...]]
    load_kw: Values | None
    outdoor_high_c: Values | None
    load_high_kw: Values | None
    solar_kw: Mapping[str, Values]
    rented_gpus: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class KeptRental:
    """A `Rental`, its terms as the site file would have them."""

    id: str
    contract: str
    terms: Mapping[str, Any]
    start: datetime
    end: datetime
    by: str
    reason: str
    version: int = 1


@dataclass(frozen=True)
class KeptAnswer:
    """A `Decided` without its plan, or an `Undecided` with its reason; `decision` names a piece."""

    decision: str | None = None
    broken: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    reason: str = ""
    import_kw: float | None = None


@dataclass(frozen=True)
class KeptCycle:
    """A `Question`, its situation beside it, and what it came to; `facility` and `solver` are the versions that answered.

    `site` names the site that was in force, `foreseen` the one with every rental to come.
    """

    epoch: int
    plan_id: str
    facility: str
    solver: str
    edges: tuple[datetime, ...]
    now: datetime
    site: str
    snapshot: Snapshot
    asked: Bounds
    outdoor_c: float
    foreseen: str
    forecast: KeptForecast
    events: tuple[Event, ...]
    proposals: tuple[Proposal, ...]
    rentals: tuple[KeptRental, ...]
    near_kw: Mapping[str, Values]
    unheard: bool
    answer: KeptAnswer


class Keeper:
    """Turns things into what is kept. `pieces` are those that were named since they were last taken."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {}
        self._sites: list[tuple[Site, str, dict[str, bytes]]] = []

    def take(self) -> dict[str, bytes]:
        """Give the pieces that were named since the last call."""
        taken, self.pieces = self.pieces, {}
        return taken

    def piece(self, thing: object) -> str:
        """Name a thing by its bytes."""
        told = msgspec.json.encode(thing)
        name = named(told)
        self.pieces[name] = told
        return name

    def site(self, site: Site) -> str:
        """Name a site: a piece that names each of its parts. One that was seen just now costs nothing."""
        for seen, name, pieces in self._sites:
            if seen is site:
                self.pieces |= pieces
                return name
        told = site.model_dump(mode="json") | {"bus": {"root": site.bus.root}}
        parts = {key: msgspec.json.encode(value) for key, value in told.items()}
        whole = msgspec.json.encode({key: named(part) for key, part in parts.items()})
        pieces = {named(part): part for part in (whole, *parts.values())}
        self._sites = [*self._sites, (site, named(whole), pieces)][-SITES_REMEMBERED:]
        self.pieces |= pieces
        return named(whole)

    def situation(self, here: Situation) -> KeptSituation:
        """A situation as it is kept."""
        return KeptSituation(here.now, self.site(here.site), self.piece(here.snapshot), here.asked, here.outdoor_c)

    def cycle(self, asked: Question, found: Decided | Undecided, plan_id: str, epoch: int) -> KeptCycle:
        """A question and its answer as they are kept."""
        made = asked.made
        rentals = tuple(
            KeptRental(r.id, r.contract, r.terms.model_dump(mode="json", exclude_unset=True), r.start, r.end, r.by, r.reason, r.version)
            for r in asked.rentals
        )
        return KeptCycle(
            epoch, plan_id, __version__, solver_version(), asked.edges, made.now, self.site(made.site), made.snapshot, made.asked,
            made.outdoor_c, self.site(asked.site), _kept_forecast(asked.forecast), asked.events, asked.proposals, rentals, asked.near_kw,
            asked.unheard, self.answer(found),
        )  # fmt: skip

    def answer(self, found: Decided | Undecided) -> KeptAnswer:
        """What a question came to, as it is kept."""
        if isinstance(found, Undecided):
            return KeptAnswer(reason=found.reason)
        return KeptAnswer(self.piece(found.decision), tuple(sorted(found.broken)), tuple(sorted(found.stopped)), import_kw=found.import_kw)


class Finder:
    """Turns what is kept into what it was; `piece` gives the bytes of a name. Raises StoreFault and ValueError where that cannot be."""

    def __init__(self, piece: Callable[[str], bytes]) -> None:
        self._piece = piece
        self._sites: dict[str, Site] = {}

    def bytes(self, name: str) -> bytes:
        """A piece as it was kept."""
        return self._piece(name)

    def thing(self, name: str, kind: type[T]) -> T:
        """What a piece is."""
        return msgspec.json.decode(self._piece(name), type=kind)

    def site(self, name: str) -> Site:
        """The site of a name."""
        if name not in self._sites:
            if len(self._sites) >= SITES_REMEMBERED:
                self._sites.clear()
            parts = self.thing(name, dict[str, str])
            self._sites[name] = Site.model_validate({key: msgspec.json.decode(self._piece(part)) for key, part in parts.items()})
        return self._sites[name]

    def situation(self, kept: KeptSituation) -> Situation:
        """The situation that was kept."""
        return Situation(kept.now, self.site(kept.site), self.thing(kept.snapshot, Snapshot), kept.asked, kept.outdoor_c)

    def question(self, kept: KeptCycle) -> Question:
        """The question of a cycle."""
        rentals = tuple(
            Rental(r.id, r.contract, Contract.model_validate(r.terms), r.start, r.end, r.by, r.reason, r.version)
            for r in kept.rentals
        )
        made = Situation(kept.now, self.site(kept.site), kept.snapshot, kept.asked, kept.outdoor_c)
        return Question(
            kept.edges, made, self.site(kept.foreseen), _forecast(kept.forecast), kept.events, kept.proposals, rentals, kept.near_kw, kept.unheard
        )

    def answer(self, kept: KeptAnswer, edges: tuple[datetime, ...]) -> Decided | Undecided:
        """What a question came to, without its plan."""
        if kept.decision is None:
            return Undecided(kept.reason)
        return Decided(self.thing(kept.decision, Decision), edges, frozenset(kept.broken), frozenset(kept.stopped), kept.import_kw)


@cache
def solver_version() -> str:
    """The version of HiGHS's interface here."""
    return version("highspy")


def _kept_forecast(forecast: Forecast) -> KeptForecast:
    def values(array: Floats | None) -> Values | None:
        return None if array is None else tuple(array.tolist())

    return KeptForecast(
        tuple(forecast.price_per_mwh.tolist()),
        tuple(forecast.outdoor_c.tolist()),
        tuple(forecast.carbon_g_per_kwh.tolist()),
        forecast.assumed,
        forecast.demand_gpus,
        values(forecast.load_kw),
        values(forecast.outdoor_high_c),
        values(forecast.load_high_kw),
        {name: tuple(array.tolist()) for name, array in forecast.solar_kw.items()},
        forecast.rented_gpus,
    )


def _forecast(kept: KeptForecast) -> Forecast:
    def array(values: Values | None) -> Floats | None:
        return None if values is None else np.array(values, float)

    return Forecast(
        np.array(kept.price_per_mwh, float),
        np.array(kept.outdoor_c, float),
        np.array(kept.carbon_g_per_kwh, float),
        kept.assumed,
        kept.demand_gpus,
        array(kept.load_kw),
        array(kept.outdoor_high_c),
        array(kept.load_high_kw),
        {name: np.array(values, float) for name, values in kept.solar_kw.items()},
        kept.rented_gpus,
    )
