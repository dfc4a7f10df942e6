"""From topics to readings: a topic is looked up once, and from then on it is a function from a payload to what that tells.

A `Source` is one way to speak: our own tree, a building's own topics, an exchange standard. It names the patterns to ask the broker
for and gives each topic of its own a `Route`; of two sources that know a topic the first has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from facility.bus.messages import Meta
from facility.telemetry.readings import Refusal
from facility.telemetry.units import Conversion

MOST_TOPICS = 100_000
"""Topics that are remembered; whoever invents more makes every one be looked up again, and memory has an end."""


class Told(NamedTuple):
    """Values of one instant by `Sensor.key`; None is missing. Without `at_ms` (since 1970) they are of now.

    `convert` makes a value one in its sensor's unit; None: as the sensor's description says.
    """

    values: Mapping[str, float | None]
    at_ms: int | None = None
    quality: int = 1
    convert: Conversion | None = None


class Described(NamedTuple):
    """What the sensor `key` measures; None withdraws what was told before."""

    key: str
    meta: Meta | None


Fact = Told | Described | Refusal
"""A part of a message; a `Refusal` is a part that cannot be used."""

Route = Callable[[bytes, bool], Iterable[Fact]]
"""From a payload, and whether it came retained, to what it tells. Raises `Refusal` where it is the whole message, and nothing else."""


class Source(Protocol):
    """One way to speak."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to subscribe to, whole topics with `+` and `#`."""

    def route(self, topic: str) -> Route | None:
        """Give the route of a topic; None where this source does not know it."""


class Routes:
    """The routes of several sources by topic, each looked up once."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)
        self._known: dict[str, Route | None] = {}

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(pattern for source in self._sources for pattern in source.patterns)

    def of(self, topic: str) -> Route | None:
        """Give the route of a topic; None where no source knows it."""
        try:
            return self._known[topic]
        except KeyError:
            if len(self._known) >= MOST_TOPICS:
                self._known.clear()
            found = (source.route(topic) for source in self._sources)
            self._known[topic] = next((route for route in found if route is not None), None)
            return self._known[topic]
