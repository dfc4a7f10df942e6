"""Paths: where in a JSON value something stands. The language is small, and what is not in it is refused.

    fields.power                        a field of a field
    data.values[0].power                an item of a list, from 0
    values.*    metrics[*].value        every field, every item
    metrics[name=Temperature].value     the items in which a field has this text
    values.{asset}                      every field; its name is captured
    metrics[name={asset}].value         every item with this field; its text is captured
    "active power".value                a name in quotes may hold any sign but a quote
    $.timestamp                         from the whole message, where it would else be from one of its items

Each step goes down one level, so that one walk visits no part of a message twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

MISSING: Any = object()
"""What is found where nothing stands; null is something."""

CAPTURE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_NAME = r'"[^"]+"|[^.\[\]{}"*$=\s](?:[^.\[\]{}"*$=]*[^.\[\]{}"*$=\s])?'
_FIELD = re.compile(_NAME)
_ITEM = re.compile(rf"\[(?:(\d{{1,6}})|(\*)|({_NAME})=([^\[\]]*))\]")

Bound = Mapping[str, str]
"""What was captured, by name."""


class PathError(ValueError):
    """A text that is not a path: what is wrong with it."""


@dataclass(frozen=True)
class Field:
    """The field `name` of an object."""

    name: str


@dataclass(frozen=True)
class Item:
    """The item `index` of a list."""

    index: int


@dataclass(frozen=True)
class Every:
    """Every field of an object, its name captured where `capture` is given, or without it every item of a list."""

    capture: str | None = None


@dataclass(frozen=True)
class Those:
    """The objects of a list in which the field `name` is `text`, or any text that is captured as `capture`."""

    name: str
    text: str
    capture: str | None = None


Step = Field | Item | Every | Those


@dataclass(frozen=True)
class Path:
    """Steps from a value, or where `whole` from the message around it."""

    steps: tuple[Step, ...]
    whole: bool = False

    @property
    def captures(self) -> tuple[str, ...]:
        """The names that a walk captures."""
        return tuple(step.capture for step in self.steps if isinstance(step, Every | Those) and step.capture is not None)

    @property
    def single(self) -> bool:
        """Whether it leads to one place at most."""
        return all(isinstance(step, Field | Item) for step in self.steps)

    def find(self, value: Any, bound: Bound) -> Iterator[tuple[Any, Bound]]:
        """Walk from `value`: what stands at the end, each with what was captured on the way beside `bound`."""
        return _walk(value, self.steps, bound)

    def one(self, value: Any) -> Any:
        """Return the first that stands at the end, else `MISSING`."""
        if not self.single:
            return next((found for found, _ in self.find(value, {})), MISSING)
        for step in self.steps:
            value = _down(value, step)
        return value


@cache
def path(text: str) -> Path:
    """Read a path. Raises PathError.

    >>> path("metrics[name={asset}].value").captures, path("fields.power").one({"fields": {"power": 412.5}})
    (('asset',), 412.5)
    """
    whole = text == "$" or text.startswith("$.")
    rest, steps = text[2:] if whole else text, list[Step]()
    after_dot = True
    while rest:
        step, rest = _step(text, rest) if after_dot and not rest.startswith("[") else _bracket(text, rest)
        steps.append(step)
        after_dot = rest.startswith(".")
        rest = rest.removeprefix(".")
        if after_dot and not rest:
            raise PathError(f"`{text}` ends in a dot")
    if not text or (whole and text != "$" and not steps):
        raise PathError("it is empty")
    return Path(tuple(steps), whole)


def said(value: Any) -> str | None:
    """Write a JSON scalar as the text it is compared by: true, false, null, a number or the text; None for what is no scalar."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, int | float) else None


def _step(text: str, rest: str) -> tuple[Step, str]:
    """The step that `rest` of a path begins with, up to a dot or bracket, and what follows."""
    if (capture := CAPTURE.match(rest)) is not None:
        return _ended(text, Every(capture[1]), rest[capture.end() :])
    if rest.startswith("*"):
        return _ended(text, Every(), rest[1:])
    if (name := _FIELD.match(rest)) is not None:
        return _ended(text, Field(name[0].strip('"')), rest[name.end() :])
    raise PathError(f"`{text}` has no name, * or {{capture}} at `{rest[:20]}`")


def _bracket(text: str, rest: str) -> tuple[Step, str]:
    found = _ITEM.match(rest)
    if found is None:
        raise PathError(f"`{text}` has no [0], [*] or [name=text] at `{rest[:20]}`")
    index, every, name, wanted = found.groups()
    follows = rest[found.end() :]
    if index is not None:
        return _ended(text, Item(int(index)), follows)
    if every is not None:
        return _ended(text, Every(), follows)
    capture = CAPTURE.fullmatch(wanted)
    if capture is None and ("{" in wanted or not wanted):
        raise PathError(f"`{text}` compares `{name}` with nothing, or with more than one {{capture}}")
    return _ended(text, Those(name.strip('"'), wanted.strip('"'), capture[1] if capture else None), follows)


def _ended(text: str, step: Step, follows: str) -> tuple[Step, str]:
    if follows and follows[0] not in ".[":
        raise PathError(f"`{text}` goes on with `{follows[:20]}` where a dot or bracket should follow")
    return step, follows


def _down(value: Any, step: Step) -> Any:
    if isinstance(step, Field):
        return value.get(step.name, MISSING) if isinstance(value, dict) else MISSING
    if isinstance(step, Item) and isinstance(value, list) and step.index < len(value):
        return value[step.index]
    return MISSING


def _walk(value: Any, steps: tuple[Step, ...], bound: Bound) -> Iterator[tuple[Any, Bound]]:
    for i, step in enumerate(steps):
        if isinstance(step, Every | Those):
            for found, captured in _all(value, step, bound):
                yield from _walk(found, steps[i + 1 :], captured)
            return
        value = _down(value, step)
        if value is MISSING:
            return
    yield value, bound


def _all(value: Any, step: Every | Those, bound: Bound) -> Iterator[tuple[Any, Bound]]:
    if isinstance(step, Every):
        if isinstance(value, dict):
            for name, found in value.items():
                yield found, bound if step.capture is None else {**bound, step.capture: name}
        elif isinstance(value, list) and step.capture is None:
            for found in value:
                yield found, bound
        return
    for found in value if isinstance(value, list) else ():
        if isinstance(found, dict) and (text := said(found.get(step.name, MISSING))) is not None:
            if step.capture is not None:
                yield found, {**bound, step.capture: text}
            elif text == step.text:
                yield found, bound
