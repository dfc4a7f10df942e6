"""Chiller: the electricity that removing heat costs, as published curves say.

    chiller(q, T) = (1 - free(T)) * sum_i q_i / COP_i(T)      q_i: what stage i takes of max(q, min_load * design), best COP first
    COP_i(T)      = max(cop_min, cop_25_i + more_cop - loss * (T - 25))
    free(T)       = 1 below T_full + shift, 0 above T_none + shift, linear between
    pumps(q)      = pump_kw * max(l^2, pump_min)              l = q / design
    fans(q)       = fan_kw * max(l^3, fan_min)
    power(q, T)   = chiller + pumps + fans + misc             convex in q
    most heat(T)  = max_heat * share(T)                       points joined by straight lines, flat outside of them

Source: shape and figures after Sun et al. 2020 and Zhao et al. 2024, as used by GridPilot; PUE at full load of that plant:
1.082 at 12 degC, 1.212 at 20, 1.304 at 25, 1.349 at 40. That capacity shrinks as it gets warmer outside: EnergyPlus Engineering
Reference, "Electric Chiller Based on Condenser Entering Temperature", whose capacity curve is quadratic.

Stages are loaded in merit order, so a further kW of heat never costs less than the one before: the curve stays convex, and straight
lines stand for it without any stage being switched on or off. All stages lose COP alike, so the order holds in any weather, and
free cooling takes the same share of each. The minimum load is the plant's, at its best stage. Relaxed: a stage that starts takes its
first kW alone. In truth two machines then share the load, each above its minimum m, and draw up to m * (1 / COP_2 - 1 / COP_1)
more than merit order says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.horizon import Floats


@dataclass(frozen=True)
class Stage:
    """A machine of a plant: the heat it can take, kW, and its COP at 25 degC outdoors."""

    max_heat_kw: float
    cop_at_25c: float


@dataclass(frozen=True)
class Chiller:
    """One plant's figures; kW, degC, shares of 1. `design_heat_kw` is the heat of full pump and fan power.

    `stages`, if any, replace the one machine of `cop_at_25c`; together they take `max_heat_kw`. `capacity` holds (outdoor
    degC, share of `max_heat_kw`) by rising temperature; empty: all of it in any weather. `more_cop` and `free_shift_k` are what
    a warmer supply brings, always or by step: then the last axis of outdoor temperatures is that of steps.
    """

    design_heat_kw: float
    max_heat_kw: float
    cop_at_25c: float
    cop_loss_per_k: float
    cop_min: float
    min_load_share: float
    free_full_below_c: float
    free_none_above_c: float
    pump_kw: float
    pump_min_share: float
    fan_kw: float
    fan_min_share: float
    misc_kw: float
    stages: tuple[Stage, ...] = ()
    capacity: tuple[tuple[float, float], ...] = ()
    more_cop: float | tuple[float, ...] = 0.0
    free_shift_k: float | tuple[float, ...] = 0.0

    @property
    def merit_order(self) -> tuple[Stage, ...]:
        """The machines, best COP first."""
        machines = self.stages or (Stage(self.max_heat_kw, self.cop_at_25c),)
        return tuple(sorted(machines, key=lambda stage: -stage.cop_at_25c))

    def most_heat_kw(self, outdoor_c: Floats) -> Floats:
        """Most heat the plant removes at outdoor temperature (degC, any shape), kW.

        >>> plant = Chiller(100, 100, 5, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, capacity=((25, 1), (45, 0.8)))
        >>> plant.most_heat_kw(np.array([10.0, 30.0, 50.0])).tolist()
        [100.0, 95.0, 80.0]
        """
        points_c, shares = zip(*self.capacity, strict=True) if self.capacity else ((0.0,), (1.0,))
        return np.asarray(self.max_heat_kw * np.interp(outdoor_c, points_c, shares))

    def chilled_share(self, outdoor_c: Floats) -> Floats:
        """Share of the heat that free cooling leaves to the machines, at outdoor temperature (degC, any shape)."""
        span = max(self.free_none_above_c - self.free_full_below_c, 1e-9)
        return 1.0 - np.clip((self.free_none_above_c + np.asarray(self.free_shift_k) - outdoor_c) / span, 0.0, 1.0)

    def chiller_kw(self, heat_kw: Floats, outdoor_c: Floats) -> Floats:
        """Electricity of the machines for heat removed (kW) at outdoor temperature (degC), kW; shapes broadcast."""
        left_kw = np.maximum(heat_kw, self.min_load_share * self.design_heat_kw)
        power_kw = np.zeros(np.broadcast(heat_kw, outdoor_c, np.asarray(self.more_cop)).shape)
        machines = self.merit_order
        for stage in machines:
            taken_kw = left_kw if stage is machines[-1] else np.minimum(left_kw, stage.max_heat_kw)
            cop = np.maximum(self.cop_min, stage.cop_at_25c + np.asarray(self.more_cop) - self.cop_loss_per_k * (outdoor_c - 25.0))
            power_kw += taken_kw / cop
            left_kw = left_kw - taken_kw
        return np.asarray(self.chilled_share(outdoor_c) * power_kw)

    def chiller_kw_per_kw(self, outdoor_c: Floats) -> Floats:
        """Electricity of the machines per heat removed at full heat, kW/kW, at outdoor temperature (degC, any shape)."""
        return np.asarray(self.chiller_kw(np.asarray(self.max_heat_kw), outdoor_c) / self.max_heat_kw)

    def power_kw(self, heat_kw: Floats, outdoor_c: Floats) -> Floats:
        """Electric power of the plant, kW, for heat removed (kW) at outdoor temperature (degC); shapes broadcast.

        >>> plant = Chiller(1400, 1400, 4.5, .05, 1.5, .1, 12, 25, 60, .2, 30, .15, 25)
        >>> [round(1 + float(plant.power_kw(np.array(1400.0), np.array(t))) / 1400, 3) for t in (12.0, 20.0, 25.0, 40.0)]
        [1.082, 1.212, 1.304, 1.349]
        """
        load = heat_kw / self.design_heat_kw
        return np.asarray(
            self.chiller_kw(heat_kw, outdoor_c)
            + self.pump_kw * np.maximum(load**2, self.pump_min_share)
            + self.fan_kw * np.maximum(load**3, self.fan_min_share)
            + self.misc_kw
        )

    def breakpoints_kw(self) -> Floats:
        """Heats, kW, between which straight lines stand for the curve: its kinks and an even grid, rising from 0."""
        kinks = (self.min_load_share, self.pump_min_share**0.5, self.fan_min_share ** (1 / 3))
        starts = np.cumsum([stage.max_heat_kw for stage in self.merit_order]) / self.design_heat_kw
        top = self.max_heat_kw / self.design_heat_kw
        loads = {0.0, top, *(k for k in (*kinks, *starts.tolist()) if 0 < k < top), *(x for x in np.arange(0.1, top, 0.1))}
        return self.design_heat_kw * np.unique(np.round(sorted(loads), 9))
