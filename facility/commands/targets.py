"""Targets as people type them: `h1-a` is enough where only one thing of the site has that name."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from facility.errors import Fault, InputError
from facility.site import Site


def complete(site: Site, typed: str, place: str) -> str:
    """The whole target that was meant: itself, or the only one that ends so. InputError, with what may have been meant, where there is none.

    Which jobs there are only the daemon knows, so every `job/ID` passes.
    """
    known = tuple(_targets(site))
    if typed in known or typed.startswith("job/"):
        return typed
    found = [target for target in known if target.endswith(f"/{typed}") or _short(target) == typed]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(Fault(place, f"{typed!r} may be {' or '.join(found)}", "name it whole"))
    short = {name: target for target in known for name in (target, _short(target), target.rpartition("/")[2])}
    near = list(dict.fromkeys(short[name] for name in get_close_matches(typed, short, 3)))
    remedy = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}, or job/ID"
    raise InputError(Fault(place, f"the site has no {typed!r}", remedy))


def _targets(site: Site) -> Iterator[str]:
    yield "site"
    yield from (f"hall/{hall}" for hall in site.halls)
    yield from (f"pool/{pool.hall}/{name}" for name, pool in site.pools.items())
    yield f"grid/{site.grid.feed}"


def _short(target: str) -> str:
    """A pool without its hall: `pool/h1-a`."""
    sort, _, rest = target.partition("/")
    return f"{sort}/{rest.rpartition('/')[2]}" if rest else sort
