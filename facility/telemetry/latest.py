"""Messages become a snapshot of the site. Nothing here has a clock: the instant is an argument.

Every message is used or refused with a reason, and refusals are counted by kind: topic, malformed, unknown, quality, unit,
range, future, old, job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

from facility.bus import messages as m
from facility.bus.interface import Message
from facility.bus.topics import Topics
from facility.clock import milliseconds
from facility.history import Note, Nowhere
from facility.sensors import PERIOD_S, sensors
from facility.site import Site
from facility.snapshot import Job, Snapshot
from facility.tariff import charges
from facility.telemetry.balance import meter_key
from facility.telemetry.belief import Belief
from facility.telemetry.billing import Billing
from facility.telemetry.memory import Memory, recalled
from facility.telemetry.nodes import Nodes
from facility.telemetry.own_tree import decoded
from facility.telemetry.quality import OUTDOOR, Quality
from facility.telemetry.readings import Reading, Readings, Refusal, instant
from facility.telemetry.routes import MOST_TOPICS, Fact, Routes, Told
from facility.telemetry.sources import sources
from facility.telemetry.track import Track
from facility.telemetry.work import Work
from facility.usage.standing import Held

BY_POINT = {
    ("pool", "it_power_kw"): "pool_kw",
    ("hall", "air_temperature_c"): "hall_c",
    ("cooling", "power_kw"): "cooling_kw",
    ("cooling", "stored_kwh"): "thermal_store_kwh",
    ("feeder", "power_kw"): "feeder_kw",
    ("battery", "energy_kwh"): "battery_kwh",
}
"""Which mapping of the snapshot holds the points of an asset type."""
STAND_IN = frozenset({"hall_c", "battery_kwh", "thermal_store_kwh"})
"""The mappings in which the worst stands where nothing is measured; from the others it is absent."""

R = TypeVar("R", m.CapReported, m.JobReported)


class Telemetry:
    """The latest of everything that a site's sensors, agents and schedulers told. `refused` counts what was not used, by kind.

    `note` is told every reading of a sensor of the site, also those that are refused.
    """

    def __init__(self, site: Site, note: Note | None = None) -> None:
        self._note = note or Nowhere().note
        self._site, self._topics = site, Topics(site.bus.root, site.id)
        self._routes, self._readings = Routes(sources(site)), Readings(sensors(site))
        self._quality = Quality(site, self._readings)
        self._caps: dict[str, m.CapReported] = {}
        self._nodes = Nodes()
        self._meter_key = meter_key(site)
        self._work, self._billing = Work(site), Billing(site)
        self.batches: dict[str, frozenset[str]] = {}
        """The sensors that came together, by topic."""
        self.refused: Counter[str] = Counter()

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to subscribe to for readings, whole topics."""
        return self._routes.patterns

    def hear(self, message: Message, now: datetime) -> bool:
        """Take in a message of readings at `now`; False where it is none."""
        route = self._routes.of(message.topic)
        if route is None:
            return False
        self._quality.listen(now)
        try:
            self._all(message.topic, route(message.payload, message.retain), now)
        except Refusal as refusal:
            self.refused[refusal.kind] += 1
        return True

    def under(self, site: Site) -> None:
        """Take jobs under the contracts of `site`, the one in force, from now on."""
        self._work.site = site

    def owner(self, job: str) -> str | None:
        """Name the tenant of a job, done or not, "" where it has none; None where no such job is known."""
        return self._work.owners.get(job)

    def jobs(self) -> tuple[Job, ...]:
        """List the jobs with work left, by id."""
        return self._work.jobs()

    def held(self) -> tuple[Held, ...]:
        """List the jobs that are reported to run, by id, with the GPUs that they hold."""
        return self._work.held()

    @property
    def changes(self) -> int:
        """How often it changed which job holds which GPUs."""
        return self._work.changes

    def jobs_of(self, tenant: str) -> int:
        """Count the jobs of a tenant, done or not."""
        return self._work.jobs_of[tenant]

    def accept(self, message: Message, now: datetime) -> str | None:
        """Take in one message at `now`; the answer is None, or why it, or the first part of it, is not used."""
        self._quality.listen(now)
        try:
            self._accept(message, now)
        except Refusal as refusal:
            self.refused[refusal.kind] += 1
            return str(refusal)
        return None

    def reported(self, pool: str) -> m.CapReported | None:
        """Return what the agent of a pool, or those of its nodes together, reported last; None where none did, or withdrew it."""
        return self._caps.get(pool)

    def reading(self, key: str, now: datetime) -> Reading | None:
        """Return the latest reading of the sensor `key` (a `Sensor.key`); None where it is stale or never spoke."""
        return self._readings.fresh(key, now)

    def age_s(self, key: str, now: datetime) -> float | None:
        """Tell how old the latest reading of a sensor is, s; None where it never spoke."""
        return self._readings.age_s(key, now)

    def gpus(self, pool: str) -> tuple[str, ...]:
        """Name the GPUs of a pool, as far as its agent named them."""
        report = self._caps.get(pool)
        told = () if report is None else (report.gpus, *(group.gpus for group in report.groups))
        return tuple(dict.fromkeys(name for names in told if isinstance(names, tuple) for name in names))

    def gone(self, now: datetime) -> dict[str, int]:
        """Count the GPUs by pool that should be there at `now` and are not, by what its agent reported last; only where there are any."""
        self._settle(now)
        found = {}
        for pool, report in self._caps.items():
            if missing := _missing(report, self._site.pools[pool].gpus, all_named=pool in self._nodes.pools()):
                out = sum(maintenance.takes(pool, now) for maintenance in self._site.maintenance.values())
                if missing > out:
                    found[pool] = missing - out
        return found

    def snapshot(self, now: datetime) -> Snapshot:
        """Gather the site as it is believed to be at `now`; who is not heard is named in `stale`, what is not good in `doubts`."""
        self._settle(now)
        caps_w = {pool: max([r.enforced_cap_w, *(g.cap_w for g in r.groups)]) for pool, r in self._caps.items()}
        believed = self._quality.judge(now, caps_w)
        values: dict[str, dict[str, float]] = {field: {} for field in BY_POINT.values()}
        single: dict[str, Belief] = {}
        feeder_high_kw: dict[str, float] = {}
        pool_every_s: dict[str, float] = {}
        for key, it in believed.beliefs.items():
            sensor = self._readings.sensors[key]
            field = BY_POINT.get((sensor.asset_type, sensor.point))
            if field is None:
                single[key] = it
            elif it.value is not None and (it.measured or field in STAND_IN):
                values[field][sensor.asset] = it.value
                if field == "feeder_kw" and it.high is not None:
                    feeder_high_kw[sensor.asset] = it.high
                if field == "pool_kw" and (period_s := self._readings.period_s[key]) > PERIOD_S:
                    pool_every_s[sensor.asset] = period_s
        meter, outdoor = single[self._meter_key], single[OUTDOOR]
        billed = self._billing.meter
        interval_kwh, interval_s = billed.running(now)
        return Snapshot(
            at=now,
            jobs=self.jobs(),
            hall_c=values["hall_c"],
            battery_kwh=values["battery_kwh"],
            thermal_store_kwh=values["thermal_store_kwh"],
            pool_kw=values["pool_kw"],
            pool_every_s=pool_every_s,
            cooling_kw=values["cooling_kw"],
            feeder_kw=values["feeder_kw"],
            feeder_high_kw=feeder_high_kw,
            import_kw=meter.value if meter.measured else None,
            import_high_kw=meter.high if meter.measured else None,
            outdoor_c=outdoor.value if outdoor.measured else None,
            peak_so_far_kw=billed.peak_so_far_kw(now),
            peaks_so_far_kw=dict.fromkeys(charges(self._site), 0.0) | billed.peaks_so_far_kw(now),
            interval_kwh=interval_kwh,
            interval_s=interval_s,
            enforced_cap_w=caps_w,
            gone_gpus=self.gone(now),
            stale=believed.stale,
            doubts=believed.doubts,
        )

    def dump(self) -> bytes:
        """Write what a restart must not lose: the month's peak, the jobs, and what was heard last of all that is careful when it is silent."""
        work = self._work
        heard = {key: (track.used, at) for key, track in self._lasting() if (at := track.newest_at) is not None}
        return msgspec.json.encode(Memory(self._site.id, self._billing.meter.metered, work.specs, work.reports, work.running_since, heard))

    def restore(self, state: bytes, now: datetime | None = None) -> tuple[str, ...]:
        """Read what `dump` wrote; the answer names each job that the site file no longer allows, and why.

        `now` is the present instant: what is of a later one, by a clock that was set back since, counts as of now.

        Raises InputError where it cannot be read or is another site's.
        """
        memory = recalled(state, self._site.id)
        self._work, self._billing = Work(self._work.site), Billing(self._site, memory.metered)
        self._work.reports.update(memory.reports)
        since = memory.running_since
        self._work.running_since.update(since if now is None else {job: min(at, now) for job, at in since.items()})
        for key, track in self._lasting():
            if (last := memory.heard.get(key)) is not None:
                value, at = last
                track.recall(value, at if now is None else min(at, now))
        lost = []
        for job, spec in memory.specs.items():
            try:
                self._work.specify(job, spec)
            except Refusal as refusal:
                lost.append(f"job/{job}: {refusal}")
        return tuple(lost)

    def _lasting(self) -> Iterator[tuple[str, Track]]:
        """The sensors of which a last value says something for a while: the meter, the weather, temperatures and stores."""
        for key, track in self._readings.tracks.items():
            sensor = track.sensor
            if key in (self._meter_key, OUTDOOR) or BY_POINT.get((sensor.asset_type, sensor.point)) in STAND_IN:
                yield key, track

    def _accept(self, message: Message, now: datetime) -> None:
        if (route := self._routes.of(message.topic)) is not None:
            self._all(message.topic, route(message.payload, message.retain), now)
            return
        told = bool(message.payload)
        match self._topics.parse(message.topic):
            case "job_spec", {"job": job}:
                self._work.specify(job, decoded(message.payload, m.JobSpec) if told else None)
            case "job_reported", {"job": job}:
                self._work.report(job, _report(message, m.JobReported, now) if told else None)
            case "cap_reported", {"hall": hall, "pool": pool}:
                self._enforced(hall, pool, _report(message, m.CapReported, now) if told else None)
            case "cap_node_reported", {"hall": hall, "pool": pool, "node": node}:
                self._node_enforced(hall, pool, node, _report(message, m.CapReported, now) if told else None, now)
            case _:
                raise Refusal("topic", f"{message.topic} tells nothing of this site's state")

    def _all(self, topic: str, facts: Iterable[Fact], now: datetime) -> None:
        """Keep what can be kept, then refuse with the first that cannot; the others are counted here."""
        refusals: list[Refusal] = []
        for fact in facts:
            try:
                if isinstance(fact, Told):
                    if len(fact.values) > 1:
                        self._note_batch(topic, fact.values)
                    at = self._instant(fact, now)
                    self._take(fact, at, milliseconds(now) if at is now else fact.at_ms or 0, now, refusals)
                elif isinstance(fact, Refusal):
                    refusals.append(fact)
                else:
                    self._readings.describe(fact.key, fact.meta)
            except Refusal as refusal:
                if isinstance(fact, Told):  # of a time that cannot be
                    self._note_refused(fact.values, milliseconds(now), refusal)
                refusals.append(refusal)
        if refusals:
            self.refused.update(refusal.kind for refusal in refusals[1:])
            raise refusals[0]

    def _take(self, told: Told, at: datetime, at_ms: int, now: datetime, refusals: list[Refusal]) -> None:
        for key, value in told.values.items():
            try:
                reading = self._readings.take(key, value, at, told.quality, told.convert, now)
            except Refusal as refusal:
                self._note_refused({key: value}, at_ms, refusal)
                refusals.append(refusal)
                continue
            self._note(key, at_ms, reading.value, reading.verdict)
            if key == self._meter_key:
                self._billing.take(reading, self._readings.tracks[key], self._readings.patience(key))

    def _instant(self, told: Told, now: datetime) -> datetime:
        """When something was measured; of senders whose clock is ahead it is known why they are not heard."""
        try:
            return instant(told.at_ms, now)
        except Refusal as refusal:
            for key in told.values:
                if (track := self._readings.tracks.get(key)) is not None:
                    track.refused = (str(refusal), now)
            raise

    def _note_batch(self, topic: str, keys: Collection[str]) -> None:
        """Know which sensors come together, so that when they fall silent together one cause is told."""
        known = self.batches.get(topic, frozenset())
        if len(known) < len(keys) and len(self.batches) < MOST_TOPICS:
            self.batches[topic] = known | self._readings.sensors.keys() & frozenset(keys)

    def _note_refused(self, values: Mapping[str, float | None], at_ms: int, refusal: Refusal) -> None:
        """Note readings as they were told; of sensors of the site, so that nobody fills the history with names."""
        for key in values.keys() & self._readings.sensors.keys():
            self._note(key, at_ms, values[key], refusal.kind)

    def _settle(self, now: datetime) -> None:
        """Know at `now` which nodes of pools have fallen silent."""
        for pool in self._nodes.pools():
            if (report := self._nodes.of(pool, now)) is not None:
                self._caps[pool] = report

    def _node_enforced(self, hall: str, pool: str, node: str, report: m.CapReported | None, now: datetime) -> None:
        self._known_pool(hall, pool)
        if refused := self._nodes.take(pool, node, report):
            raise Refusal("old" if "older" in refused else "unknown", f"node {node} of pool {pool}: {refused}")
        if report is None:
            self._caps.pop(pool, None)
        self._settle(now)

    def _known_pool(self, hall: str, pool: str) -> None:
        if pool not in self._site.pools or self._site.pools[pool].hall != hall:
            raise Refusal("unknown", f"the site has no pool {pool} in hall {hall}")

    def _enforced(self, hall: str, pool: str, report: m.CapReported | None) -> None:
        self._known_pool(hall, pool)
        if pool in self._nodes.pools():
            raise Refusal("unknown", f"pool {pool} is told node by node; withdraw its own report, or those of its nodes")
        if report is None:
            self._caps.pop(pool, None)
            return
        last = self._caps.get(pool)
        if last is not None and report.timestamp < last.timestamp:
            raise Refusal("old", f"pool {pool}: older than the latest report")
        self._caps[pool] = report


def _missing(report: m.CapReported, gpus: int, *, all_named: bool) -> int:
    """Of `gpus` GPUs of a pool those that its agent does not have, as it names, counts or lacks them; `all_named`: it names all it has."""
    named = report.gone if isinstance(report.gone, int) else len(set(report.gone))
    here = len(report.gpus) if all_named and isinstance(report.gpus, tuple) else report.gpus
    lacked = gpus - here if isinstance(here, int) else 0
    return min(max(named, lacked), gpus)


def _report(message: Message, kind: type[R], now: datetime) -> R:
    report = decoded(message.payload, kind)
    instant(report.timestamp, now)
    return report
