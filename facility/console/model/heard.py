"""Heard: the newest of everything that the bus told, by what it tells. What cannot be read tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from facility.bus import messages as m
from facility.bus.interface import Message
from facility.bus.topics import BY_NAME, Topics
from facility.clock import Clock
from facility.console.model.beat import Beat
from facility.site import Site
from facility.telemetry import Reading, Telemetry
from facility.telemetry.nodes import Nodes

SILENT_S: Final = 3.0
"""A daemon whose heart did not beat for so long is shown as gone; it beats every second."""
KEPT: Final = {
    "cap_desired": "pool",
    "cap_reported": "pool",
    "job_spec": "job",
    "job_desired": "job",
    "job_reported": "job",
    "override_state": "target",
    "contract_state": "contract",
    "alarm": "alarm",
}
"""Names of topics of which the newest message by an id is kept, until an empty one."""
SINGLE: Final = ("plan", "quality", "grid_price", "grid_limit", "grid_event")
ANSWERS: Final = ("override_result", "alarm_result", "whatif_result", "why_result")
JOBS: Final = frozenset(("job_spec", "job_desired", "job_reported"))


class Heard:
    """Takes messages, and is asked for what was told. `answered` is told each answer to a command, with the name of its topic."""

    def __init__(self, site: Site, clock: Clock, answered: Callable[[str, dict[str, str], bytes], None] | None = None) -> None:
        self.site, self.clock, self.beat = site, clock, Beat(clock)
        self._topics, self._answered = Topics(site.bus.root, site.id), answered
        self._telemetry, self._nodes = Telemetry(site), Nodes()
        self._kept: dict[str, dict[str, Any]] = {name: {} for name in KEPT}
        self._single: dict[str, Any] = {}
        self._status: dict[str, m.Status] = {}
        self._beating: dict[str, float] = {}
        self.changed_jobs: set[str] = set()
        """Jobs of which something was told since somebody last emptied this."""
        self.began_s = clock.elapsed_s()

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to subscribe to."""
        names = (*KEPT, *SINGLE, *ANSWERS, "cap_node_reported", "status")
        asked = tuple(pattern for name in names for pattern in self._topics.patterns(name))
        return tuple(dict.fromkeys((*asked, *self._telemetry.patterns)))

    def hear(self, message: Message) -> None:
        """Take one message in."""
        found = self._topics.parse(message.topic)
        if found is None or found[0] in {"tele", "batch", "meta"}:
            self._telemetry.hear(message, self.beat.now())
            return
        name, ids = found
        if name in ANSWERS:
            if self._answered is not None and not message.retain:
                self._answered(name, ids, message.payload)
            return
        try:
            told = m.decode(message.payload, BY_NAME[name].payload) if message.payload else None
        except m.Rejected:
            return
        if name in KEPT:
            self._keep(name, ids[KEPT[name]], told)
        elif name in SINGLE:
            self._single[name] = told
        elif name == "cap_node_reported":
            self._nodes.take(ids["pool"], ids["node"], told if isinstance(told, m.CapReported) else None)
        elif isinstance(told, m.Status):
            self._live(told, retained=message.retain)

    def _keep(self, name: str, key: str, told: msgspec.Struct | None) -> None:
        if told is None:
            self._kept[name].pop(key, None)
        else:
            self._kept[name][key] = told
        if name in JOBS:
            self.changed_jobs.add(key)

    def _live(self, told: m.Status, *, retained: bool) -> None:
        self._status[told.instance] = told
        if retained or told.mode == "offline":
            self._beating.pop(told.instance, None)
            return
        self._beating[told.instance] = self.clock.elapsed_s()
        if told.heartbeat is not None and told.mode != "standby":
            self.beat.heard(told.heartbeat)

    @property
    def daemon(self) -> m.Status | None:
        """What the daemon said last: the one whose heart beats, else the one that did last; None where none was heard."""
        alive = [s for name, s in self._status.items() if self._beats(name) and s.mode != "standby"]
        rest = [s for s in self._status.values() if s.mode != "standby"]
        return max(alive or rest or list(self._status.values()), key=lambda s: s.heartbeat or 0, default=None)

    @property
    def alive(self) -> bool:
        """Whether its heart beats."""
        daemon = self.daemon
        return daemon is not None and daemon.mode != "offline" and self._beats(daemon.instance)

    @property
    def spares(self) -> tuple[str, ...]:
        """The instances that wait to take over."""
        return tuple(sorted(name for name, status in self._status.items() if self._beats(name) and status.mode == "standby"))

    def _beats(self, instance: str) -> bool:
        last = self._beating.get(instance)
        return last is not None and self.clock.elapsed_s() - last <= SILENT_S

    def reading(self, key: str) -> Reading | None:
        """The latest reading of a sensor; None where it is stale."""
        return self._telemetry.reading(key, self.beat.now())

    def value(self, key: str) -> float | None:
        """The value of a sensor, in its unit; None where it is stale."""
        reading = self.reading(key)
        return None if reading is None else reading.value

    def age_s(self, key: str) -> float | None:
        """How old a sensor's reading is, in the site's seconds; None where it never spoke."""
        return self._telemetry.age_s(key, self.beat.now())

    @property
    def caps(self) -> dict[str, m.CapDesired]:
        """The caps sent, by pool."""
        return self._kept["cap_desired"]

    @property
    def reports(self) -> dict[str, m.CapReported]:
        """The caps that agents read back, by pool; those of nodes together."""
        pools = self._nodes.pools()
        together = {pool: self._nodes.of(pool, self.beat.now()) for pool in pools}
        return self._kept["cap_reported"] | {pool: report for pool, report in together.items() if report is not None}

    @property
    def specs(self) -> dict[str, m.JobSpec]:
        """Jobs as their schedulers know them."""
        return self._kept["job_spec"]

    @property
    def orders(self) -> dict[str, m.JobDesired]:
        """What jobs were told."""
        return self._kept["job_desired"]

    @property
    def job_reports(self) -> dict[str, m.JobReported]:
        """Where jobs stand."""
        return self._kept["job_reported"]

    @property
    def overrides(self) -> dict[str, m.OverrideState]:
        """What operators have in force, by target."""
        return self._kept["override_state"]

    @property
    def contracts(self) -> dict[str, m.ContractState]:
        """Rentals that came while the site ran."""
        return self._kept["contract_state"]

    @property
    def alarms(self) -> dict[str, m.Alarm]:
        """Alarms that stand."""
        return self._kept["alarm"]

    @property
    def plan(self) -> m.PlanCurrent | None:
        """The plan in force."""
        found: m.PlanCurrent | None = self._single.get("plan")
        return found

    @property
    def quality(self) -> m.Quality | None:
        """Which sensors are not believed."""
        found: m.Quality | None = self._single.get("quality")
        return found

    @property
    def event(self) -> m.GridEvent | None:
        """The grid operator's order to draw less."""
        found: m.GridEvent | None = self._single.get("grid_event")
        return found
