"""The site file's schema: every key a site file may have, with its unit, range and meaning.

`facility.config.load_site` reads a YAML file into these frozen types. A unit stands at the end of every key that has one;
money is in the site's `currency`. Ids match `[a-z0-9][a-z0-9-]*`, because they become MQTT topic levels.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Watts = Annotated[int, Field(ge=0, le=10_000)]
LocalTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
ByHour = Annotated[tuple[Finite, ...], Field(min_length=24, max_length=24)]


class Part(BaseModel):
    """What every part of a site file has in common: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatingPoint(Part):
    """What one GPU does under one power cap."""

    cap_w: Watts = Field(description="power cap, W")
    draw_w: Positive = Field(description="power drawn under that cap, W")
    speed: Annotated[float, Field(gt=0, le=1)] = Field(description="work per time, relative to the uncapped GPU")


class Curve(Part):
    """How fast one kind of work runs on a GPU model at each cap."""

    points: Annotated[tuple[OperatingPoint, ...], Field(min_length=1)] = Field(description="by rising cap")
    source: str = Field(description="where the figures were measured")
    assumed: bool = Field(default=False, description="true when nobody measured this curve on this GPU model")


class GpuModel(Part):
    """A GPU model: what its driver lets be set, and its curves by kind of work."""

    min_cap_w: Watts = Field(description="lowest settable power cap, W")
    max_cap_w: Watts = Field(description="highest settable power cap, W")
    idle_w: NonNegative = Field(description="draw of an idle GPU, W")
    curves: Annotated[dict[Id, Curve], Field(min_length=1)] = Field(description="by kind of work")


class Feeder(Part):
    """A node of the electrical tree: utility feed, transformer, UPS, busway or PDU."""

    rating_kw: Positive = Field(description="continuous rating, kW")
    parent: Id | None = Field(default=None, description="the feeder this one hangs under; none for the root")
    loss_share: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        default=0.0, description="losses as a share of what passes to its load side"
    )
    worst_case_margin: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="share of the rating that the worst case (every GPU at its cap) may reach"
    )


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


class Hall(Part):
    """A thermal zone."""

    feeder: Id = Field(description="feeder of the hall's base load")
    base_kw: NonNegative = Field(default=0.0, description="network, storage and lighting, kW, always on")
    thermal: Thermal | None = Field(default=None, description="absent: temperature and cooling are outside the site's meter")


class CoolingPlant(Part):
    """Chillers with free cooling, pumps and fans. Shape after Sun et al. 2020 and Zhao et al. 2024."""

    feeder: Id
    design_heat_kw: Positive = Field(description="heat at which pumps and fans reach their full power, kW")
    max_heat_kw: Positive = Field(description="most heat the plant can remove, kW")
    cop_at_25c: Positive = Field(default=4.5, description="chiller's coefficient of performance at 25 degC outdoors")
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


class Pool(Part):
    """GPUs of one model in one hall under one feeder."""

    hall: Id
    feeder: Id
    gpu_model: Id
    gpus: Annotated[int, Field(gt=0)]
    host_idle_w: NonNegative = Field(default=0.0, description="CPU, network and fans per idle GPU, W")
    host_run_w: NonNegative = Field(default=0.0, description="CPU, network and fans per busy GPU, W")
    fallback_cap_w: Watts | None = Field(
        default=None, description="cap after silence, W; absent: the highest at which every feeder stays under 80 % of its rating"
    )


class Battery(Part):
    """A battery beside the load."""

    feeder: Id
    capacity_kwh: Positive
    charge_kw: Positive = Field(description="most it takes in, kW")
    discharge_kw: Positive = Field(description="most it gives, kW")
    efficiency: Annotated[float, Field(gt=0, le=1)] = Field(default=0.96, description="one way")
    min_share: Share = Field(default=0.1, description="share of capacity that is never used")
    start_share: Share = Field(default=0.5, description="share of capacity assumed where none was measured")
    wear_price_per_mwh: NonNegative = Field(default=0.0, description="per MWh discharged")


class LimitWindow(Part):
    """A daily window with a limit of its own, by the site's local clock; half-open."""

    from_local: LocalTime
    to_local: LocalTime
    import_limit_kw: Positive


class Grid(Part):
    """The grid connection."""

    feed: Id = "main"
    import_limit_kw: Positive = Field(description="most that may be drawn, kW")
    limit_windows: tuple[LimitWindow, ...] = Field(
        default=(), description="daily windows with a limit of their own; the lower of the two counts"
    )
    ramp_kw_per_h: Positive | None = Field(default=None, description="fastest change of the import, kW/h; absent: any")


class Tariff(Part):
    """What energy and peaks cost where no price file says otherwise."""

    energy_price_per_mwh: Finite | None = None
    energy_price_by_hour_per_mwh: ByHour | None = Field(default=None, description="24 values, by the site's local hour")
    peak_price_per_kw: NonNegative = Field(default=0.0, description="for the highest billing-interval mean of the month")

    @model_validator(mode="after")
    def _one_energy_price(self) -> Tariff:
        if (self.energy_price_per_mwh is None) == (self.energy_price_by_hour_per_mwh is None):
            raise ValueError("give exactly one of energy_price_per_mwh and energy_price_by_hour_per_mwh")
        return self


class Carbon(Part):
    """Carbon intensity of the grid where no file says otherwise."""

    intensity_g_per_kwh: NonNegative = 0.0


class Weather(Part):
    """The design day, used where no weather file is given."""

    outdoor_by_hour_c: ByHour = Field(description="24 values, degC, by the site's local hour")


class Tenant(Part):
    """Who rents."""

    name: str


class Contract(Part):
    """What a tenant bought: a firm rental of GPUs where `gpus` is above 0, and the terms of its jobs."""

    tenant: Id
    kind: Literal["reserved", "on-demand", "spot"]
    pool: Id | None = Field(default=None, description="where the firm rental runs")
    gpus: Annotated[int, Field(ge=0)] = Field(default=0, description="GPUs that must run now; 0 for a contract of jobs only")
    curve: Id | None = Field(default=None, description="kind of work, a curve of the pool's GPU model")
    floor_speed: Share = Field(default=0.0, description="mean relative speed that is promised")
    pausable: bool = Field(default=False, description="true: GPUs of this rental may be idled")
    value_per_gpu_h: NonNegative = Field(default=0.0, description="value of one GPU hour at speed 1")
    penalty_per_gpu_h: Positive = Field(default=50.0, description="for each GPU hour at speed 1 short of the floor")
    weight: NonNegative | None = Field(default=None, description="weight in weighted_throughput; absent: the number of GPUs")

    @model_validator(mode="after")
    def _firm_is_placed(self) -> Contract:
        if self.gpus and (self.pool is None or self.curve is None):
            raise ValueError("a contract with gpus needs a pool and a curve")
        return self


class Jobs(Part):
    """What holds for jobs where the job file or the bus does not say."""

    slack_h: NonNegative = Field(default=8.0, description="deadline = submit + duration + slack, h")
    curve: Id = Field(description="kind of work where a job names none")
    contract: Id | None = Field(default=None, description="contract of jobs that name none")
    unfinished_penalty_per_gpu_h: Positive = Field(default=50.0, description="for each GPU hour not done by its deadline")
    delay_price_per_gpu_h: NonNegative = Field(
        default=1e-4, description="small price of doing one GPU hour of work one hour later; decides between equals"
    )


class SampleJob(Part):
    """A job of the demonstration's day, repeated daily."""

    submit_local: LocalTime
    duration_h: Positive
    gpus: Annotated[int, Field(gt=0)]
    slack_h: NonNegative
    contract: Id | None = None
    curve: Id | None = None
    elastic: bool = False


class Control(Part):
    """The daemon's constants."""

    cycle_s: Positive = 300.0
    solver_budget_s: Positive = 20.0
    cap_ttl_s: Positive = 900.0
    heartbeat_s: Positive = 1.0
    override_default_s: Positive = 3600.0
    override_ceiling_s: Positive = 86_400.0


class Bus(Part):
    """Where the broker is."""

    broker: str = Field(default="mqtt://127.0.0.1:1883", description="mqtt[s]://[user:password@]host[:port]")
    root: Annotated[str, Field(pattern=r"^[^+#\s]+$")] = Field(default="facility/v1", description="first levels of every topic")


class Site(Part):
    """One facility behind one grid connection."""

    id: Id
    name: str
    timezone: str = Field(description="IANA zone, such as Europe/Berlin")
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = Field(description="ISO 4217 code")
    grid: Grid
    tariff: Tariff
    weather: Weather
    carbon: Carbon = Carbon()
    gpu_models: Annotated[dict[Id, GpuModel], Field(min_length=1)]
    feeders: Annotated[dict[Id, Feeder], Field(min_length=1)]
    halls: Annotated[dict[Id, Hall], Field(min_length=1)]
    cooling_plants: dict[Id, CoolingPlant] = {}
    pools: Annotated[dict[Id, Pool], Field(min_length=1)]
    batteries: dict[Id, Battery] = {}
    tenants: dict[Id, Tenant] = {}
    contracts: dict[Id, Contract] = {}
    jobs: Jobs
    sample_jobs: tuple[SampleJob, ...] = Field(default=(), description="jobs of the demonstration only")
    control: Control = Control()
    bus: Bus = Bus()
