"""Trouble: what can be made to go wrong in the rehearsed plant, so that what watches over it can be tried.

It stands as a whole until another is told: a plant process that was started with `--rehearse` listens on `rehearsal/trouble`, which no one else
reads or writes, and `{}` is a plant in which all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from facility.errors import Fault, InputError
from facility.site import Site

TOPIC = "rehearsal/trouble"
"""Below the site's root."""


class Trouble(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong, by the ids of the site file.

    `extra_kw`: load on a feeder that nobody declared, kW. `gone`: feeders that carry nothing; the others of their group share their load by
    rating. `cooling_share`: how much of the heat that a hall's controller wants removed still is. `ignores`: pools whose GPUs draw as at their
    highest cap, and whether their agent says so (`told`) or reports what it was sent (`hidden`).
    """

    extra_kw: Mapping[str, float] = {}
    gone: tuple[str, ...] = ()
    cooling_share: Mapping[str, float] = {}
    ignores: Mapping[str, Literal["told", "hidden"]] = {}


def trouble(payload: bytes, site: Site) -> Trouble:
    """Read what is to go wrong. Raises InputError for what cannot be read, or is of nothing that the site has."""
    try:
        found = msgspec.json.decode(payload, type=Trouble)
    except msgspec.MsgspecError as error:
        raise InputError(Fault(TOPIC, str(error), "see facility.simulate.trouble for its keys")) from None
    named: dict[str, tuple[Iterable[str], Mapping[str, object]]] = {
        "extra_kw": (found.extra_kw, site.feeders),
        "gone": (found.gone, site.feeders),
        "cooling_share": (found.cooling_share, site.halls),
        "ignores": (found.ignores, site.pools),
    }
    faults = [
        Fault(f"{TOPIC}.{key}", f"the site has no {name}", f"one of: {', '.join(known)}")
        for key, (names, known) in named.items()
        for name in names
        if name not in known
    ]
    if faults:
        raise InputError(*faults)
    return found
