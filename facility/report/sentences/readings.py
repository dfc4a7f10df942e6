"""What is measured and what comes from outside the fence, in words."""

from __future__ import annotations

from facility.bus import messages as m
from facility.report.sentences.place import Place, Says, between
from facility.verdict import Verdict

MOST_NAMED = 5
"""Sensors that a sentence names."""


def _sample(told: m.Sample, place: Place) -> str:
    bad = "" if told.quality == 1 else f", quality {told.quality}: not used"
    return f"{place.ids['asset_type']} {place.ids['asset']}: {place.ids['point']} {_value(told.value)}{bad}"


def _batch(told: m.Batch, place: Place) -> str:
    return f"gateway {place.ids['gateway']} of {place.ids['hall']}: {len(told.values)} values"


def _meta(told: m.Meta, place: Place) -> str:
    period = "" if told.period_s is None else f", every {told.period_s:g} s"
    return f"{place.ids['asset_type']} {place.ids['asset']}: {place.ids['point']} is in {told.unit}{period}"


def _value(value: float | None) -> str:
    return "is missing" if value is None else f"{value:g}"


def _series(what: str) -> Says:
    def says(told: m.Series, place: Place) -> str:
        if not told.points:
            return f"{what}: nothing is told"
        values = [point.value for point in told.points]
        now = next((f"{point.value:g} {told.unit} now, " for point in told.points if point.start <= place.now < point.end), "")
        return f"{what}: {now}{between(values)} {told.unit} {place.span(told.points[0].start, told.points[-1].end)}"

    return says


def _event(told: m.GridEvent, place: Place) -> str:
    asked = f"at most {told.target_kw:g} kW" if told.target_kw is not None else f"{told.reduction_pct:g} % less"
    ramp = f", ramps of {told.ramp_min:g} min" if told.ramp_min else ""
    return f"grid {place.ids['feed']} asks for {asked} {place.span(told.start, told.end)}{ramp}"


def quality(told: m.Quality, place: Place) -> str:
    """How sensors are believed: how many are not, and the worst of them by name."""
    doubted = [f"{count} {verdict}" for verdict, count in told.counts.items() if verdict != Verdict.GOOD and count]
    if not doubted:
        return f"sensors: all {sum(told.counts.values())} good"
    named = "; ".join(f"{d.key} is {d.verdict} since {place.at(d.since)}: {d.reason}" for d in told.not_good[:MOST_NAMED])
    left = len(told.not_good) - min(len(told.not_good), MOST_NAMED) + told.left_out
    return f"sensors: {', '.join(doubted)} of {sum(told.counts.values())}: {named}{f'; and {left} more' if left else ''}"


READINGS: dict[type, Says] = {
    m.Sample: _sample,
    m.Batch: _batch,
    m.Meta: _meta,
    m.Quality: quality,
    m.GridLimit: _series("grid limit"),
    m.GridPrice: _series("price of energy"),
    m.GridCarbon: _series("carbon intensity"),
    m.WeatherSignal: _series("weather"),
    m.LoadSignal: _series("base load"),
    m.GridEvent: _event,
}
