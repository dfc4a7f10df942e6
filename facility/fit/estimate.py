"""Estimate: robust least squares with error bars that are honest about what the data does not tell.

    min over x of sum rho((y - model(x)) / scale)         Huber's rho: beyond 1.345 standard deviations a residual counts linearly
    covariance = sigma^2 tau (J' W J)^-1                  error = 1.96 sqrt(diagonal): 95 % lie within it
    tau        = 1 + 2 sum_k r_k                          r_k: autocorrelation of residuals in the order of time, until it first falls to 0

Readings that follow each other err alike, and a model that is not quite the plant errs in long waves: tau counts how many of them make one
independent one, so that a million readings are not taken for a million proofs.

A parameter whose error is larger than half of it, or that nothing in the data depends on, is held at the site file's value and the rest fitted again;
it is told with what would tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from models.horizon import Floats

Model = Callable[[Mapping[str, float]], Floats]
"""From the value of every parameter to what should have been measured, shape (N,)."""
HUBER = 1.345
WIDTH = 1.96
UNKNOWN_SHARE = 0.5
MATTERS_SHARE = 0.01
"""A difference below this share of the value is none, however sure."""
LONGEST_LAG = 500


@dataclass(frozen=True)
class Parameter:
    """What is fitted: `was` is the site file's value, `scale` the size in which its error is judged, `would_tell` the telemetry that tells it.

    It is fitted within [low, high].
    """

    name: str
    unit: str
    was: float
    low: float
    high: float
    scale: float
    would_tell: str


@dataclass(frozen=True)
class Estimate:
    """A value of the site file as the data has it, +- `error` (95 %). `value` None: the data does not tell, and `why` says so.

    A difference from the site file below `matters_share` of it is none.
    """

    key: str
    unit: str
    was: float | None
    value: float | None
    error: float | None
    why: str = ""
    matters_share: float = MATTERS_SHARE

    @property
    def off(self) -> bool:
        """Whether the site file's value lies outside of the error bar, and not by a trifle."""
        if self.value is None or self.was is None or self.error is None:
            return False
        apart = abs(self.value - self.was)
        return apart > self.error and apart > self.matters_share * max(abs(self.value), abs(self.was))


@dataclass(frozen=True)
class Fitted:
    """Every parameter's value, the error of those that were found, and why the others were not; `model_kw` is the model at its best."""

    values: Mapping[str, float]
    errors: Mapping[str, float]
    held: Mapping[str, str]
    modelled: Floats


def fit(model: Model, measured: Floats, parameters: Sequence[Parameter], held: Mapping[str, str]) -> Fitted:
    """Fit `parameters` but those that are `held` (name to why) from the start."""
    held = dict(held)
    values = {each.name: each.was for each in parameters}
    while True:
        free = [each for each in parameters if each.name not in held]
        if not free:
            return Fitted(values, {}, held, model(values))
        found, error = _solved(model, measured, free, values)
        share = {each.name: error[i] / each.scale for i, each in enumerate(free)}
        worst = max(free, key=lambda each: share[each.name])
        at = {each.name: float(found[i]) for i, each in enumerate(free)}
        if share[worst.name] <= UNKNOWN_SHARE:
            errors = {each.name: float(error[i]) for i, each in enumerate(free)}
            return Fitted(values | at, errors, held, model(values | at))
        held[worst.name] = f"this telemetry does not tell it; it takes {worst.would_tell}"


def _solved(model: Model, measured: Floats, free: Sequence[Parameter], values: Mapping[str, float]) -> tuple[Floats, Floats]:
    """The best values of `free` and their errors; infinite where nothing depends on one."""
    def residual(x: Floats) -> Floats:
        return model({**values, **{each.name: float(x[i]) for i, each in enumerate(free)}}) - measured

    low, high = np.array([each.low for each in free]), np.array([each.high for each in free])
    size = np.array([each.scale for each in free])
    x = np.clip(np.array([each.was for each in free]), low, high)
    sigma = spread(residual(x))
    for _ in range(3):  # the scale of a robust fit is itself estimated
        done = least_squares(residual, x, bounds=(low, high), x_scale=size, loss="huber", f_scale=HUBER * sigma)
        x, before = done.x, sigma
        sigma = max(spread(residual(x)), 1e-9)
        if abs(sigma - before) <= 0.01 * before:
            break
    rest = residual(x)
    weight = np.minimum(1.0, HUBER * sigma / np.maximum(np.abs(rest), 1e-12))
    jacobian = np.column_stack([(residual(_moved(x, i, size)) - residual(_moved(x, i, -size))) / (2e-3 * size[i]) for i in range(len(x))]) * size
    normal = jacobian.T @ (weight[:, None] * jacobian)
    value, vector = np.linalg.eigh(normal)
    known = value > 1e-12 * max(float(value.max()), 1e-12)
    variance = (vector[:, known] ** 2 / value[known]).sum(axis=1)
    blind = (vector[:, ~known] ** 2).sum(axis=1) > 1e-6
    degrees = max(len(rest) - len(x), 1)
    error = WIDTH * sigma * np.sqrt(repeats(rest) * variance * len(rest) / degrees) * size
    return x, np.where(blind, np.inf, error)


def _moved(x: Floats, i: int, size: Floats) -> Floats:
    moved = x.copy()
    moved[i] += 1e-3 * size[i]
    return moved


def spread(residual: Floats) -> float:
    """The standard deviation of residuals about 0, by their median size, so that a few wild ones do not count."""
    return float(np.median(np.abs(residual)) / 0.6745) if len(residual) else 0.0


def repeats(residual: Floats) -> float:
    """How many readings make one independent one: tau.

    >>> rng = np.random.default_rng(1)
    >>> alone = rng.normal(size=5000)
    >>> bool(repeats(alone) < 1.2), bool(4 < repeats(np.repeat(alone, 6)) < 8)
    (True, True)
    """
    apart = np.clip(residual, -4 * spread(residual), 4 * spread(residual))
    apart = apart - apart.mean()
    power = float(apart @ apart)
    if power <= 0:
        return 1.0
    total = 1.0
    for lag in range(1, min(LONGEST_LAG, len(apart) // 4)):
        correlation = float(apart[lag:] @ apart[:-lag]) / power
        if correlation <= 0:
            break
        total += 2 * correlation
    return total
