"""Heat: halls, what cools them, and the weather outside."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.part import ByHour, Finite, Id, NonNegative, Part, Positive, Share


class Thermal(Part):
    """The air and water of a hall as one thermal state: C dT/dt = heat - removed - (T - outdoor) / R."""

    heat_capacity_kwh_per_k: Annotated[float, Field(ge=1e-3, le=1e7)] = Field(
        description="effective heat capacity C, water included, kWh/K"
    )
    resistance_k_per_kw: Annotated[float, Field(ge=1e-5, le=1e6)] = Field(
        description="resistance R of the envelope to the outside, K/kW"
    )
    start_c: Annotated[float, Field(ge=-20, le=80)] = Field(
        description="temperature assumed where none was measured, degC; also the usual set-point"
    )
    recommended_min_c: Finite = Field(default=18.0, description="lower end of the recommended band, degC")
    recommended_max_c: Finite = Field(default=27.0, description="upper end of the recommended band, degC")
    allowable_max_c: Finite = Field(default=35.0, description="upper end of the allowable band, degC")
    cooling_plant: Id = Field(description="the plant that removes this hall's heat")
    liquid_plant: Id | None = Field(
        default=None, description="the plant of the warm water that cools chips: of every pool here, its liquid_share"
    )


class Hall(Part):
    """A thermal zone."""

    feeder: Id = Field(description="feeder of the hall's base load")
    base_kw: NonNegative = Field(default=0.0, description="network, storage and lighting, kW, always on")
    thermal: Thermal | None = Field(default=None, description="absent: temperature and cooling are outside the site's meter")


class CapacityPoint(Part):
    """How much of a plant's most heat is left at one outdoor temperature."""

    outdoor_c: Finite = Field(description="outdoor temperature, degC")
    share: Annotated[float, Field(gt=0, le=1)] = Field(description="share of max_heat_kw that the plant can remove there")


class Stage(Part):
    """A chiller of a plant that has several."""

    max_heat_kw: Positive = Field(description="most heat this chiller takes, kW")
    cop_at_25c: Positive = Field(description="its coefficient of performance at 25 degC outdoors")


class ThermalStore(Part):
    """A tank of chilled water beside a plant."""

    capacity_kwh: Positive = Field(description="heat that a full tank can take, kWh")
    charge_kw: Positive = Field(description="most heat the plant takes out of the tank, beside what it removes from halls, kW")
    discharge_kw: Positive = Field(description="most heat the tank takes off the plant, kW")
    loss_share_per_h: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="share of the stored cold lost through the wall in an hour"
    )
    start_share: Share = Field(default=0.5, description="share of capacity assumed where none was measured")


class SetPoint(Part):
    """The supply temperatures that a plant may be set to. The plant's own figures hold at the usual one."""

    levels_c: Annotated[tuple[Annotated[float, Field(ge=0, le=60)], ...], Field(min_length=1, max_length=6)] = Field(
        description="supply temperatures that can be ordered, degC, rising"
    )
    usual_c: Finite = Field(description="the one that is set where nobody orders another, and at which the plant's figures hold, degC")
    cop_gain_per_k: Annotated[float, Field(ge=0, le=1)] = Field(
        description="COP gained for each K of warmer supply, by every chiller; lost where it is colder than usual"
    )
    free_cooling_shift_per_k: Annotated[float, Field(ge=0, le=2)] = Field(
        default=1.0, description="K by which free cooling's thresholds rise for each K of warmer supply"
    )
    approach_k_per_kw: Annotated[float, Field(gt=0, le=100)] = Field(
        description="how far a hall stays above the supply for each kW of heat removed from it, K/kW"
    )


class CoolingPlant(Part):
    """Chillers with free cooling, pumps and fans. Shape after Sun et al. 2020 and Zhao et al. 2024."""

    feeder: Id
    design_heat_kw: Positive = Field(description="heat at which pumps and fans reach their full power, kW")
    max_heat_kw: Positive = Field(description="most heat the plant can remove, kW")
    capacity_by_outdoor: tuple[CapacityPoint, ...] = Field(
        default=(), description="points by rising outdoor_c, linear between, flat outside; absent: max_heat_kw in any weather"
    )
    cop_at_25c: Positive = Field(
        default=4.5, description="chiller's coefficient of performance at 25 degC outdoors; of a plant without stages"
    )
    stages: tuple[Stage, ...] = Field(default=(), description="chillers loaded one after another, the best COP first; absent: one")
    cop_loss_per_k: NonNegative = Field(default=0.05, description="COP lost per K outdoors above 25 degC")
    cop_min: Positive = Field(default=1.5)
    min_load_share: Share = Field(default=0.1, description="below this share of design heat the chiller draws as if at it")
    free_cooling_full_below_c: Finite = Field(default=12.0, description="below this outdoor temperature no chiller runs, degC")
    free_cooling_none_above_c: Finite = Field(default=25.0, description="above it all heat goes through the chiller, degC")
    pump_kw: NonNegative = Field(description="pumps at design heat, kW; falls with the square of load")
    pump_min_share: Share = Field(default=0.2)
    fan_kw: NonNegative = Field(description="fans at design heat, kW; falls with the cube of load")
    fan_min_share: Share = Field(default=0.15)
    misc_kw: NonNegative = Field(default=0.0, description="controls and the like, kW, always on")
    store: ThermalStore | None = Field(default=None, description="absent: no tank")
    set_point: SetPoint | None = Field(default=None, description="absent: the supply temperature is nobody's to order")
    water_l_per_kwh: NonNegative = Field(
        default=0.0, description="water evaporated per kWh of heat that goes through the chillers, l/kWh; free cooling is dry"
    )


class Weather(Part):
    """The design day, used where no weather file is given."""

    outdoor_by_hour_c: ByHour = Field(description="24 values, degC, by the site's local hour")
