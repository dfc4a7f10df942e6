"""What the dialogs of a browser act through asks each time who is there: who may only look, is gone, or is another, does nothing."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from facility.config import load_site
from facility.console.access import ANYBODY, Person
from facility.console.acts import Outcome, Wish
from facility.console.asking import Told
from facility.console.page.desk import NOBODY, Desk
from facility.console.page.override import targets_of, value_range
from tests.facility.console.test_acts import WISH

SITE = load_site("site_configs/demo.yaml", ())
OTTO, VERA = Person("ann", "operator"), Person("vera", "viewer")
DONE = Outcome(ok=True, status="answered", words="accepted")


class Behind:
    """Acts and questions that only count."""

    site, zone = SITE, None

    def __init__(self) -> None:
        self.done: list[str] = []

    async def set(self, _wish: Wish) -> Outcome:
        self.done.append("set")
        return DONE

    async def clear(self, *_: str) -> Outcome:
        self.done.append("clear")
        return DONE

    async def shelve(self, *_: Any) -> Outcome:
        self.done.append("shelve")
        return DONE

    async def preview(self, _wish: Wish) -> Told:
        self.done.append("preview")
        return Told(ok=True, sentence="so")

    async def why(self, _about: str, by: str) -> Told:
        self.done.append(f"why by {by}")
        return Told(ok=True, sentence="so")


def acts_of(person: Person | None, by: str = "ann") -> list[str]:
    """What is done where this person is there now and everything is tried under the name `by`."""
    behind, wish = Behind(), Wish("site", "hold", None, 60, by, "why")
    desk = Desk(*cast("Any", (behind, behind, behind)), lambda: person, person or OTTO, lambda _target: None, cast("Any", None))

    async def everything() -> None:
        await desk.set(wish)
        await desk.clear("site", "o-1", by, "why")
        await desk.shelve("a-1", 60, by, "why")
        await desk.preview(wish)
        await desk.why("limit")

    asyncio.run(everything())
    return behind.done


@pytest.mark.parametrize(
    ("person", "by", "done"),
    [
        (OTTO, "ann", ["set", "clear", "shelve", "preview", "why by ann"]),
        (ANYBODY, "whoever", ["set", "clear", "shelve", "preview", "why by "]),
        (VERA, "vera", ["why by vera"]),
        (VERA, "ann", ["why by vera"]),
        (OTTO, "somebody-else", ["why by ann"]),
        (None, "ann", []),
    ],
)
def test_who_acts_is_asked_each_time(person: Person | None, by: str, done: list[str]) -> None:
    assert acts_of(person, by) == done


def test_an_act_that_is_not_allowed_says_so() -> None:
    behind = Behind()
    desk = Desk(*cast("Any", (behind, behind, behind)), lambda: None, OTTO, lambda _target: None, cast("Any", None))
    assert asyncio.run(desk.set(WISH)) == NOBODY


def test_what_may_be_overridden_and_within_what_comes_from_the_site() -> None:
    assert list(targets_of(SITE)) == ["site", "grid/main", "hall/h1", "hall/h2", "pool/h1/h1-a", "pool/h1/h1-b", "pool/h2/h2-a"]
    assert value_range(SITE, "pool/h2/h2-a", "cap_w") == (150, 300, "W")
    assert value_range(SITE, "hall/h1", "cap_w") == (100, 400, "W")
    assert value_range(SITE, "site", "cap_w") == (100, 400, "W")
    assert value_range(SITE, "grid/main", "import_limit_kw") == (0, 810, "kW")
    assert value_range(SITE, "site", "stop") is None
