"""Columns: what stands where - the tiles, and the columns of each list."""

from __future__ import annotations

from typing import Final

from facility.console.page.listing import Column

WIDTHS: Final = {
    "power": "w3", "price": "half", "cost": "w3 half", "jobs": "half", "battery": "half", "alarms": "w4", "caps": "w4", "halls": "w4",
}  # fmt: skip
COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "pools": (
        Column("name", "pool", "opens"), Column("hall", "hall", "short", "mid"), Column("gpus", "GPUs", "num", "mid"), Column("cap", "caps sent"),
        Column("share", "of the most", "level", "mid"), Column("enforced", "enforced", "num", "wide"), Column("power", "kW", "num"),
        Column("why", "why", hide="wide"),
    ),
    "jobs": (
        Column("name", "job", "opens"), Column("state", "state", "state"), Column("tenant", "tenant", "short", "wide"),
        Column("pool", "pool", "short", "mid"), Column("gpus", "GPUs", "num"), Column("done", "done", "level", "mid"),
        Column("until", "held until", "short"), Column("deadline", "deadline", "short", "mid"), Column("why", "why", hide="wide"),
    ),
    "tenants": (
        Column("name", "tenant"), Column("contracts", "contracts", hide="mid"), Column("gpus", "GPUs rented", "num"),
        Column("running", "jobs running", "num"), Column("held", "jobs waiting", "num"),
    ),
    "feeders": (
        Column("name", "feeder", "opens"), Column("rating", "rating, kW", "num"), Column("power", "now, kW", "num"),
        Column("share", "of the rating", "share"), Column("feeds", "feeds", hide="mid"),
    ),
    "overrides": (
        Column("target", "on"), Column("what", "what"), Column("until", "until", "short"), Column("by", "by"), Column("reason", "why", hide="mid"),
        Column("priority", "priority", "num", "wide"), Column("act", "", "act"),
    ),
    "alarms": (
        Column("severity", "how bad", "short"), Column("cause", "what"), Column("since", "since", "short"), Column("place", "where", hide="mid"),
        Column("remedy", "what helps", hide="mid"), Column("act", "", "act"),
    ),
    "breaches": (Column("name", "limit", "opens"), Column("when", "when"), Column("amount", "by", "num"), Column("remedy", "what helps", hide="mid")),
}  # fmt: skip
TABS: Final = {"pools": "Pools", "jobs": "Jobs", "tenants": "Tenants", "feeders": "Feeders", "overrides": "Overrides", "alarms": "Alarms"}
WHY: Final = {"pools": "pool", "jobs": "job"}
