"""Telling: specifications and reports of jobs on the bus, each when it is new, again after every connection, and once more when it is over.

A report without news is repeated every `REPORT_S`, so that nobody takes silence for a fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from facility.bus.interface import Bus, Message
from facility.bus.messages import JobReported, JobSpec, encode
from facility.bus.topics import Topics
from facility.clock import Clock

REPORT_S: Final = 15.0
"""Between two reports without news, s."""


@dataclass
class Told:
    """What was told of a job last, the report without its instant, and when."""

    spec: JobSpec | None = None
    news: tuple[Any, ...] | None = None
    at_s: float = 0.0


class Teller:
    """What the bus knows of jobs from us."""

    def __init__(self, bus: Bus, topics: Topics, clock: Clock) -> None:
        self._bus, self._topics, self._clock = bus, topics, clock
        self._told: dict[str, Told] = {}
        self._connections = bus.connections

    @property
    def jobs(self) -> frozenset[str]:
        """Jobs that were told of and are not over."""
        return frozenset(self._told)

    def tell(self, job: str, spec: JobSpec, report: JobReported) -> None:
        """Tell of a job what is new."""
        if self._bus.connections != self._connections:
            self._connections = self._bus.connections
            self._told = {name: Told() for name in self._told}
        told, now_s = self._told.setdefault(job, Told()), self._clock.elapsed_s()
        if spec != told.spec and self._bus.publish(Message(self._topics.job(job, "spec"), encode(spec), 1, retain=True)):
            told.spec = spec
        news = tuple(getattr(report, name) for name in report.__struct_fields__ if name not in {"timestamp", "done_gpu_h"})
        due = news != told.news or now_s - told.at_s >= REPORT_S
        if due and self._bus.publish(Message(self._topics.job(job, "reported"), encode(report), 1, retain=True)):
            told.news, told.at_s = news, now_s

    def forget(self, job: str) -> None:
        """Take a job that is over off the bus, whoever told of it, and the last order for it."""
        self._told.pop(job, None)
        for what in ("spec", "reported", "desired"):
            self._bus.publish(Message(self._topics.of(f"job_{what}", job=job), b"", 1, retain=True))
