"""Telling: the answer as a table, sentences, `capacity.csv`, `hours.csv` and `summary.json`.

| file         | a row is           | columns                                                                                            |
|--------------|--------------------|----------------------------------------------------------------------------------------------------|
| capacity.csv | a place and speed  | slower_pct, gpus, untouched_gpus, limit and asset that bind, from when, what binds next and at how many |
| hours.csv    | an hour            | outdoor_c, import_limit_kw, present_kw, present_slowed_kw, free_gpus; by per cent: gpus, limit, speed |

`free_gpus` is what the hour takes while everybody runs at full speed, `gpus` what it takes where everybody gives what is agreed.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from facility.capacity.answer import Answer, Case, Level
from facility.capacity.check import Checked
from facility.capacity.place import Place
from facility.capacity.reach import LimitOf, Reach
from facility.limits import WORDS, rounded
from facility.report.tables import instant

READ = "slow hours: they are slowed; longest run: of such hours; lost: share of their work; rentals slow: hours in which present ones are slowed"
TOLD_HOURS, HOURS_A_YEAR = 10, 8760
COLUMNS = ("slower, %", "rentals", "GPUs", "slow hours", "of all, %", "longest run", "lost, %", "GWh a year", "rentals slow")
AGREED, UNTOUCHED = "as agreed", "full speed"
HEADS = (
    "place", "hall", "feeder", "gpu_model", "curve", "slower_pct", "gpus", "untouched_gpus", "limit", "asset", "time", "next_limit", "next_asset",
    "next_gpus",
)  # fmt: skip


def noun(limit: LimitOf) -> str:
    """A limit in an operator's words."""
    return WORDS[limit[0]].of(limit[1])


def short_rows(told: Answer) -> Iterator[Sequence[str]]:
    """Rows of the table that is printed, two for each speed."""
    for level in told.levels:
        for words, case in ((AGREED, level.agreed), (UNTOUCHED, level.untouched)):
            lost = case.shortage
            slow, share, gwh = lost.slowed, lost.lost_share, float(lost.added_kw.mean()) * HOURS_A_YEAR / 1e6
            yield [
                f"{level.slower_pct:g}", words, f"{case.gpus:,}", f"{int(slow.sum()):,}", f"{100 * float(slow.mean()):.2f}",
                f"{lost.longest[1]:,}", f"{100 * share:.3f}", f"{gwh:,.3f}", f"{int(lost.present_gives.sum()):,}",
            ]  # fmt: skip


def place_rows(told: Answer) -> Iterator[Sequence[str]]:
    """A row for each place: the GPUs that fit by speed, those that take most first."""
    for found in sorted(told.every, key=lambda each: [-each.contracted[speed].gpus for speed in sorted(told.speeds)]):
        yield [found.place.name, found.place.gpu_model, *(f"{found.contracted[speed].gpus:,}" for speed in told.speeds)]


def said(told: Answer) -> Iterator[str]:
    """What stands under the table."""
    for level in told.levels:
        yield f"{level.slower_pct:g} % slower: {_limit_said(told, level)}"
        if level.speed > 1 - level.slower_pct / 100 + 1e-9:
            yield f"  the lowest cap that can be set makes them {100 * (1 - level.speed):.1f} % slower, no more"
        if level.waiting is not None:
            yield f"  if jobs wait, none longer than its slack: {level.waiting:,} GPUs"
        elif told.question.jobs:
            yield "  jobs that wait are not all done in time, even without more GPUs"
        if level.checked is not None:
            yield f"  {checked_said(told, level)}"
    for shared in told.shared:
        hours = f"in {shared.hours:,} hours, {100 * shared.lost_share:.3f} % of their work lost"
        yield f"paused in at most {shared.hours_pct:g} % of the hours, everybody else at full speed: {shared.gpus:,} GPUs ({hours})"


def why_nothing(told: Answer) -> str:
    """Why no GPU fits, of the place that comes nearest."""
    reach = max((reach for found in told.every for reach in found.contracted.values()), key=lambda each: float(each.most.min()))
    hour, under = int(np.argmin(reach.most)), int((reach.most < 1).sum())
    found = f"{noun(reach.binding)} leaves no room on {_local(told, hour)}, nor in {under - 1:,} other hours"
    return f"nothing fits: {found}; see what is assumed of jobs (--busy, --jobs)"


def checked_said(told: Answer, level: Level) -> str:
    """What plans of the tightest day said."""
    checked = level.checked
    if checked is None:
        return "no plan was asked"
    day = f"{checked.at.astimezone(told.question.span.zone):%Y-%m-%d}"
    fits = {True: "no limit broken", False: "LIMITS BROKEN", None: "no plan in time"}[checked.fits]
    breaks = {True: _breach_said(told, level, checked), False: "nothing is broken either, more would fit", None: "no plan in time"}[checked.breaks]
    names = ", ".join(sorted({f"{each['family']} of {each['asset']}" for each in checked.as_is_broken}))
    as_is = {True: "no limit broken", False: f"broken: {names}", None: "no plan in time"}[checked.as_is]
    if level.agreed.reach.spared:
        fits += f" ({level.agreed.reach.spared:,} fewer than were reckoned)"
    return f"planned with them on {day}: {fits}; with {checked.more - checked.gpus:,} more: {breaks}; the site as it is, batteries and all: {as_is}"


def as_json(told: Answer) -> dict[str, Any]:
    """`summary.json`."""
    span, place = told.question.span, told.place
    return {
        "site": span.site.id,
        "start": instant(span.start),
        "end": instant(span.end),
        "hours": len(told.limit_kw),
        "currency": span.site.currency,
        "fits": told.fits,
        "place": {
            **_place_json(place), "hall": place.hall, "feeder": place.feeder, "curve": place.curve, "gpu_kw": float(place.draws_kw(1.0)),
        },
        "levels": [_level_json(told, level) for level in told.levels],
        "shared": [asdict(shared) for shared in told.shared],
        "places": [{**_place_json(found.place), "gpus": [found.contracted[speed].gpus for speed in told.speeds]} for found in told.every],
        "assumed": list(told.question.assumed),
    }  # fmt: skip


def dumped(told: Answer) -> str:
    """`summary.json` as text."""
    return json.dumps(as_json(told), indent=2, allow_nan=False) + "\n"


def capacity_csv(told: Answer) -> str:
    """`capacity.csv`."""
    rows = []
    for found in told.every:
        for pct, speed in zip(told.question.slower_pct, told.speeds, strict=True):
            reach, place = found.contracted[speed], found.place
            (family, asset), following = reach.binding, reach.following
            after = ["", "", ""] if following is None else [*following[0], following[1]]
            at = instant(told.at(int(np.argmin(reach.most))))
            here = [place.name, place.hall, place.feeder, place.gpu_model, place.curve, pct]
            rows.append([*here, reach.gpus, found.untouched[speed].gpus, family, asset, at, *after])
    return _csv(HEADS, rows)


def hours_csv(told: Answer) -> str:
    """`hours.csv`, of the place that takes most."""
    free = told.best.free.most
    heads = ["time", "outdoor_c", "import_limit_kw", "present_kw", "present_slowed_kw", "free_gpus"]
    columns: list[Sequence[Any]] = [
        [instant(at) for at in told.question.span.edges[:-1]],
        *([repr(value) for value in each.tolist()] for each in (told.outdoor_c, told.limit_kw, told.present_kw, told.slowed_kw)),
        [_finite(value) for value in free.tolist()],
    ]
    for level in told.levels:
        heads += [f"gpus_{level.slower_pct:g}", f"limit_{level.slower_pct:g}", f"speed_{level.slower_pct:g}"]
        names = [" ".join(filter(None, name)) for name in level.agreed.reach.names]
        columns += [
            [_finite(value) for value in level.agreed.reach.most.tolist()],
            [names[i] for i in level.agreed.reach.tightest.tolist()],
            [repr(value) for value in level.agreed.shortage.speed.tolist()],
        ]
    return _csv(heads, list(zip(*columns, strict=True)))


def tightest_hours(told: Answer, reach: Reach) -> list[dict[str, Any]]:
    """The hours that take fewest, the tightest first."""
    first = np.argsort(reach.most, kind="stable")[:TOLD_HOURS].tolist()
    return [_hour(told, reach, t) for t in first]


def short_hours(told: Answer, gpus: int) -> dict[str, dict[str, int]]:
    """How many hours take fewer at full speed than are added: by limit, by local month, by local hour of the day."""
    free, zone = told.best.free, told.question.span.zone
    short = np.flatnonzero(free.most < gpus - 1e-6).tolist()
    local = [told.at(t).astimezone(zone) for t in short]
    limits = Counter(" ".join(filter(None, free.names[int(free.tightest[t])])) for t in short)
    return {
        "by_limit": dict(limits.most_common()),
        "by_month": {str(month): count for month, count in sorted(Counter(at.month for at in local).items())},
        "by_hour": {str(hour): count for hour, count in sorted(Counter(at.hour for at in local).items())},
    }


def _place_json(place: Place) -> dict[str, Any]:
    return {"new_hall": place.new_hall, "pool": place.pool, "gpu_model": place.gpu_model}


def _level_json(told: Answer, level: Level) -> dict[str, Any]:
    checked = level.checked
    return {
        "slower_pct": level.slower_pct,
        "least_speed": level.speed,
        "waiting_gpus": level.waiting,
        "as_agreed": _case_json(told, level.agreed),
        "full_speed": _case_json(told, level.untouched),
        "lacks_kw_with_more": level.lacks_kw,
        "checked": None
        if checked is None
        else asdict(checked) | {"at": instant(checked.at), "agrees": checked.agrees, "as_is_broken": list(checked.as_is_broken)},
    }


def _case_json(told: Answer, case: Case) -> dict[str, Any]:
    reach, lost = case.reach, case.shortage
    (family, asset), following, (began, lasts) = reach.binding, reach.following, lost.longest
    then = None if following is None else {"limit": following[0][0], "asset": following[0][1], "words": noun(following[0]), "gpus": following[1]}
    return {
        "gpus": case.gpus,
        "binds": {"limit": family, "asset": asset, "words": noun(reach.binding), "lift_kw": case.lift_kw},
        "then": then,
        "slowed_hours": int(lost.slowed.sum()),
        "slowed_share": float(lost.slowed.mean()),
        "longest_h": lasts,
        "longest_from": instant(told.at(began)) if lasts else None,
        "lost_gpu_h": lost.lost_gpu_h,
        "lost_share": lost.lost_share,
        "rentals_slowed_hours": int(lost.present_gives.sum()),
        "energy_kwh": float(lost.added_kw.sum()),
        "energy_cost": lost.cost,
        "carbon_kg": lost.carbon_kg,
        "tightest": tightest_hours(told, reach),
        "short": short_hours(told, case.gpus),
    }


def _hour(told: Answer, reach: Reach, t: int) -> dict[str, Any]:
    family, asset = reach.names[int(reach.tightest[t])]
    most = float(reach.most[t])
    gpus, outdoor_c = most if np.isfinite(most) else None, float(told.outdoor_c[t])
    return {"time": instant(told.at(t)), "gpus": gpus, "limit": family, "asset": asset, "outdoor_c": outdoor_c}


def _limit_said(told: Answer, level: Level) -> str:
    hour = int(np.argmin(level.agreed.reach.most))
    text = f"{level.agreed.gpus:,} GPUs; {noun(level.agreed.reach.binding)} binds on {_local(told, hour)}"
    if level.agreed.reach.following is None or level.agreed.lift_kw is None:
        return text
    limit, gpus = level.agreed.reach.following
    return f"{text}; with {rounded(max(level.agreed.lift_kw, 0.0))} kW more of it {gpus - level.agreed.gpus:+,} GPUs, then {noun(limit)}"


def _breach_said(told: Answer, level: Level, checked: Checked) -> str:
    lacks = f"{noun(level.agreed.reach.binding)} lacks {rounded(level.lacks_kw)} kW"
    broken = checked.broken
    if broken is None:
        return lacks
    at = np.datetime64(str(broken["from"]).rstrip("Z")).astype("datetime64[s]").item()
    local = at.replace(tzinfo=told.question.span.start.tzinfo).astimezone(told.question.span.zone)
    words = {"short_gpu_h": "rental {asset} falls short of its speed"}.get(broken["family"], "{family} of {asset}")
    return f"{lacks}, and {words.format(**broken)} by {rounded(broken['amount'])} {broken['unit']} from {local:%Y-%m-%d %H:%M}"


def _local(told: Answer, hour: int) -> str:
    return f"{told.at(hour).astimezone(told.question.span.zone):%Y-%m-%d %H:%M}"


def _finite(value: float) -> str:
    return repr(value) if np.isfinite(value) else ""


def _csv(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return text.getvalue()
