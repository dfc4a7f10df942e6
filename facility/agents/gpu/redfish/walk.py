"""Walk: where one controller keeps the power limits of its GPUs, found by following its links; no path is known beforehand.

    Systems/*/Processors/*   of ProcessorType GPU        the GPUs, in the order of their resources' names
    its EnvironmentMetrics   with PowerLimitWatts        a limit of that GPU
    Chassis/*                that links to one GPU       its EnvironmentMetrics with PowerLimitWatts: a limit of that GPU
    Chassis/*/Controls/*     ControlType Power, which
                             relates to one GPU          a limit of that GPU

A GPU may have several. The first that is found, in this order, is the one to write; the lowest of all is what is enforced. A chassis or control
that is of several GPUs limits none of them alone, and is left be. Source: DMTF DSP8010, schemas Processor, EnvironmentMetrics, Chassis, Control.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from facility.agents.gpu.device import Lost, Refused
from facility.agents.gpu.redfish.service import ROOT, Json

Read = Callable[[str], Json]
LEAST_W: Final = 0


@dataclass(frozen=True)
class Limit:
    """A limit's resource: `metrics` has it below PowerLimitWatts, `control` is it."""

    path: str
    kind: Literal["metrics", "control"]

    def of(self, resource: Json) -> Json:
        """The part of the resource that is the limit."""
        found = resource.get("PowerLimitWatts") if self.kind == "metrics" else resource
        return found if isinstance(found, dict) else {}

    def body(self, watts: int, resource: Json) -> Json:
        """What to send to set it; a limit that is switched off is switched on."""
        told: Json = {"SetPoint": watts}
        if self.of(resource).get("ControlMode") == "Disabled":
            told["ControlMode"] = "Manual"
        return {"PowerLimitWatts": told} if self.kind == "metrics" else told


@dataclass(frozen=True)
class Found:
    """A GPU and its limits, the one to write first; `draw` are resources that tell what it draws."""

    path: str
    limits: tuple[Limit, ...]


def walk(read: Read) -> tuple[Found, ...]:
    """Find every GPU. Raises Refused where the controller does not let itself be read."""
    root = read(ROOT)
    processors = [path for system in _members(read, root.get("Systems")) for path in _gpus(read, system)]
    limits: dict[str, list[Limit]] = {path: [] for path in sorted(processors, key=_by_number)}
    for path in limits:
        limits[path] += _metrics(read, read(path))
    for chassis in _members(read, root.get("Chassis")):
        of = [path for path in _linked(chassis.get("Links", {}).get("Processors")) if path in limits]
        if len(of) == 1:
            limits[of[0]] += _metrics(read, chassis)
        for control in _members(read, chassis.get("Controls")):
            about = {path for path in _linked(control.get("RelatedItem")) for path in (path, _without_metrics(path)) if path in limits}
            if control.get("ControlType") == "Power" and len(about) == 1:
                limits[about.pop()].append(Limit(str(control["@odata.id"]), "control"))
    return tuple(Found(path, tuple(dict.fromkeys(found))) for path, found in limits.items())


def watts(told: Any) -> int | None:
    """A limit's figure, W; None where there is none."""
    return round(told) if isinstance(told, int | float) and not isinstance(told, bool) and told > LEAST_W else None


def _gpus(read: Read, system: Json) -> list[str]:
    return [str(processor["@odata.id"]) for processor in _members(read, system.get("Processors")) if processor.get("ProcessorType") == "GPU"]


def _metrics(read: Read, resource: Json) -> Iterator[Limit]:
    """The limit in a resource's EnvironmentMetrics, where it has one that can be set."""
    for path in _linked([resource.get("EnvironmentMetrics")]):
        try:
            if isinstance(read(path).get("PowerLimitWatts"), dict):
                yield Limit(path, "metrics")
        except (Lost, Refused):
            continue


def _members(read: Read, collection: Any) -> Iterator[Json]:
    """The members of a collection, page by page; one that cannot be read is passed over."""
    for path in _linked([collection]):
        page: str | None = path
        while page:
            told = read(page)
            for member in _linked(told.get("Members")):
                try:
                    yield {"@odata.id": member} | read(member)
                except (Lost, Refused):
                    continue
            following = told.get("Members@odata.nextLink")
            page = following if isinstance(following, str) and following != page else None


def _linked(told: Any) -> list[str]:
    """The paths that links lead to."""
    links = told if isinstance(told, list) else []
    return [link["@odata.id"] for link in links if isinstance(link, dict) and isinstance(link.get("@odata.id"), str)]


def _without_metrics(path: str) -> str:
    return path.removesuffix("/EnvironmentMetrics")


def _by_number(path: str) -> list[tuple[int, str]]:
    """GPU_2 before GPU_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]
