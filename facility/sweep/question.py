"""Question: what a sweep was asked, checked as a whole before the first plan is begun.

A key that does not exist, or a value that it cannot have, is told at once and all together. A value that only some combinations
refuse is left to them: each of those is a row that says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from facility.config import load_site
from facility.errors import Fault, InputError
from facility.request import Request
from facility.site import Site
from facility.sweep.axes import Axis, Case, cases, read_axes

MOST_TRIED = 20
"""Combinations that are tried for one value before it is refused."""
FILES = ("prices", "weather", "carbon", "load", "solar", "jobs", "events", "position", "demand")
"""Fields of a request that name a file, some with `:column`."""


@dataclass(frozen=True)
class Question:
    """What is asked: the request that all plans have in common, the axes, the cases, and a site of one of them."""

    request: Request
    axes: tuple[Axis, ...]
    cases: tuple[Case, ...]
    site: Site

    def asked(self, case: Case) -> Request:
        """What `facility plan` would be asked for one case."""
        return replace(self.request, settings=(*self.request.settings, *case.settings))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the plans are made from: the site file, the one that it is based on, those that the options name."""
        own = Path(self.request.site)
        below = [] if self.site.based_on is None else [own.parent / self.site.based_on]
        return (own, *below, *(_path(named) for name in FILES if (named := getattr(self.request, name)) is not None))


def ask(request: Request, vary: Sequence[str]) -> Question:
    """Read and check what is asked; InputError tells every fault.

    A start that is not said is the site's tomorrow, the same for all plans however long the sweep lasts.
    """
    axes = read_axes(vary)
    set_already = {text.partition("=")[0].strip() for text in request.settings}
    faults = [Fault(f"--vary {axis.key}", "it is given by --set too", "leave one of them out") for axis in axes if axis.key in set_already]
    if faults:
        raise InputError(*faults)
    combinations = cases(axes)
    site = _checked(request, axes, combinations)
    if request.start is None:
        request = replace(request, start=f"{datetime.now(ZoneInfo(site.timezone)) + timedelta(days=1):%Y-%m-%d}")
    return Question(request, axes, combinations, site)


def as_anywhere(request: Request) -> Request:
    """The request with absolute paths, for processes that work in other folders."""
    found: dict[str, Any] = {"site": str(Path(request.site).absolute())}
    for name in FILES:
        if (argument := getattr(request, name)) is not None:
            path = _path(argument)
            found[name] = f"{path.absolute()}{argument.removeprefix(str(path))}" if argument.startswith(str(path)) else argument
    return replace(request, **found)


def as_written(request: Request) -> dict[str, Any]:
    """Every field of a request, as JSON takes it."""
    return {field.name: list(value) if isinstance(value := getattr(request, field.name), tuple) else value for field in fields(request)}


def _checked(request: Request, axes: Sequence[Axis], combinations: Sequence[Case]) -> Site:
    """The site of some case. Each value of each axis must be valid in a combination."""
    valid: set[tuple[int, str]] = set()
    site: Site | None = None
    faults: dict[Fault, None] = {}
    for i, axis in enumerate(axes):
        for value in axis.values:
            if (i, value) in valid:
                continue
            told: tuple[Fault, ...] = ()
            for case in islice((case for case in combinations if case.values[i] == value), MOST_TRIED):
                try:
                    site = load_site(request.site, (*request.settings, *case.settings))
                except InputError as error:
                    told = told or error.faults
                    continue
                valid |= set(enumerate(case.values))
                break
            else:
                faults |= dict.fromkeys(_told(fault, axes) for fault in told)
    if faults or site is None:
        raise InputError(*faults)
    return site


def _told(fault: Fault, axes: Sequence[Axis]) -> Fault:
    """A fault of a setting, where it is one that the sweep made, as a fault of its axis."""
    key = fault.place.removeprefix("--set ").partition("=")[0]
    if not fault.place.startswith("--set ") or key not in {axis.key for axis in axes}:
        return fault
    return replace(fault, place=f"--vary {key}" if fault.found.startswith("no key") else fault.place.replace("--set", "--vary", 1))


def _path(argument: str) -> Path:
    """The file of `FILE` or `FILE:column`; one of that very name goes first."""
    return Path(argument if ":" not in argument or Path(argument).exists() else argument.rpartition(":")[0])
