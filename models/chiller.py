"""Chiller: the electricity that removing heat costs, as published curves say.

    chiller(q, T) = (1 - free(T)) * max(q, min_load * design) / COP(T)        the share that free cooling does not take
    COP(T)        = max(cop_min, cop_25 - loss * (T - 25))
    free(T)       = 1 below T_full, 0 above T_none, linear between
    pumps(q)      = pump_kw * max(l^2, pump_min)          l = q / design
    fans(q)       = fan_kw * max(l^3, fan_min)
    power(q, T)   = chiller + pumps + fans + misc         convex in q

Source: shape and figures after Sun et al. 2020 and Zhao et al. 2024, as used by GridPilot; PUE at full load of that plant:
1.082 at 12 degC, 1.212 at 20, 1.304 at 25, 1.349 at 40.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.horizon import Floats


@dataclass(frozen=True)
class Chiller:
    """One plant's figures; kW, degC, shares of 1. `design_heat_kw` is the heat of full pump and fan power."""

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

    def chiller_kw_per_kw(self, outdoor_c: Floats) -> Floats:
        """Chiller electricity per heat removed, kW/kW, at outdoor temperature (degC, any shape)."""
        span = max(self.free_none_above_c - self.free_full_below_c, 1e-9)
        free = np.clip((self.free_none_above_c - outdoor_c) / span, 0.0, 1.0)
        cop = np.maximum(self.cop_min, self.cop_at_25c - self.cop_loss_per_k * (outdoor_c - 25.0))
        return np.asarray((1.0 - free) / cop)

    def power_kw(self, heat_kw: Floats, outdoor_c: Floats) -> Floats:
        """Electric power of the plant, kW, for heat removed (kW) at outdoor temperature (degC); shapes broadcast.

        >>> plant = Chiller(1400, 1400, 4.5, .05, 1.5, .1, 12, 25, 60, .2, 30, .15, 25)
        >>> [round(1 + float(plant.power_kw(np.array(1400.0), np.array(t))) / 1400, 3) for t in (12.0, 20.0, 25.0, 40.0)]
        [1.082, 1.212, 1.304, 1.349]
        """
        load = heat_kw / self.design_heat_kw
        return np.asarray(
            self.chiller_kw_per_kw(outdoor_c) * np.maximum(heat_kw, self.min_load_share * self.design_heat_kw)
            + self.pump_kw * np.maximum(load**2, self.pump_min_share)
            + self.fan_kw * np.maximum(load**3, self.fan_min_share)
            + self.misc_kw
        )

    def breakpoints_kw(self) -> Floats:
        """Heats, kW, between which straight lines stand for the curve: its kinks and an even grid, rising from 0."""
        kinks = (self.min_load_share, self.pump_min_share**0.5, self.fan_min_share ** (1 / 3))
        top = self.max_heat_kw / self.design_heat_kw
        loads = {0.0, top, *(k for k in kinks if 0 < k < top), *(x for x in np.arange(0.1, top, 0.1))}
        return self.design_heat_kw * np.unique(np.round(sorted(loads), 9))
