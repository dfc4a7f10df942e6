"""Points: what a GPU draws and how fast it works under each cap, from readings of single GPUs.

    draw(cap), speed(cap)   piecewise linear between knots: the caps that were set, or where those are many the site file's
    readings                robust least squares in proportion: a reading of twice the watts errs by twice as much
    both never fall         isotonic regression (pool adjacent violators), weighted by what each knot knows
    kept                    knots on the upper concave hull of speed over draw, or of speed over cap; the others no plan would use

Speeds are relative to the highest cap that was recorded. Each run's throughput may be in a unit of its own: it is brought to the others' by
the factor that fits best. The error is 1.96 standard deviations, counted with tau as in `facility.fit.estimate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from facility.config.rules.gpus import DRAW_OVER_CAP
from facility.fit.estimate import HUBER, WIDTH, Estimate, repeats, spread
from facility.fit.telemetry import Telemetry
from facility.site import Curve, GpuModel
from models.horizon import Floats

MOST_KNOTS = 16
LEAST_READINGS = 3
"""Of a knot, where there are others with more."""
ROUNDS = 20
NEVER = "a cap that never changes tells nothing of others; set two or more for a while"


@dataclass(frozen=True)
class Point:
    """An operating point: cap, draw and relative speed, with their errors (None where each cap was read once).

    `hull` is whether plans would use it.
    """

    cap_w: int
    draw_w: float
    speed: float
    draw_error_w: float | None
    speed_error: float | None
    readings: float
    hull: bool


@dataclass(frozen=True)
class CurveFit:
    """The curve of one kind of work on one GPU model; `notes` say what is not as it should be."""

    model: str
    curve: str
    points: tuple[Point, ...]
    estimates: tuple[Estimate, ...]
    readings: int
    notes: tuple[str, ...] = ()

    def kept(self, model: GpuModel) -> tuple[Point, ...]:
        """The points for the site file: on the hull, at caps that can be set, no draw further above its cap than is believed."""
        fit = (point for point in self.points if point.hull and model.min_cap_w <= point.cap_w <= model.max_cap_w)
        return tuple(replace(point, draw_w=min(point.draw_w, DRAW_OVER_CAP * point.cap_w)) for point in fit)


def fit_curves(model_id: str, model: GpuModel, telemetry: Telemetry, curve: str | None) -> Iterator[CurveFit]:
    """Fit each kind of work that the rows name, all of them as `curve` where they name none."""
    cap_w, power_w, throughput = (telemetry.column(name) for name in ("cap_w", "power_w", "throughput"))
    kinds = np.where(telemetry.curves == "", curve or "", telemetry.curves) if len(telemetry.curves) else telemetry.curves
    for kind in np.unique(kinds):
        key = f"gpu_models.{model_id}.curves.{kind or '?'}"
        lacks = [name for name, there in (("cap_w", cap_w), ("power_w", power_w), ("throughput", throughput)) if there is None]
        if cap_w is None or power_w is None or throughput is None:
            why = f"nothing was recorded of {' and '.join(lacks)}; it takes caps, draw and throughput of the same GPUs"
            yield CurveFit(model_id, str(kind), (), (Estimate(f"{key}.points", "", None, None, None, why),), 0)
            continue
        mine = (kinds == kind) & (cap_w > 0) & (power_w > 0) & (throughput > 0)
        yield _curve(model_id, str(kind), model, cap_w[mine], power_w[mine], throughput[mine], telemetry.runs[mine])


def idle(model_id: str, model: GpuModel, telemetry: Telemetry) -> Estimate | None:
    """What a GPU draws that does nothing, from rows of no utilisation; None where nothing says which do."""
    power_w, util_pct = telemetry.column("power_w"), telemetry.column("util_pct")
    if power_w is None or util_pct is None:
        return None
    key, still = f"gpu_models.{model_id}.idle_w", power_w[(util_pct <= 0) & np.isfinite(power_w)]
    if len(still) < LEAST_READINGS:
        return Estimate(key, "W", model.idle_w, None, None, "no GPU was idle; it takes hours without work")
    value = float(np.median(still))
    low, high = np.percentile(still, (10, 90))
    apart = still - value
    error = WIDTH * 1.2533 * max(spread(apart), 1e-6) * float(np.sqrt(repeats(apart) / len(still)))
    why = f"idle GPUs draw from {low:.0f} to {high:.0f} W (P10 to P90): they are not alike" if high - low > 0.1 * value else ""
    return Estimate(key, "W", model.idle_w, value, error, why)


def _curve(
    model_id: str, kind: str, model: GpuModel, cap_w: Floats, power_w: Floats, throughput: Floats, runs: NDArray[np.str_]
) -> CurveFit:
    was = model.curves.get(kind)
    key = f"gpu_models.{model_id}.curves.{kind or '?'}"
    knots = _knots(cap_w, was)
    if len(knots) < 2:
        return CurveFit(model_id, kind, (), (Estimate(f"{key}.points", "", None, None, None, NEVER),), len(cap_w))
    hats = _hats(cap_w, knots)
    draw_w, draw_error = _smooth(hats, power_w)
    rate, rate_error = _smooth(hats, _in_one_unit(hats, throughput, runs))
    speed = rate / rate[-1]
    draw_error_w = None if draw_error is None else draw_error * draw_w
    speed_error = None if rate_error is None else speed * np.hypot(rate_error, rate_error[-1])
    if speed_error is not None:
        speed_error[-1] = 0.0  # it is 1 by its meaning
    notes = [*_notes(model, knots, draw_w)]
    hull = _hull(draw_w, speed) | _hull(knots, speed)
    readings = hats.sum(axis=0)
    points = tuple(
        Point(
            round(cap), float(draw_w[i]), float(speed[i]),
            None if draw_error_w is None else float(draw_error_w[i]), None if speed_error is None else float(speed_error[i]),
            float(readings[i]), bool(hull[i]),
        )
        for i, cap in enumerate(knots.tolist())
    )  # fmt: skip
    if not hull.all():
        notes.append(f"left out, below the concave hull: {', '.join(f'{point.cap_w} W' for point in points if not point.hull)}")
    if draw_error is None:
        notes.append("each cap was read once: no error bar; it takes several readings of each")
    return CurveFit(model_id, kind, points, tuple(_against(key, points, was)), len(cap_w), tuple(notes))


def _knots(cap_w: Floats, was: Curve | None) -> Floats:
    """Caps at which the curve is told."""
    caps, counts = np.unique(np.round(cap_w), return_counts=True)
    if len(caps) <= MOST_KNOTS:
        return caps[counts >= min(LEAST_READINGS, int(counts.max()))] if len(caps) else caps
    inside = np.array([point.cap_w for point in was.points if caps[0] < point.cap_w < caps[-1]] if was else [], dtype=float)
    knots = np.unique(np.concatenate([caps[:1], inside if len(inside) else np.quantile(cap_w, np.linspace(0.125, 0.875, 7)).round(), caps[-1:]]))
    apart = np.diff(knots, prepend=-np.inf) >= 0.02 * caps[-1]  # two that lie together could not be told apart
    apart[-1] = True
    knots = knots[apart]
    known = _hats(cap_w, knots).sum(axis=0) >= LEAST_READINGS
    return np.asarray(knots[known])


def _hats(cap_w: Floats, knots: Floats) -> Floats:
    """The share of each knot in each reading, shape (N, K); flat outside."""
    return np.column_stack([np.interp(cap_w, knots, row) for row in np.eye(len(knots))])


def _smooth(hats: Floats, measured: Floats) -> tuple[Floats, Floats | None]:
    """Values at the knots that never fall, and their relative errors; None where nothing is left over to tell them from."""
    value = np.linalg.lstsq(hats, measured, rcond=None)[0]
    weight = np.ones(len(measured))
    share = np.zeros(len(measured))
    for _ in range(ROUNDS):
        said = np.maximum(hats @ value, 1e-9)
        share = measured / said - 1
        size = max(spread(share), 1e-9)
        weight = np.minimum(1.0, HUBER * size / np.maximum(np.abs(share), 1e-12))
        root = np.sqrt(weight) / said
        before, value = value, np.linalg.lstsq(root[:, None] * hats, root * measured, rcond=None)[0]
        if np.allclose(before, value, rtol=1e-9):
            break
    degrees = len(measured) - hats.shape[1]
    scaled = hats * (np.maximum(value, 1e-9) / np.maximum(hats @ value, 1e-9)[:, None])
    covariance = np.linalg.pinv(scaled.T @ (weight[:, None] * scaled))
    known = np.maximum((weight[:, None] * hats).sum(axis=0), 1e-9)
    rising = np.asarray(isotonic_regression(value, weights=known / np.maximum(value, 1e-9) ** 2).x)
    if degrees <= 0:
        return rising, None
    size = max(spread(share), float(np.sqrt((weight * share**2).sum() / len(share))) * 0.5)
    return rising, WIDTH * size * np.sqrt(np.diag(covariance) * repeats(share) * len(share) / degrees)


def _in_one_unit(hats: Floats, throughput: Floats, runs: NDArray[np.str_]) -> Floats:
    """Throughputs as shares of each run's own factor; one run's are as they were, up to its factor."""
    names, run = np.unique(runs, return_inverse=True)
    factor = np.array([np.median(throughput[run == i]) for i in range(len(names))])
    for _ in range(ROUNDS if len(names) > 1 else 0):
        said = np.maximum(hats @ _smooth(hats, throughput / factor[run])[0], 1e-9)
        factor = np.array([np.median((throughput / said)[run == i]) for i in range(len(names))])
    return np.asarray(throughput / factor[run])


def _hull(x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points lie on the upper concave hull, the first and the last always; x never falls."""
    on: list[int] = []
    for i in range(len(x)):
        while len(on) >= 2 and (y[on[-1]] - y[on[-2]]) * (x[i] - x[on[-2]]) <= (y[i] - y[on[-2]]) * (x[on[-1]] - x[on[-2]]):
            on.pop()
        on.append(i)
    kept = np.zeros(len(x), dtype=bool)
    kept[on] = True
    return kept


def _notes(model: GpuModel, knots: Floats, draw_w: Floats) -> Iterator[str]:
    if knots[-1] < model.max_cap_w:
        yield f"speeds are relative to {knots[-1]:.0f} W, the highest cap that was recorded, below max_cap_w, {model.max_cap_w} W"
    outside = [f"{cap:.0f} W" for cap in knots if not model.min_cap_w <= cap <= model.max_cap_w]
    if outside:
        yield f"caps that the GPU model of the site file cannot have: {', '.join(outside)}"
    over = [f"{draw:.0f} W under {cap:.0f} W" for cap, draw in zip(knots, draw_w, strict=True) if draw > DRAW_OVER_CAP * cap]
    if over:
        yield f"GPUs draw more than their cap + 3 %: {', '.join(over)}; such a cap does not hold"


def _against(key: str, points: Sequence[Point], was: Curve | None) -> Iterator[Estimate]:
    """Each point beside what the site file's curve has at that cap."""
    caps = [float(point.cap_w) for point in was.points] if was else []
    for point in points:
        inside = bool(caps) and caps[0] <= point.cap_w
        for name, unit, value, error in (("draw_w", "W", point.draw_w, point.draw_error_w), ("speed", "", point.speed, point.speed_error)):
            before = float(np.interp(point.cap_w, caps, [getattr(each, name) for each in was.points])) if was and inside else None
            yield Estimate(f"{key}.points[{point.cap_w} W].{name}", unit, before, value, error)
