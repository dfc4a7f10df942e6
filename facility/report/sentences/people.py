"""What people ask for and are answered, in words."""

from __future__ import annotations

from facility.bus import messages as m
from facility.report.sentences.place import Place, Says, because, between, number_of


def _override_set(told: m.OverrideSet, place: Place) -> str:
    until = f" until {place.at(told.end)}" if told.end is not None else f" for {told.ttl_s / 60:g} min" if told.ttl_s is not None else ""
    return f"{told.by} orders {_ordered(told.kind, told.value)} on {place.ids['target']}{until} (priority {told.priority}){because(told.reason)}"


def _override_clear(told: m.OverrideClear, place: Place) -> str:
    return f"{told.by} clears {told.id} on {place.ids['target']}{because(told.reason)}"


def _ordered(kind: str, value: float | None) -> str:
    amounts = {"cap_w": f"a cap of {value} W", "import_limit_kw": f"an import limit of {value} kW"}
    return kind if value is None else amounts.get(kind, f"{kind} {value}").replace(".0 ", " ")


def _result(told: m.OverrideResult, place: Place) -> str:
    about = {"override_result": "override on ", "contract_result": "contract ", "position_result": "position", "alarm_result": "alarm "}[place.name]
    what = about + next(iter(place.ids.values()), "")
    until = "" if told.until is None else f" until {place.at(told.until)}"
    return f"{what}: {told.status}{until}{because(told.reason)}"


def _alarm_shelve(told: m.AlarmShelve, place: Place) -> str:
    until = f" until {place.at(told.end)}" if told.end is not None else f" for {told.ttl_s / 60:g} min" if told.ttl_s is not None else ""
    return f"{told.by} shelves alarm {place.ids['alarm']}{until}{because(told.reason)}"


def _alarm_unshelve(told: m.AlarmUnshelve, place: Place) -> str:
    return f"{told.by} takes alarm {place.ids['alarm']} off its shelf{because(told.reason)}"


def _override_state(told: m.OverrideState, place: Place) -> str:
    each = (f"{_ordered(o.kind, o.effective)} by {o.by} until {place.at(o.end)}" for o in told.overrides)
    return f"in force on {place.ids['target']}: {', '.join(each)}"


def _contract_set(told: m.ContractSet, place: Place) -> str:
    return f"{told.by} asks for contract {_contract(told, place)}"


def _contract_clear(told: m.ContractClear, place: Place) -> str:
    return f"{told.by} ends contract {place.ids['contract']}{because(told.reason)}"


def _contract_state(told: m.ContractState, place: Place) -> str:
    return f"contract {_contract(told, place)}"


def _contract(told: m.ContractSet, place: Place) -> str:
    gpus = f"{number_of(told.gpus)} of {told.pool}" if told.gpus else "terms of jobs"
    return f"{place.ids['contract']}: {gpus} for {told.tenant} ({told.kind}) {place.span(told.start, told.end)}{because(told.reason)}"


def _position_set(told: m.PositionSet, place: Place) -> str:
    if not told.points:
        return f"{told.by} withdraws the position{because(told.reason)}"
    return f"{told.by} commits to {_steps(told.points, place)}{because(told.reason)}"


def _position_state(told: m.PositionState, place: Place) -> str:
    return f"committed by {told.by}: {_steps(told.points, place)}" if told.points else "nothing is committed"


def _steps(points: tuple[m.Step, ...], place: Place) -> str:
    values = [point.value for point in points]
    return f"{between(values)} kW {place.span(points[0].start, points[-1].end)}"


def _quote_request(told: m.QuoteRequest, place: Place) -> str:
    where = f" of {told.pool or told.gpu_model}" if told.pool or told.gpu_model else ""
    since = f" from {place.at(told.start)}" if told.start else ""
    return f"{told.by} asks what {number_of(told.gpus)}{where} for {told.hours:g} h{since} would cost"


def _quote_result(told: m.QuoteResult, _place: Place) -> str:
    return f"quote: {told.says}" if told.status == "ok" else f"quote: {told.status}{because(told.says)}"


def _tenant_view(told: m.TenantView, _place: Place) -> str:
    parts = [f"{rental.contract} runs {rental.running} of {number_of(rental.gpus)} at {rental.speed:.0%}" for rental in told.rentals]
    if told.jobs or told.jobs_left_out:
        running = sum(job.running > 0 for job in told.jobs)
        parts.append(f"{running} of {len(told.jobs) + told.jobs_left_out} jobs run")
    parts += [f"job {refusal.job} was not taken: {refusal.reason}" for refusal in told.refused]
    return f"tenant {told.tenant}: {'; '.join(parts) or 'nothing runs'}"


def _what_if(told: m.WhatIfSet, _place: Place) -> str:
    each = (f"clear {c.clear} on {c.target}" if c.kind is None else f"{_ordered(c.kind, c.value)} on {c.target}" for c in told.changes)
    return f"{told.by} asks what would become of {' and '.join(each)}"


def _why(told: m.WhySet, _place: Place) -> str:
    return f"{told.by} asks why {told.about} is as it is"


def _told(told: m.WhatIfResult | m.WhyResult, place: Place) -> str:
    words = {"whatif_result": "what if", "why_result": "why"}[place.name]
    return f"{words}: {told.says}" if told.status == "ok" else f"{words}: {told.status}{because(told.says)}"


PEOPLE: dict[type, Says] = {
    m.OverrideSet: _override_set,
    m.OverrideClear: _override_clear,
    m.OverrideResult: _result,
    m.AlarmShelve: _alarm_shelve,
    m.AlarmUnshelve: _alarm_unshelve,
    m.OverrideState: _override_state,
    m.ContractSet: _contract_set,
    m.ContractClear: _contract_clear,
    m.ContractState: _contract_state,
    m.PositionSet: _position_set,
    m.PositionState: _position_state,
    m.QuoteRequest: _quote_request,
    m.QuoteResult: _quote_result,
    m.TenantView: _tenant_view,
    m.WhatIfSet: _what_if,
    m.WhatIfResult: _told,
    m.WhySet: _why,
    m.WhyResult: _told,
}
