"""Heat: the temperature of a hall, the controller that holds it, and the power of the plant that removes it.

    C dT/dt = heat - removed - (T - outdoor) / R          exact exponential over a step of constant heat
    removed = PI(T - aim), never below 0, never above the plant's max_heat_kw; the aim walks to a new set-point in SETTLE_S
    power   = chiller + pumps(load^2) + fans(load^3) + misc

The chiller is EnergyPlus's electric chiller (Engineering Reference, "Electric Chiller Based on Condenser Entering Temperature",
air cooled: condenser design 35 degC, temperature rise 2.778) scaled to the site's COP at design heat and 25 degC outdoors. It
loses capacity and gains power with heat outdoors and is better at part load, none of which a straight line says.
Free cooling takes a share that follows the outdoor temperature with a dead band of 1 K.
"""

from __future__ import annotations

import math

from facility.simulate.obedience import Obedience
from facility.simulate.tank import Tank
from facility.site import CoolingPlant, Thermal

CAPACITY = (0.944836, -0.0570088, 0.00185486)
POWER = (2.333, -1.975, 0.6121)
PART_LOAD = (0.03303, 0.6852, 0.2818)
CONDENSER_DESIGN_C, TEMPERATURE_RISE = 35.0, 2.778
COLDEST_CONDENSER_C = 12.0
"""Head-pressure control keeps the condenser at least this warm, degC."""
RATED_C = 25.0
SETTLE_S = 300.0
"""Time constant of the controller, critically damped, and how long it takes to walk to a new set-point, s: no building jumps there."""
DEAD_BAND_K = 1.0


def _quadratic(coefficients: tuple[float, float, float], x: float) -> float:
    a, b, c = coefficients
    return a + b * x + c * x * x


def _capacity_ratio(outdoor_c: float) -> float:
    return _quadratic(CAPACITY, (outdoor_c - CONDENSER_DESIGN_C) / TEMPERATURE_RISE)


class HallAir:
    """The thermal state of one hall: `temperature_c`, `setpoint_c`, and the last step's `heat_kw` and `removed_kw`."""

    def __init__(self, thermal: Thermal, heat_kw: float) -> None:
        self.thermal = thermal
        self.temperature_c = self.setpoint_c = thermal.start_c
        self.heat_kw, self.removed_kw = heat_kw, 0.0
        self._integral_kw = heat_kw
        self._aim_c = self._heading_c = self.setpoint_c
        self._pace_k_per_s = 0.0

    def wants_kw(self) -> float:
        """Return the heat the controller wants removed, kW."""
        gain_kw_per_k = 2 * self.thermal.heat_capacity_kwh_per_k * 3600 / SETTLE_S
        return max(0.0, self._integral_kw + gain_kw_per_k * (self.temperature_c - self._aim_c))

    def step(self, seconds: float, heat_kw: float, removed_kw: float, outdoor_c: float) -> None:
        """Move on by `seconds` of constant heat, removal and outdoor temperature."""
        thermal, error_k, wanted_kw = self.thermal, self.temperature_c - self._aim_c, self.wants_kw()
        limited = (removed_kw < wanted_kw and error_k > 0) or (wanted_kw == 0 and error_k < 0)
        if not limited:  # an integral that grows against a limit would overshoot when the limit is gone
            self._integral_kw += thermal.heat_capacity_kwh_per_k * 3600 / SETTLE_S**2 * error_k * seconds
        settled_c = outdoor_c + thermal.resistance_k_per_kw * (heat_kw - removed_kw)
        kept = math.exp(-seconds / (3600 * thermal.resistance_k_per_kw * thermal.heat_capacity_kwh_per_k))
        self.temperature_c = settled_c + (self.temperature_c - settled_c) * kept
        self.heat_kw, self.removed_kw = heat_kw, removed_kw
        self._walk(seconds)

    def _walk(self, seconds: float) -> None:
        if self._heading_c != self.setpoint_c:
            self._heading_c, self._pace_k_per_s = self.setpoint_c, abs(self.setpoint_c - self._aim_c) / SETTLE_S
        most_k = self._pace_k_per_s * seconds
        self._aim_c += max(-most_k, min(most_k, self._heading_c - self._aim_c))


class PlantRoom:
    """One cooling plant: `removed_kw` of heat for `power_kw` of electricity, both of the last step; its orders."""

    def __init__(self, plant: CoolingPlant, outdoor_c: float) -> None:
        self.plant = plant
        self.removed_kw = self.power_kw = 0.0
        self.orders = Obedience()
        self.tank = Tank(plant.store) if plant.store else None
        self._felt_c = outdoor_c

    def step(self, removed_kw: float, outdoor_c: float) -> None:
        """Remove heat at one outdoor temperature."""
        self._felt_c = max(outdoor_c - DEAD_BAND_K / 2, min(outdoor_c + DEAD_BAND_K / 2, self._felt_c))
        plant, load = self.plant, removed_kw / self.plant.design_heat_kw
        pumps_kw = plant.pump_kw * max(load**2, plant.pump_min_share)
        fans_kw = plant.fan_kw * max(load**3, plant.fan_min_share)
        self.removed_kw = removed_kw
        self.power_kw = self._chiller_kw(load, outdoor_c) + pumps_kw + fans_kw + plant.misc_kw

    def free_share(self) -> float:
        """Return the share of the heat that needs no chiller."""
        plant = self.plant
        if self._felt_c >= plant.free_cooling_none_above_c:
            return 0.0
        if self._felt_c <= plant.free_cooling_full_below_c:
            return 1.0
        return (plant.free_cooling_none_above_c - self._felt_c) / (
            plant.free_cooling_none_above_c - plant.free_cooling_full_below_c
        )

    @property
    def chilled_kw(self) -> float:
        """Return the heat that went through the chillers."""
        return self.removed_kw * (1.0 - self.free_share())

    def _chiller_kw(self, load: float, outdoor_c: float) -> float:
        plant, chilled = self.plant, 1.0 - self.free_share()
        if chilled == 0.0:
            return 0.0
        rated = _capacity_ratio(RATED_C)
        here = _capacity_ratio(max(outdoor_c, COLDEST_CONDENSER_C))
        capacity = here / rated
        full_kw = plant.design_heat_kw * capacity / plant.cop_at_25c * _quadratic(POWER, here) / _quadratic(POWER, rated)
        part_load = max(load, plant.min_load_share) * chilled / capacity
        return full_kw * _quadratic(PART_LOAD, part_load) / sum(PART_LOAD)
