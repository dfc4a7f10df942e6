"""Kept cuts: what the guard holds down, and what gave way, as JSON in the journal, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from facility.daemon.guard.cuts import Cut
from facility.daemon.guard.given import Given, Stages
from facility.daemon.guard.places import AtWorst, Carrier, Grid, Hall, Place
from facility.decision import PoolCaps
from facility.site import Site


@dataclass(frozen=True)
class KeptPlace:
    """A `Place`: a hall, a carrier, a carrier at worst where `worst_kw` is told, or the grid connection."""

    hall: Hall | None = None
    carrier: Carrier | None = None
    worst_kw: float | None = None
    defiant: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class KeptCut:
    """A `Cut`."""

    place: KeptPlace
    excess_kw: float
    unseen_kw: float
    kept: tuple[PoolCaps, ...]
    held: frozenset[str]
    commanded: frozenset[str]
    says: str
    reckoned: bool
    charging: Mapping[str, float] = field(default_factory=dict)
    waits: bool = False


@dataclass(frozen=True)
class KeptGiven:
    """A `Given`."""

    place: KeptPlace
    target_kw: float
    stages: Stages
    waiting: frozenset[str]
    says: str
    charging: Mapping[str, float] = field(default_factory=dict)


def kept_cut(cut: Cut) -> KeptCut:
    """A cut as it is kept."""
    place = _kept(cut.place)
    return KeptCut(
        place, cut.excess_kw, cut.unseen_kw, cut.kept, cut.held, cut.commanded, cut.says, cut.reckoned, cut.charging, cut.waits
    )  # fmt: skip


def cut_of(kept: KeptCut, site: Site) -> Cut:
    """The cut that was kept, of the site as configured."""
    place = _place(kept.place, site)
    return Cut(
        place, kept.excess_kw, kept.unseen_kw, kept.kept, kept.held, kept.commanded, kept.says, kept.reckoned, kept.charging, kept.waits
    )  # fmt: skip


def kept_given(given: Given) -> KeptGiven:
    """What gave way as it is kept."""
    return KeptGiven(_kept(given.place), given.target_kw, given.stages, given.waiting, given.says, given.charging)


def given_of(kept: KeptGiven, site: Site) -> Given:
    """What gave way, of the site as configured."""
    return Given(_place(kept.place, site), kept.target_kw, kept.stages, kept.waiting, kept.says, kept.charging)


def _kept(place: Place) -> KeptPlace:
    match place:
        case Grid():
            return KeptPlace()
        case Carrier():
            return KeptPlace(carrier=place)
        case AtWorst():
            return KeptPlace(carrier=place.carrier, worst_kw=place.worst_kw, defiant=place.defiant)
        case Hall():
            return KeptPlace(hall=place)


def _place(kept: KeptPlace, site: Site) -> Place:
    if kept.hall is not None:
        return kept.hall
    if kept.carrier is None:
        return Grid(site)
    return kept.carrier if kept.worst_kw is None else AtWorst(kept.carrier, kept.worst_kw, kept.defiant)
