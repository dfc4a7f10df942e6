"""Sentences: every message on the bus in an operator's words, a function for each type of payload.

A sentence leaves out what only says that a sender is still alive (sequence numbers, heartbeats, a draw that wavers), so that a message
which repeats what was said before makes the same sentence again.
"""

from __future__ import annotations

import msgspec

from facility.bus import messages as m
from facility.bus.topics import BY_NAME
from facility.report.sentences.orders import ORDERS
from facility.report.sentences.people import PEOPLE
from facility.report.sentences.place import Place, Says
from facility.report.sentences.readings import READINGS
from facility.report.sentences.state import STATE

__all__ = ["SAYS", "Place", "sentence"]

SAYS: dict[type, Says] = {**READINGS, **ORDERS, **PEOPLE, **STATE}
"""What says a payload, by its type."""


def sentence(place: Place, payload: bytes) -> str:
    """Say a message; one that cannot be read says why.

    >>> from datetime import UTC, datetime
    >>> from zoneinfo import ZoneInfo
    >>> here = Place("grid_event", {"feed": "main"}, datetime(2026, 7, 1, tzinfo=UTC), ZoneInfo("UTC"))
    >>> sentence(here, b'{"start":"2026-07-01T17:00:00Z","end":"2026-07-01T18:00:00Z","target_kw":400}')
    'grid main asks for at most 400 kW from 17:00 until 18:00'
    >>> sentence(here, b'{"start":"2026-07-01T17:00:00Z","end":"2026-07-01T18:00:00Z"}')
    'grid_event main cannot be read: give exactly one of target_kw and reduction_pct'
    """
    if not payload:
        return _withdrawn(place)
    kind = BY_NAME[place.name].payload
    try:
        told = m.decode(payload, kind)
    except m.Rejected as rejected:
        return f"{' '.join((place.name, *place.ids.values()))} cannot be read: {rejected.reason}"
    return SAYS.get(kind, _plain)(told, place)


def _withdrawn(place: Place) -> str:
    what = next(iter(place.ids.values()), "")
    says = {
        "alarm": f"alarm {what} is over",
        "override_state": f"nothing is in force on {what}",
        "contract_state": f"contract {what} is over",
        "job_spec": f"job {what} is withdrawn",
        "position_state": "nothing is committed",
        "plan": "there is no plan",
    }
    return says.get(place.name, f"{' '.join((place.name.replace('_', ' '), *place.ids.values()))}: withdrawn")


def _plain(told: msgspec.Struct, place: Place) -> str:
    """A payload that has no sentence of its own: its fields as they are."""
    return f"{' '.join((place.name, *place.ids.values()))}: {msgspec.json.encode(told).decode()[:200]}"
