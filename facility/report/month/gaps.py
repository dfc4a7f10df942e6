"""Gaps: what a report does not rest on, in words: time to come, meters that told nothing, hours in which nobody counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np

from facility.kpi.metered import Metered, Series
from facility.metering import battery_key
from facility.report.month.span import Span
from facility.site import Site
from facility.usage.usage import Usage

MOST_NAMES = 6
NO_JOURNAL = "no journal: contracts, tenants and calls are not known; name it with --state"


def lacking(span: Span, metered: Metered, usages: Sequence[Usage] | None) -> Iterator[str]:
    """Why the span is not told in whole; nothing where it is. `usages` are None where there is no journal."""
    if not span.over:
        yield f"it is not over: told until {_iso(span.until)} of {_iso(span.end)}"
    yield from _unmeasured(metered)
    yield from _uncounted(usages, span)


def ordered(site: Site) -> Iterator[str]:
    """What stands for meters that a site does not have."""
    unknown = [name for name in site.batteries if (told := site.sensors.get(battery_key(name))) is not None and told.absent]
    if unknown:
        yield f"batteries: {', '.join(unknown)} without a meter, as if they held as much at the end as at the beginning"
    unmetered = [name for name, genset in site.gensets.items() if not genset.metered]
    if unmetered:
        yield f"gensets: {', '.join(unmetered)} without a meter, as they were ordered"


def _unmeasured(metered: Metered) -> Iterator[str]:
    """Meters that have gaps, with how many quarters of an hour they told nothing of; those with as many together."""
    series: dict[str, Series] = {"the grid's meter": metered.import_kwh}
    series |= {f"pool {name}": kwh for name, kwh in metered.pool_kwh.items()} | {f"cooling {name}": kwh for name, kwh in metered.cooling_kwh.items()}
    series |= {"solar plants": metered.solar_kwh, "gensets": metered.genset_kwh, "water": metered.water_in_m3, "reused heat": metered.reused_kwh}
    alike: dict[int, list[str]] = {}
    for name, values in series.items():
        if values is not None and (missing := int((~np.isfinite(values)).sum())):
            alike.setdefault(missing, []).append(name)
    for missing, names in alike.items():
        shown = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
        yield f"{shown}: {missing:,} of {len(metered.start):,} quarters of an hour were not measured, and are left out"


def _uncounted(usages: Sequence[Usage] | None, span: Span) -> Iterator[str]:
    if usages is None:
        yield NO_JOURNAL
        return
    counted: dict[datetime, float] = {}
    for row in usages:
        counted[row.start] = max(counted.get(row.start, 0.0), row.hours)
    whole_h, counted_h = (span.until - span.start) / timedelta(hours=1), sum(counted.values())
    if counted_h < whole_h - 1e-6:
        yield f"who had what: {counted_h:,.2f} of {whole_h:,.2f} h were counted"


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="minutes").replace("+00:00", "Z")
