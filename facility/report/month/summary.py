"""Summary: a span as `summary.json` has it, at full precision; what is not known is null, with why beside it.

| key          | what |
|--------------|------|
| status       | `whole`, or `interim` where the span is not over or has gaps; `interim` says which |
| figures      | key figures of ISO/IEC 30134; a name that begins with i is of less than a year |
| annex        | those of Delegated Regulation (EU) 2024/1364, Annex II |
| days         | the local days |
| contracts    | what each firm contract had |
| models, tenants | work per kWh |
| calls        | what the grid asked for and what it got |
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from facility.report.month.gather import Told


def summary(told: Told) -> dict[str, Any]:
    """The span as JSON."""
    span = told.span
    return {
        "site": told.site.id,
        "name": span.name,
        "start": _iso(span.start),
        "end": _iso(span.end),
        "until": _iso(span.until),
        "timezone": told.site.timezone,
        "currency": told.site.currency,
        "status": "interim" if told.interim else "whole",
        "interim": list(told.interim),
        "import_kwh": told.import_kwh,
        "energy_cost": told.energy_cost,
        "peak_kw": told.peak_kw,
        "figures": [figure.told() for figure in told.figures],
        "annex": [figure.told() for figure in told.annex],
        "days": [asdict(day) for day in told.days],
        "contracts": [contract.told() for contract in told.contracts],
        "models": [work.told() for work in told.models],
        "tenants": [work.told() for work in told.tenants],
        "calls": [call.delivered.told() | {"reserves_kw": dict(call.reserves_kw)} for call in told.calls],
        "assumed": list(told.assumed),
    }


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
