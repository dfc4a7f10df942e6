"""Every topic of the service, in one table: pattern, direction, quality of service, retained, payload.

`Topics` builds topics of one site and takes them apart again; `facility.bus.document` writes the table down for others. Directions are
the service's: what is `in` it reads, what is `out` it publishes. In a pattern `{hall}` is one level and an id of the site file;
`{target}` is what an override aims at and has one to three levels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from facility.bus import messages as m
from facility.errors import Fault, InputError


@dataclass(frozen=True)
class Topic:
    """One row of the table. `pattern` stands below `{root}/{site}/`."""

    name: str
    pattern: str
    direction: Literal["in", "out"]
    qos: int
    retained: bool
    payload: type[m.Payload | m.Sample | m.Batch]
    summary: str


TABLE = (
    Topic("tele", "tele/{hall}/{asset_type}/{asset}/{point}", "in", 0, False, m.Sample, "one reading"),
    Topic("batch", "tele/{hall}/batch/{gateway}", "in", 0, False, m.Batch, "readings of one instant, best 50 to 500 of them"),
    Topic("meta", "meta/{hall}/{asset_type}/{asset}/{point}", "in", 1, True, m.Meta, "unit, period and range of a point"),
    Topic("grid_limit", "grid/{feed}/limit", "in", 1, True, m.GridLimit, "most that may be imported"),
    Topic("grid_price", "grid/{feed}/price", "in", 1, True, m.GridPrice, "price of energy"),
    Topic("grid_carbon", "grid/{feed}/carbon", "in", 1, True, m.GridCarbon, "carbon intensity"),
    Topic("grid_event", "grid/{feed}/event", "in", 1, True, m.GridEvent, "a called reduction; empty withdraws it"),
    Topic("signal_weather", "signal/weather", "in", 1, True, m.WeatherSignal, "outdoor temperature, as forecast"),
    Topic("signal_load", "signal/load", "in", 1, True, m.LoadSignal, "load that is not controlled, as forecast"),
    Topic("cap_desired", "cap/{hall}/{pool}/desired", "out", 1, True, m.CapDesired, "caps of a pool"),
    Topic("cap_reported", "cap/{hall}/{pool}/reported", "in", 1, True, m.CapReported, "caps that are enforced, and the draw"),
    Topic("cap_node_reported", "cap/{hall}/{pool}/node/{node}/reported", "in", 1, True, m.CapReported, "the same of one node of a pool"),
    Topic("job_spec", "job/{job}/spec", "in", 1, True, m.JobSpec, "a job that may be deferred; empty removes it"),
    Topic("job_desired", "job/{job}/desired", "out", 1, True, m.JobDesired, "run or hold a job; empty: what it said last has ended"),
    Topic("job_reported", "job/{job}/reported", "in", 1, True, m.JobReported, "where a job stands, and its GPUs"),
    Topic("contract_set", "contract/{contract}/set", "in", 1, False, m.ContractSet, "a rental comes, or changes; refused when retained"),
    Topic("contract_clear", "contract/{contract}/clear", "in", 1, False, m.ContractClear, "a rental ends"),
    Topic("contract_result", "contract/{contract}/result", "out", 1, False, m.OverrideResult, "the answer to set or clear"),
    Topic("contract_state", "contract/{contract}/state", "out", 1, True, m.ContractState, "a rental that was accepted, until its end"),
    Topic("position_set", "position/set", "in", 1, False, m.PositionSet, "what was committed a day ahead; without points: nothing"),
    Topic("position_result", "position/result", "out", 1, False, m.OverrideResult, "the answer to set"),
    Topic("position_state", "position/state", "out", 1, True, m.PositionState, "what is committed now"),
    Topic("quote_request", "quote/request", "in", 1, False, m.QuoteRequest, "what would a rental cost, when could it start"),
    Topic("quote_result", "quote/result", "out", 1, False, m.QuoteResult, "the answer to a request"),
    Topic("tenant_view", "tenant/{tenant}/view", "out", 1, True, m.TenantView, "what one tenant has now, and nothing of another's"),
    Topic("tenant_job_spec", "tenant/{tenant}/job/{job}/spec", "in", 1, True, m.JobSpec, "a tenant's own job; empty removes it"),
    Topic("cooling_desired", "cooling/{plant}/desired", "out", 1, True, m.CoolingDesired, "temperatures to hold"),
    Topic("cooling_reported", "cooling/{plant}/reported", "in", 1, True, m.CoolingReported, "temperatures held, power and stage"),
    Topic("battery_desired", "battery/{battery}/desired", "out", 1, True, m.BatteryDesired, "power of a battery"),
    Topic("battery_reported", "battery/{battery}/reported", "in", 1, True, m.BatteryReported, "power and energy of a battery"),
    Topic("genset_desired", "genset/{genset}/desired", "out", 1, True, m.GensetDesired, "power of a genset"),
    Topic("solar_desired", "solar/{solar}/desired", "out", 1, True, m.SolarDesired, "the most a solar plant may give"),
    Topic("override_set", "override/{target}/set", "in", 1, False, m.OverrideSet, "an operator's command; refused when retained"),
    Topic("override_clear", "override/{target}/clear", "in", 1, False, m.OverrideClear, "the end of an override"),
    Topic("override_result", "override/{target}/result", "out", 1, False, m.OverrideResult, "the answer, always"),
    Topic("override_state", "override/{target}/state", "out", 1, True, m.OverrideState, "what is in force now"),
    Topic("whatif_set", "whatif/{question}/set", "in", 1, False, m.WhatIfSet, "what would an override do; refused when retained"),
    Topic("whatif_result", "whatif/{question}/result", "out", 1, False, m.WhatIfResult, "the answer, always"),
    Topic("why_set", "why/{question}/set", "in", 1, False, m.WhySet, "why is something as it is; refused when retained"),
    Topic("why_result", "why/{question}/result", "out", 1, False, m.WhyResult, "the answer, always"),
    Topic("plan", "plan/current", "out", 1, True, m.PlanCurrent, "the plan in force"),
    Topic("quality", "quality/current", "out", 1, True, m.Quality, "which sensors are not believed, since when, and why"),
    Topic("status", "svc/{instance}/status", "out", 1, True, m.Status, "mode, cycle and heartbeat; also the last will"),
    Topic("alarm", "alarm/{alarm}", "out", 1, True, m.Alarm, "an alarm, until it is cleared"),
    Topic("alarm_shelve", "alarm/{alarm}/shelve", "in", 1, False, m.AlarmShelve, "an alarm is put aside for a while; refused when retained"),
    Topic("alarm_unshelve", "alarm/{alarm}/unshelve", "in", 1, False, m.AlarmUnshelve, "an alarm is taken off its shelf"),
    Topic("alarm_result", "alarm/{alarm}/result", "out", 1, False, m.OverrideResult, "the answer to shelve or unshelve"),
)

BY_NAME = {topic.name: topic for topic in TABLE}

ID = r"[a-z0-9][a-z0-9-]*"
POINT = r"[a-z0-9][a-z0-9_-]*"
TARGET = rf"site|(?:hall|job|grid)/{ID}|pool/{ID}/{ID}"
TARGET_LEVELS = ("+", "+/+", "+/+/+")


def placeholders(pattern: str) -> tuple[str, ...]:
    """Return the names in braces, in order."""
    return tuple(re.findall(r"\{(\w+)\}", pattern))


def shape(placeholder: str) -> str:
    """Return the regular expression of what may stand in a placeholder."""
    return {"point": POINT, "target": TARGET}.get(placeholder, ID)


@cache
def _by_first_level() -> Mapping[str, tuple[tuple[str, re.Pattern[str]], ...]]:
    found: dict[str, tuple[tuple[str, re.Pattern[str]], ...]] = {}
    for topic in TABLE:
        expression = re.sub(r"\{(\w+)\}", lambda hole: f"(?P<{hole[1]}>{shape(hole[1])})", topic.pattern)
        first = topic.pattern.split("/")[0]
        found[first] = (*found.get(first, ()), (topic.name, re.compile(expression)))
    return found


@dataclass(frozen=True)
class Topics:
    """The topics of one site, below `{root}/{site}`."""

    root: str
    site: str

    def of(self, name: str, **ids: str) -> str:
        """Build a topic of the table. Raises InputError for an id that cannot be a level, KeyError for one too few or many.

        >>> Topics("facility/v1", "berlin").of("cap_desired", hall="h1", pool="h100")
        'facility/v1/berlin/cap/h1/h100/desired'
        """
        pattern = BY_NAME[name].pattern
        if set(ids) != set(placeholders(pattern)):
            raise KeyError(f"{name} takes {placeholders(pattern)}")
        faults = [
            Fault(f"topic {pattern}", f"{what} {text!r} does not fit", f"use the form {shape(what)}")
            for what, text in ids.items()
            if not re.fullmatch(shape(what), text)
        ]
        if faults:
            raise InputError(*faults)
        return f"{self.root}/{self.site}/{pattern.format(**ids)}"

    def tele(self, hall: str, asset_type: str, asset: str, point: str) -> str:
        """Build the topic of one sensor's readings."""
        return self.of("tele", hall=hall, asset_type=asset_type, asset=asset, point=point)

    def batch(self, hall: str, gateway: str) -> str:
        """Build the topic of a gateway's batches."""
        return self.of("batch", hall=hall, gateway=gateway)

    def meta(self, hall: str, asset_type: str, asset: str, point: str) -> str:
        """Build the topic of a point's unit, period and range."""
        return self.of("meta", hall=hall, asset_type=asset_type, asset=asset, point=point)

    def grid(self, feed: str, what: Literal["limit", "price", "carbon", "event"]) -> str:
        """Build the topic of a grid signal."""
        return self.of(f"grid_{what}", feed=feed)

    def cap_desired(self, hall: str, pool: str) -> str:
        """Build the topic of a pool's caps."""
        return self.of("cap_desired", hall=hall, pool=pool)

    def cap_reported(self, hall: str, pool: str) -> str:
        """Build the topic of a pool's enforced caps."""
        return self.of("cap_reported", hall=hall, pool=pool)

    def cap_node_reported(self, hall: str, pool: str, node: str) -> str:
        """Build the topic of what one node of a pool enforces."""
        return self.of("cap_node_reported", hall=hall, pool=pool, node=node)

    def job(self, job: str, what: Literal["spec", "desired", "reported"]) -> str:
        """Build a topic of a job."""
        return self.of(f"job_{what}", job=job)

    def contract(self, contract: str, what: Literal["set", "clear", "result", "state"]) -> str:
        """Build a topic of a rental."""
        return self.of(f"contract_{what}", contract=contract)

    def position(self, what: Literal["set", "result", "state"]) -> str:
        """Build a topic of the committed position."""
        return self.of(f"position_{what}")

    def quote(self, what: Literal["request", "result"]) -> str:
        """Build a topic of quotes."""
        return self.of(f"quote_{what}")

    def cooling(self, plant: str, what: Literal["desired", "reported"]) -> str:
        """Build a topic of a cooling plant."""
        return self.of(f"cooling_{what}", plant=plant)

    def battery(self, battery: str, what: Literal["desired", "reported"]) -> str:
        """Build a topic of a battery."""
        return self.of(f"battery_{what}", battery=battery)

    def override(self, target: str, what: Literal["set", "clear", "result", "state"]) -> str:
        """Build a topic of a target's overrides."""
        return self.of(f"override_{what}", target=target)

    def whatif(self, question: str, what: Literal["set", "result"]) -> str:
        """Build a topic of a question what an override would do."""
        return self.of(f"whatif_{what}", question=question)

    def why(self, question: str, what: Literal["set", "result"]) -> str:
        """Build a topic of a question why something is as it is."""
        return self.of(f"why_{what}", question=question)

    def plan(self) -> str:
        """Build the topic of the plan in force."""
        return self.of("plan")

    def quality(self) -> str:
        """Build the topic of how sensors are believed."""
        return self.of("quality")

    def status(self, instance: str) -> str:
        """Build the topic of an instance's mode and heartbeat."""
        return self.of("status", instance=instance)

    def alarm(self, alarm: str, what: Literal["shelve", "unshelve", "result"] | None = None) -> str:
        """Build the topic of an alarm, or of what is commanded of it."""
        return self.of("alarm" if what is None else f"alarm_{what}", alarm=alarm)

    def patterns(self, name: str, **ids: str) -> tuple[str, ...]:
        """Return what to subscribe to for every topic of a name, or for those with these ids, as far as it has them.

        >>> Topics("facility/v1", "berlin").patterns("cap_reported")
        ('facility/v1/berlin/cap/+/+/reported',)
        >>> Topics("facility/v1", "berlin").patterns("cap_reported", pool="h100")
        ('facility/v1/berlin/cap/+/h100/reported',)
        """
        pattern = re.sub(r"\{(?!target)(\w+)\}", lambda hole: ids.get(hole[1], "+"), BY_NAME[name].pattern)
        levels = TARGET_LEVELS if "{target}" in pattern else ("",)
        return tuple(f"{self.root}/{self.site}/{pattern.replace('{target}', level)}" for level in levels)

    def parse(self, topic: str) -> tuple[str, dict[str, str]] | None:
        """Return the name and ids of a topic, or None for one that is not this site's or not in the table.

        >>> Topics("facility/v1", "berlin").parse("facility/v1/berlin/override/pool/h1/h100/set")
        ('override_set', {'target': 'pool/h1/h100'})
        """
        prefix = f"{self.root}/{self.site}/"
        if not topic.startswith(prefix):
            return None
        rest = topic[len(prefix) :]
        for name, expression in _by_first_level().get(rest.split("/", 1)[0], ()):
            if found := expression.fullmatch(rest):
                return name, found.groupdict()
        return None
