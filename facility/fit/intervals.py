"""Intervals: tracks of readings as means of equal spans of time, those spans in which anything is missing left out.

A mean over a span is the mean of its readings; the rate of change of a slow quantity is the difference of its values at both ends of
the span over its length, each end the mean of the readings around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facility.fit.telemetry import Track
from models.horizon import Floats

EDGE_SHARE, EDGE_READINGS = 1 / 6, 3
"""So many readings before the end of a span and after it tell the value there, or fewer where they take more than this share of it."""


@dataclass(frozen=True)
class Intervals:
    """Means by quantity, rates of change per hour by quantity, and the variance that noise alone gives these; all shape (N,) or numbers."""

    start_s: Floats
    mean: Mapping[str, Floats]
    per_h: Mapping[str, Floats]
    noise_per_h: Mapping[str, float]

    def __len__(self) -> int:
        return len(self.start_s)


def intervals(tracks: Mapping[str, Track], needed: Sequence[str], moving: Sequence[str], every_s: float) -> Intervals:
    """Means of `needed` and rates of change of `moving`, which are among them, over spans of `every_s` s in which all of them speak."""
    begin = min(tracks[name].at_s[0] for name in needed) // every_s * every_s
    count = int(max(tracks[name].at_s[-1] for name in needed) // every_s - begin // every_s) + 1
    told = np.ones(count, dtype=bool)
    means, rates, noise = dict[str, Floats](), dict[str, Floats](), dict[str, float]()
    for name in needed:
        track = tracks[name]
        slot = ((track.at_s - begin) // every_s).astype(np.int64)
        readings = np.bincount(slot, minlength=count)
        means[name] = np.bincount(slot, weights=track.value, minlength=count) / np.maximum(readings, 1)
        told &= readings > 0
    edges = begin + every_s * np.arange(count + 1)
    for name in moving:
        value, near = _at(tracks[name], edges, EDGE_SHARE * every_s)
        rates[name] = np.diff(value) / every_s * 3600
        told &= np.isfinite(rates[name])
        noise[name] = 2 * _noise(tracks[name].value) / near * (3600 / every_s) ** 2
    keep = np.flatnonzero(told)
    return Intervals(
        edges[:-1][keep], {name: each[keep] for name, each in means.items()}, {name: each[keep] for name, each in rates.items()}, noise
    )


def _at(track: Track, at_s: Floats, edge_s: float) -> tuple[Floats, float]:
    """The value at instants, the mean of readings around each or what lies between two that are near; and of how many readings it is the mean."""
    apart_s = float(np.median(np.diff(track.at_s))) if len(track.at_s) > 1 else np.inf
    edge_s = min(edge_s, EDGE_READINGS * apart_s)
    first, last = np.searchsorted(track.at_s, at_s - edge_s), np.searchsorted(track.at_s, at_s + edge_s, side="right")
    many: NDArray[np.int64] = last - first
    total = np.concatenate([[0.0], np.cumsum(track.value)])
    with np.errstate(invalid="ignore", divide="ignore"):
        around = (total[last] - total[first]) / many
    after = np.clip(np.searchsorted(track.at_s, at_s), 1, max(len(track.at_s) - 1, 1))
    gap_s = track.at_s[after] - track.at_s[after - 1] if len(track.at_s) > 1 else np.full(len(at_s), np.inf)
    inside = (at_s >= track.at_s[0]) & (at_s <= track.at_s[-1]) & (gap_s <= 2 * apart_s)
    between = np.where(inside, np.interp(at_s, track.at_s, track.value), np.nan)
    usual = max(float(np.median(many[many > 0])), 1.0) if (many > 0).any() else 1.0
    return np.where(many > 1, around, between), usual


def _noise(value: Floats) -> float:
    """The variance of what is white in a slow quantity: that of its second differences, a sixth of it."""
    return float(np.median(np.diff(value, 2) ** 2) / 0.4549 / 6) if len(value) > 2 else 0.0
