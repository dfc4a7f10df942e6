"""Tables: a span as rows of text, for the terminal and for paper. A figure that is not known is a dash; why stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from facility.kpi.figure import Figure
from facility.kpi.work import SITE, Work
from facility.report.month.gather import Called, Told

UNKNOWN = "-"
MOST_INTERRUPTIONS = 300
CAUSES = {
    "gone": "GPUs were gone",
    "pause": "its contract lets it pause",
    "operator": "an operator",
    "guard": "the guard",
    "power": "power was short or dear",
}
"""Causes of `facility.usage` in words."""


@dataclass(frozen=True)
class Rows:
    """A table: an anchor, a heading, heads of columns, rows, and which columns are numbers. `note` stands under the heading."""

    key: str
    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: tuple[int, ...] = ()
    note: str = ""


def number(value: float | None, digits: int = 1) -> str:
    """A number as people read it; a dash where there is none.

    >>> number(1234.56), number(None), number(0.98765, 3)
    ('1,234.6', '-', '0.988')
    """
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def tables(told: Told) -> Iterator[Rows]:
    """Every table that has a row."""
    zone = ZoneInfo(told.site.timezone)
    every = (
        _figures("figures", "Key figures", told.figures),
        _contracts(told),
        _interruptions(told, zone),
        _slow(told),
        _calls(told.calls, zone),
        _work("models", "Work per kWh, by GPU model", "model", told.models),
        _work("tenants", "Work per kWh, by tenant", "tenant", told.tenants),
        _days(told),
        _figures("annex", "For the Union's database", told.annex),
    )
    yield from (table for table in every if table.rows)


def _figures(key: str, title: str, figures: Sequence[Figure]) -> Rows:
    rows = [
        (
            figure.name,
            number(figure.value, 3 if abs(figure.value or 0.0) < 100 else 1),
            figure.unit,
            (figure.unknown or figure.says).replace("`", ""),
            "" if figure.value is None else f"{figure.covered:.1%}",
            figure.source,
        )
        for figure in figures
    ]
    note = "A name that begins with i is of less than a year. What was measured only in part says of how much of the time it is."
    return Rows(key, title, ("figure", "value", "unit", "of what, or what it needs", "of the time", "source"), rows, (1, 4), note)


def _contracts(told: Told) -> Rows:
    rows = [
        (
            each.contract,
            each.tenant,
            number(each.promised_gpu_h),
            number(each.gpu_h),
            UNKNOWN if each.availability is None else f"{each.availability:.3%}",
            number(each.speed, 4),
            number(each.floor_speed, 3),
            number(each.short_gpu_h, 2),
            number(each.credit, 2),
        )
        for each in told.contracts
    ]
    head = ("contract", "tenant", "promised GPU h", "ran", "availability", "mean speed", "least promised", "short of it, GPU h")
    note = "Speed is of the GPUs that ran. Credits are for GPU hours missed and for slow ones that the contract grants."
    return Rows("contracts", "Contracts", (*head, f"credit, {told.site.currency}"), rows, (2, 3, 4, 5, 6, 7, 8), note)


def _interruptions(told: Told, zone: ZoneInfo) -> Rows:
    every = [(each, one) for each in told.contracts for one in each.interruptions]
    shown = sorted(every, key=lambda found: (found[1].cause == "pause", found[1].since, found[0].contract))
    rows = [
        (
            each.contract,
            f"{one.since.astimezone(zone):%a %d %b %H:%M}",
            number(one.hours, 2),
            number(one.gpus),
            number(one.missed_gpu_h, 2),
            CAUSES.get(one.cause, one.cause),
        )
        for each, one in shown[:MOST_INTERRUPTIONS]
    ]
    more = len(shown) - len(rows)
    note = "Those that a contract lets happen stand last." + (f" {more:,} more stand in summary.json." if more else "")
    return Rows("interruptions", "Interruptions", ("contract", "since", "hours", "GPUs", "GPU h missed", "because"), rows, (2, 3, 4), note)


def _slow(told: Told) -> Rows:
    whole = {True: "", False: "cut off"}
    rows = [
        (each.contract, window.window, *(number(hours, 2) for hours in (window.used_h, window.granted_h, window.over_h)), whole[window.whole])
        for each in told.contracts
        for window in each.windows
        if window.used_h > 0
    ]
    note = "Hours at the greatest slow-down that a contract grants; half-slow ones count half."
    return Rows("slow", "Slow hours", ("contract", "day, week or month", "used", "granted", "over", ""), rows, (2, 3, 4), note)


def _calls(calls: Sequence[Called], zone: ZoneInfo) -> Rows:
    rows = []
    for call in calls:
        found, event = call.delivered, call.delivered.event
        asked = f"at most {event.target_kw:,.1f} kW" if event.target_kw is not None else f"{event.reduction_pct or 0.0:g} % less"
        reserves = ", ".join(f"{name} {kw:,.0f} kW" for name, kw in call.reserves_kw.items())
        told = found.unknown or (found.baseline.method if found.baseline is not None else "")
        rows.append(
            (
                f"{event.start.astimezone(zone):%a %d %b %H:%M} to {event.end.astimezone(zone):%H:%M}",
                asked,
                number(found.asked_kw),
                number(found.baseline_kw),
                number(found.delivered_kw),
                number(found.delivered_kwh),
                number(found.late_min),
                number(found.over_min),
                number(found.rebound_kwh),
                "; ".join(part for part in (reserves, told) if part),
            )
        )
    head = ("call", "order", "asked kW", "baseline kW", "delivered kW", "kWh", "late, min", "over, min", "rebound kWh", "reserves sold; baseline")
    return Rows("calls", "Calls of the grid", head, rows, (2, 3, 4, 5, 6, 7, 8))


def _work(key: str, title: str, who: str, works: Sequence[Work]) -> Rows:
    rows = [
        (
            work.key if work.key != SITE else "nobody: the site's own",
            number(work.gpu_h),
            number(work.speed_gpu_h),
            number(work.energy_kwh),
            number(work.per_kwh, 3),
            f"{work.covered:.1%}",
        )
        for work in works
    ]
    head = (who, "GPU h", "at full speed", "energy, kWh", "GPU h at full speed per kWh", "of the GPU h")
    note = "Measured energy of each pool, shared out by who was expected to draw it; cooling and losses are not in it."
    return Rows(key, title, head, rows, (1, 2, 3, 4, 5), note)


def _days(told: Told) -> Rows:
    shown = {"pue": "PUE", "cue": "CUE, kg/kWh", "wue1": "WUE, l/kWh", "ref": "REF", "erf": "ERF"}
    rows = [
        (
            day.date,
            number(day.hours, 0 if day.hours == int(day.hours) else 2),
            number(day.total_kwh),
            number(day.it_kwh),
            *(number(day.figures.get(key), 3) for key in shown),
            number(day.peak_kw),
            f"{day.covered:.1%}",
        )
        for day in told.days
    ]
    head = ("day", "h", "energy, kWh", "of IT", *shown.values(), "peak kW", "of the time")
    return Rows("days", "By day", head, rows, tuple(range(1, len(head))))
