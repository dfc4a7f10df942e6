"""Learnt: what each coming slot of a series will be, and how wrong that is, from how it went on after the same hour of earlier days.

    y[o+l]   =  a + s * u( x . b[l] + e[l] )              middle: e = P50 of past errors, low and high: P10 and P90

For the lead l, in slots after the last known slot o, a regression of its own:

| symbol | name                                                                                                        |
|--------|-------------------------------------------------------------------------------------------------------------|
| a      | the newest known value of the same time of day                                                              |
| s      | how far a day is from the day before, on average of the last `SPREAD_DAYS`: errors are in units of it       |
| x      | as u^-1 of differences by s: the same time a day and a week and two weeks earlier, its mean of seven days;  |
|        | the last value beside that of the same time a day earlier and of a week; the last day beside the last week; |
|        | Saturday, Sunday, Monday, one                                                                               |
| u      | u(z) = c sinh(z / c), so that a day of spikes is remembered as one, and not as ten                          |
| b      | ridge regression, newer days counting more (`MEMORY_DAYS`)                                                  |
| e      | quantiles of what the regression was wrong by on days left out, newer ones counting more (`ERRORS_DAYS`)    |

Errors are those of days that a fit did not see (leave one out, exact by the hat matrix), of the same lead and its two neighbours, and
their quantiles are those that also the next one of them keeps to (split conformal, weighted). After a shift of level the newest values
follow at once, after one of spread `s` does in days and `e` in weeks; so a band covers what it claims on average, not on every day.

Where fewer than `ENOUGH_DAYS` are known nothing is fitted: it will be as at the same time of the newest day, and is wrong by as much as
that was before, at any time of day, and by more the fewer days there were; with one day by as much as the day's values differ.

Sources: Lago et al., Applied Energy 293 (2021) 116983 (regression by lead, transformed); Tibshirani et al., NeurIPS 2019 (weighted conformal).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.horizon import Floats

Ints = NDArray[np.int64]

QUANTILES: Final = (0.1, 0.5, 0.9)
ENOUGH_DAYS: Final = 28
"""Days from which on regressions are worth it."""
BEFORE_DAYS: Final = 14
"""Days that stand before the first one that is learnt from."""
SPREAD_DAYS: Final = 10
MEMORY_DAYS: Final = 180.0
ERRORS_DAYS: Final = 60.0
"""Days after which a day counts half, in a fit and in its errors."""
RIDGE: Final = 5.0
BEND: Final = 1.5
"""The c of u."""
MOST_LEVERAGE: Final = 0.9
ROUNDING: Final = 1e-9
"""Differences as small as this beside the values themselves are none."""
DIFFERENCES: Final = 7
"""How many of x are differences; the others say which day it is."""


@dataclass(frozen=True)
class Learnt:
    """By lead: the factors of x, shape (H, p), and the quantiles of errors, shape (3, H)."""

    factors: Floats
    errors: Floats


def ahead(value: Floats, a_day: int, first_day: int, lead_days: int) -> Floats:
    """P10, P50 and P90 of the slots after `value` of `lead_days`, shape (3, lead_days * a_day).

    `value` begins a day, with NaN where nothing is known, and its last is known; `first_day` counts since 1970, to tell the weekday.
    """
    last = len(value) - 1
    if last < ENOUGH_DAYS * a_day:
        return _brief(value, a_day, lead_days)
    learnt = _learn(value[:last].tobytes(), a_day, first_day, lead_days)
    x, newest, spread = _known_of(filled(value, a_day), np.array([last]), a_day, first_day, lead_days)
    middle = (x[:, 0] * learnt.factors).sum(axis=-1)
    return np.asarray(newest[:, 0] + spread[0] * _bent(middle + learnt.errors))


def filled(value: Floats, a_day: int) -> Floats:
    """The same with what is missing as at the same time of the day before, or of the first day after it that has it, else the mean of all."""
    days = -(-len(value) // a_day)
    table = np.pad(value, (0, days * a_day - len(value)), constant_values=np.nan).reshape(days, a_day)
    known, row = np.isfinite(table), np.arange(days)[:, None]
    if known.all():
        return value
    before = np.maximum.accumulate(np.where(known, row, -1), axis=0)
    after = np.minimum.accumulate(np.where(known, row, days)[::-1], axis=0)[::-1]
    found = np.take_along_axis(table, np.where(before >= 0, before, after.clip(max=days - 1)), axis=0)
    return np.where(np.isfinite(found), found, np.mean(value[np.isfinite(value)])).reshape(-1)[: len(value)]


@lru_cache(maxsize=64)
def _learn(history: bytes, a_day: int, first_day: int, lead_days: int) -> Learnt:
    """Fit all leads from the slot that follows a history of slots; fits are kept, for they change only when a slot is over."""
    value = np.frombuffer(history)
    now = len(value)
    leads = np.arange(1, lead_days * a_day + 1)
    origins = np.arange(BEFORE_DAYS, now // a_day) * a_day + now % a_day
    after = origins + leads[:, None]
    told = np.pad(value, (0, lead_days * a_day + 1), constant_values=np.nan)[after]
    y = filled(np.append(value, np.nan), a_day)
    x, newest, spread = _known_of(y, origins, a_day, first_day, lead_days)
    target = np.where(np.isfinite(told), _straight((told - newest) / spread), 0.0)
    age_days = (now - origins) / a_day
    weight = np.isfinite(told) * 0.5 ** (age_days / MEMORY_DAYS)
    weighted = (x * weight[..., None]).transpose(0, 2, 1)
    inverse = np.linalg.inv(weighted @ x + RIDGE * np.eye(x.shape[-1]))
    factors = inverse @ (weighted @ target[..., None])
    leverage = weight * ((x @ inverse) * x).sum(axis=-1)
    error = (target - (x @ factors)[..., 0]) / (1 - leverage.clip(max=MOST_LEVERAGE))
    return Learnt(factors[..., 0], _quantiles(error, np.isfinite(told) * 0.5 ** (age_days / ERRORS_DAYS)))


def _known_of(y: Floats, origins: Ints, a_day: int, first_day: int, lead_days: int) -> tuple[Floats, Floats, Floats]:
    """What is known at each of N origins for each of H leads: x, shape (H, N, p); a, shape (H, N); s, shape (N,)."""
    leads = np.arange(1, lead_days * a_day + 1)
    back = -(-leads // a_day) * a_day
    week = -(-leads // (7 * a_day)) * 7 * a_day
    newest_at = origins + (leads - back)[:, None]
    week_at = origins + (leads - week)[:, None]
    sums = np.concatenate([[0.0], np.cumsum(y)])
    apart = np.concatenate([np.zeros(a_day + 1), np.cumsum(np.abs(y[a_day:] - y[:-a_day]))])
    weekly = np.concatenate([np.zeros(6 * a_day), sum(y[k * a_day : len(y) - (6 - k) * a_day] for k in range(7)) / 7])
    begins = np.maximum(origins + 1 - SPREAD_DAYS * a_day, a_day)
    spread = (apart[origins + 1] - apart[begins]) / (origins + 1 - begins)
    spread = np.where(spread > ROUNDING * np.abs(y).max(), spread, 1.0)
    newest, last = y[newest_at], y[origins]
    day = (sums[origins + 1] - sums[origins + 1 - a_day]) / a_day
    days = (sums[origins + 1] - sums[origins + 1 - 7 * a_day]) / (7 * a_day)
    weekday = ((origins + leads[:, None]) // a_day + first_day + 3) % 7
    differences = (
        y[newest_at - a_day] - newest, y[week_at] - newest, y[week_at - 7 * a_day] - newest, weekly[newest_at] - newest,
        last - y[origins - a_day], last - weekly[origins - a_day], day - days,
    )  # fmt: skip
    x = np.empty((*newest.shape, DIFFERENCES + 4))
    for i, difference in enumerate(differences):
        x[..., i] = difference / spread
    x[..., :DIFFERENCES] = _straight(x[..., :DIFFERENCES])
    for i, which in enumerate((5, 6, 0)):
        x[..., DIFFERENCES + i] = weekday == which
    x[..., -1] = 1.0
    return x, newest, spread


def _quantiles(error: Floats, weight: Floats) -> Floats:
    """The quantiles of errors (H, N) of each lead and its neighbours, so far out that the next error is within as often; shape (3, H)."""
    beside = [np.arange(len(error)) + shift for shift in (-1, 0, 1)]
    rows = [at.clip(0, len(error) - 1) for at in beside]
    pooled, weights = (np.concatenate([each[row] for row in rows], axis=1) for each in (error, weight))
    order = np.argsort(pooled, axis=1)
    pooled = np.take_along_axis(pooled, order, axis=1)
    so_far = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    like = weight.sum(axis=1) ** 2 / (weight**2).sum(axis=1)
    found = []
    for quantile in QUANTILES:
        further = np.clip(quantile + (2 * quantile - 1) / (like + 1), 0, 1)
        at = (so_far < (further * so_far[:, -1])[:, None]).sum(axis=1)
        found.append(pooled[np.arange(len(pooled)), at.clip(max=pooled.shape[1] - 1)])
    return np.array(found)


def _brief(value: Floats, a_day: int, lead_days: int) -> Floats:
    """As at the same time of the newest day, and wrong by as much as that was before; of a first day its mean."""
    y, last = filled(value, a_day), len(value) - 1
    days = len(value) / a_day
    if len(value) < a_day:
        newest = np.full(a_day, y.mean())
    else:
        newest = y[last + 1 - a_day :]
    middle = np.tile(newest, lead_days)
    back = np.repeat(np.arange(1, lead_days + 1), a_day)
    errors = np.empty((3, len(middle)))
    for day in range(1, lead_days + 1):
        apart = min(day, max(int(days) - 1, 0)) * a_day
        wrong = y[apart:] - y[:-apart] if apart else y - y.mean()
        wider = np.sqrt(day * a_day / apart) if apart else 1.0
        low, high = np.quantile(wrong, (QUANTILES[0], QUANTILES[2])) * wider * (1 + 2 / days)
        errors[:, back == day] = np.array([[min(low, 0.0)], [0.0], [max(high, 0.0)]])
    return np.asarray(middle + errors)


def _straight(z: Floats) -> Floats:
    return np.asarray(BEND * np.arcsinh(z / BEND))


def _bent(z: Floats) -> Floats:
    return np.asarray(BEND * np.sinh(z / BEND))
