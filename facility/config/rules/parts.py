"""What a rule is given and what it says: a site file as far as it is valid, places in it, names that are near."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any, Protocol

from facility.config.strict_yaml import KeyPath

Breach = tuple[KeyPath, str, str]


class Known(Protocol):
    """A site file as far as it is valid."""

    def get(self, *path: str | int) -> Any:
        """Return the value at `path` or its default; None where it is missing or malformed."""

    def malformed(self, *path: str | int) -> bool:
        """Whether something stands at `path` that its type does not allow."""

    def ids(self, *path: str | int) -> tuple[Any, ...]:
        """Return the ids or indices at `path`, malformed parts included."""


def nearest(word: str, known: Collection[str]) -> str:
    """Return the remedy for a name that is not among the known ones.

    >>> nearest("import_limt_kw", ["feed", "import_limit_kw"])
    'did you mean `import_limit_kw`?'
    """
    if close := get_close_matches(word, known, 1):
        return f"did you mean `{close[0]}`?"
    names = [*list(known)[:12], "..."] if len(known) > 12 else known
    return f"use one of {', '.join(names)}" if known else "there is none in this file"


def expand(site: Known, pattern: KeyPath, at: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths in a site file that match a pattern; `*` is any id or index."""
    if not pattern:
        yield at
    elif pattern[0] == "*":
        for key in site.ids(*at):
            yield from expand(site, pattern[1:], (*at, key))
    else:
        yield from expand(site, pattern[1:], (*at, pattern[0]))
