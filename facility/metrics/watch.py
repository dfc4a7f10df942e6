"""Watch: what is believed and what is wrong - sensors, alarms, the guard, the gate, the bus.

Sensors are counted by verdict; of those that are not good the ones that are believed least are named, `MOST_NAMED` at most, so that the number of
series stays bounded whatever fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from facility.metrics.family import Families
from facility.metrics.figures import Figures
from facility.verdict import RANK, Verdict

MOST_NAMED = 100
SEVERITIES = ("warning", "alarm", "critical")
CUTS = ("grid", "feeder", "group", "hall")
GATE = (1, 3, 4, 5, 6, 12, 13, 14, 15)
"""The invariants that the gate looks at."""


def watch(told: Figures, families: Families) -> Iterator[Metric]:
    """Everything that somebody watches."""
    yield from _sensors(told, families)
    yield from _alarms(told, families)
    yield from _safety(told, families)
    yield from _bus(told, families)


def _sensors(told: Figures, families: Families) -> Iterator[Metric]:
    doubts = told.here.snapshot.doubts
    counts = Counter(doubt.verdict for doubt in doubts.values())
    counts[Verdict.GOOD] = told.sensors - len(doubts)
    by_verdict = (((verdict.value,), counts[verdict]) for verdict in Verdict)
    yield families.gauge("sensors", "Sensors, by how far they are believed.", by_verdict, ("verdict",))
    worst = sorted(doubts.values(), key=lambda doubt: (-RANK[doubt.verdict], doubt.key))[:MOST_NAMED]
    says = f"1 for each sensor that is not believed as it is, the least believed {MOST_NAMED} at most."
    yield families.gauge("sensor_doubted", says, (((doubt.key, doubt.verdict.value), 1.0) for doubt in worst), ("sensor", "verdict"))
    yield families.counts("readings_refused", "Readings and reports that were not used, by why.", "reason", told.refused)


def _alarms(told: Figures, families: Families) -> Iterator[Metric]:
    standing = (((severity,), told.alarms.get(severity, 0)) for severity in SEVERITIES)
    yield families.gauge("alarms_standing", "Alarms that stand, by severity.", standing, ("severity",))
    yield families.one("alarms_shelved", "Alarms that people put aside for a while.", told.shelved)
    yield families.counts("alarms_raised", "Alarms that were told, by severity.", "severity", told.counted.raised, SEVERITIES)


def _safety(told: Figures, families: Families) -> Iterator[Metric]:
    counted = told.counted
    yield families.counter("guard_steps", "How often the guard made caps give way to what meters showed.", [((), counted.guard_steps)])
    cuts = (((place,), told.cuts.get(place, 0)) for place in CUTS)
    yield families.gauge("guard_cuts", "Places whose caps the guard holds down, by their kind.", cuts, ("place",))
    kept = {f"I{number}": many for number, many in counted.kept_back.items()}
    says = "Findings of the last look at messages where the message was kept back, by invariant; any is a fault of the service."
    yield families.counts("gate_kept_back", says, "invariant", kept, (f"I{number}" for number in GATE))
    through = {f"I{number}": many for number, many in counted.let_through.items()}
    says = "Findings of the last look at messages where the message went out, for it only lowers, by invariant."
    yield families.counts("gate_let_through", says, "invariant", through, (f"I{number}" for number in GATE))
    yield families.counter("faults", "Faults of the program that it got over; its log tells each kind once.", [((), told.faults)])


def _bus(told: Figures, families: Families) -> Iterator[Metric]:
    wire, counted = told.wire, told.counted
    yield families.one("bus_connected", "1 where the broker accepted us and no loss was noticed since, else 0.", wire.connected)
    yield families.one("bus_answers", "1 where the broker sends our heartbeat back, else 0: then nobody may hear us.", wire.answers)
    yield families.counter("bus_connections", "How often the broker accepted us.", [((), wire.connections)])
    yield families.counter("messages_dropped", "Messages that came in and were lost: too many at once, or unreadable.", [((), wire.dropped)])
    yield families.counts("messages_received", "Messages that were taken in, by kind of topic.", "topic", counted.received)
    yield families.counts("messages_published", "Messages that were handed to the bus, by kind of topic.", "topic", counted.published)
