"""What the service tells of itself, in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from facility.bus import messages as m
from facility.report.sentences.place import Place, Says, because


def plan_end(plan: m.PlanCurrent) -> datetime:
    """When the last step of a plan that has any ends."""
    return plan.steps[-1].time + timedelta(hours=plan.steps[-1].hours)


def _plan(told: m.PlanCurrent, place: Place) -> str:
    first = told.steps[0] if told.steps else None
    limit = f" of {first.import_limit_kw:,.0f}" if first and first.import_limit_kw is not None else ""
    draws = f": import {first.import_kw:,.1f}{limit} kW now" if first else ""
    saves = "" if told.saving_pct is None else f", saves {told.saving_pct:.1f} %"
    until = f", until {place.at(plan_end(told))}" if told.steps else ""
    reason = "" if told.reason == f"plan {told.plan_id} verified" else told.reason
    return f"plan {told.plan_id}{draws}{saves}{until}{because(reason)}"


def _status(told: m.Status, _place: Place) -> str:
    alarms = f"; alarms: {', '.join(told.alarms)}" if told.alarms else ""
    shelved = f"; shelved: {', '.join(told.shelved)}" if told.shelved else ""
    return f"daemon {told.instance} is {told.mode}{because(told.reason)}{alarms}{shelved}"


def _alarm(told: m.Alarm, place: Place) -> str:
    where = f" ({told.place})" if told.place else ""
    again = f", {told.count} times, last at {place.at(told.last_at)}" if told.count > 1 and told.last_at is not None else ""
    shelf = told.shelved
    aside = f"; shelved until {place.at(shelf.until)} by {shelf.by}: {shelf.reason}" if shelf is not None else ""
    return f"{told.severity} {told.id} since {place.at(told.since)}{again}: {told.cause}{where}{because(told.remedy)}{aside}"


STATE: dict[type, Says] = {
    m.PlanCurrent: _plan,
    m.Status: _status,
    m.Alarm: _alarm,
}
