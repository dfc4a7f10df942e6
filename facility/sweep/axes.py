"""Axes: which keys of the site file are varied, and through which values.

    grid.import_limit_kw=8000..12000:5      five values, evenly from the first to the last: 8000, 9000, ... 12000
    jobs.slack_h=0,4,12,24                  these
    grid.limit_windows=[],null              YAML, as `--set` takes it; commas inside brackets and quotes part nothing

A case has one value of each axis; the cases are every combination, the last axis fastest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from facility.errors import Fault, InputError

MOST_CASES = 10_000
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER}):(\d+)")
REMEDY = "write KEY=A,B,C or KEY=FIRST..LAST:COUNT"
_OPEN, _CLOSE = "[{(", "]})"


@dataclass(frozen=True)
class Axis:
    """A dotted key and its values, each as YAML writes it."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One combination: a value for each axis, and the settings that say so."""

    values: tuple[str, ...]
    settings: tuple[str, ...]


def read_axes(texts: Sequence[str]) -> tuple[Axis, ...]:
    """Read every `--vary`; InputError tells all that is wrong with any of them."""
    axes, faults = list[Axis](), list[Fault]()
    for text in texts:
        try:
            axis = _axis(text)
        except InputError as error:
            faults += error.faults
            continue
        if axis.key in {other.key for other in axes}:
            faults.append(Fault(f"--vary {text}", f"`{axis.key}` is varied twice", "give all its values to one --vary"))
        axes.append(axis)
    if not texts:
        faults.append(Fault("--vary", "nothing is varied", REMEDY))
    if (count := math.prod(len(axis.values) for axis in axes)) > MOST_CASES and not faults:
        faults.append(Fault("--vary", f"the values make {count:,} plans", f"ask for at most {MOST_CASES:,}"))
    if faults:
        raise InputError(*faults)
    return tuple(axes)


def cases(axes: Sequence[Axis]) -> tuple[Case, ...]:
    """Every combination of values.

    >>> [case.values for case in cases(read_axes(["a.b=1..2:2", "c={x: [1,2]},null"]))]
    [('1', '{x: [1,2]}'), ('1', 'null'), ('2', '{x: [1,2]}'), ('2', 'null')]
    """
    keys = [axis.key for axis in axes]
    return tuple(
        Case(values, tuple(f"{key}={value}" for key, value in zip(keys, values, strict=True)))
        for values in product(*(axis.values for axis in axes))
    )


def _axis(text: str) -> Axis:
    place = f"--vary {text}"
    key, equals, written = (part.strip() for part in text.partition("="))
    if not key or not equals or not written:
        raise InputError(Fault(place, "no key" if not key else "no `=`" if not equals else "no value", REMEDY))
    values = tuple(value for part in _parts(written) for value in _values(place, part))
    if twice := next((value for i, value in enumerate(values) if value in values[:i]), None):
        raise InputError(Fault(place, f"{twice} is there twice", "give each value once"))
    return Axis(key, values)


def _parts(written: str) -> Iterator[str]:
    """Split at the commas that stand in no bracket and no quotes."""
    depth, quote, part = 0, "", ""
    for sign in written:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "," and not depth:
            yield part.strip()
            part = ""
            continue
        depth += 0 if quote else (sign in _OPEN) - (sign in _CLOSE)
        part += sign
    yield part.strip()


def _values(place: str, part: str) -> Iterator[str]:
    if not part:
        raise InputError(Fault(place, "an empty value between commas", REMEDY))
    found = RANGE.fullmatch(part)
    if found is None:
        if re.fullmatch(rf"{NUMBER}\.\..*", part):
            raise InputError(Fault(place, f"{part} is no range", "write FIRST..LAST:COUNT, such as 8000..12000:5"))
        yield part
        return
    first, last, count = float(found[1]), float(found[2]), int(found[3])
    if not 2 <= count <= MOST_CASES or first == last or not math.isfinite(first + last):
        raise InputError(Fault(place, f"{part} has no {count} different values", f"two ends that differ, and from 2 to {MOST_CASES:,} values"))
    for i in range(count):
        yield f"{float(f'{first + (last - first) * i / (count - 1):.12g}'):.12g}"
