"""Tenancy: who rents, what was promised, and what holds for jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from facility.ladder import LADDER, Flexibility, Tier, Window
from facility.site.maintenance import EVER_SINCE, FOR_GOOD, Instant
from facility.site.part import GpusByHour, Id, LocalTime, NonNegative, Part, Positive, Share


class Tenant(Part):
    """Who rents."""

    name: str


class Contract(Part):
    """What a tenant bought: a firm rental of GPUs where `gpus` is above 0, and the terms of its jobs."""

    tenant: Id
    kind: Literal["reserved", "on-demand", "spot"]
    pool: Id | None = Field(default=None, description="where the firm rental runs")
    gpus: Annotated[int, Field(ge=0)] = Field(default=0, description="GPUs that must run now; 0 for a contract of jobs only")
    gpus_from: Instant | None = Field(default=None, description="when its GPUs become its own; absent: they are")
    gpus_until: Instant | None = Field(default=None, description="when it gives them back; absent: never")
    curve: Id | None = Field(default=None, description="kind of work, a curve of the pool's GPU model")
    demand_by_hour_gpus: GpusByHour | None = Field(
        default=None, description="a service: how many of its GPUs must run, by local hour; absent: all of them, always"
    )
    releases_idle: bool = Field(default=False, description="true: jobs may use the GPUs that its demand leaves idle")
    floor_speed: Share = Field(default=0.0, description="mean relative speed that is promised, of the GPUs that must run")
    pausable: bool = Field(default=False, description="true: GPUs of this rental may be idled")
    value_per_gpu_h: NonNegative = Field(
        default=0.0, description="value of one GPU hour at speed 1; a spot contract's jobs are done only while it is above their energy's cost"
    )
    penalty_per_gpu_h: Positive = Field(default=50.0, description="for each GPU hour at speed 1 short of the floor, or not done by a job's deadline")
    weight: NonNegative | None = Field(default=None, description="weight in weighted_throughput; absent: the number of GPUs")
    tier: Tier | None = Field(
        default=None, description="flexibility tier, T0 (none) to T5: full speed is promised, but for what the tier's keys below grant"
    )
    greatest_slowdown: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = Field(
        default=None, description="how many times slower it may run, at most; with it, full speed is promised otherwise"
    )
    slow_hours: NonNegative | None = Field(
        default=None, description="hours at the greatest slow-down in each slow_window, half-slow ones half; absent: the tier's, or any"
    )
    slow_window: Window | None = Field(default=None, description="calendar day, week or month of the site's zone; absent: the tier's, or day")
    credit_per_gpu_h: NonNegative | None = Field(
        default=None, description="credit for each GPU and hour at the greatest slow-down; absent: the tier's, or 0"
    )
    max_defer_h: NonNegative | None = Field(
        default=None, description="a job of this contract starts at most so long after its submission, h; absent: the tier's, or jobs.slack_h"
    )

    price_per_gpu_h: NonNegative | None = Field(
        default=None, description="what the tenant pays for each GPU and hour that is kept for it; absent: nobody has said"
    )
    carbon_price_per_tonne: NonNegative = Field(
        default=0.0, description="what the tenant would pay for a tonne of CO2 less: its work moves to cleaner hours where that is worth it"
    )

    @property
    def has_gpus(self) -> tuple[datetime, datetime]:
        """The half-open interval in which its GPUs are its own; its terms hold for jobs all the time."""
        return self.gpus_from or EVER_SINCE, self.gpus_until or FOR_GOOD

    @property
    def flexibility(self) -> Flexibility | None:
        """What it grants, key by key before the tier; None for a contract that promises its floor only."""
        given = {key: getattr(self, key) for key in Flexibility.__annotations__ if getattr(self, key) is not None}
        if self.tier is not None:
            return replace(LADDER[self.tier], **given)
        if self.greatest_slowdown is None:
            return None
        return replace(Flexibility(self.greatest_slowdown, None, "day", 0.0, None), **given)

    @property
    def defer_h(self) -> float | None:
        """How long after their submission its jobs may start, h; None where the contract does not say."""
        return self.max_defer_h if self.tier is None or self.max_defer_h is not None else LADDER[self.tier].max_defer_h

    @property
    def least_speed(self) -> float:
        """The mean relative speed below which it is never slowed: its floor, or what the greatest slow-down leaves."""
        granted = self.flexibility
        return self.floor_speed if granted is None else max(self.floor_speed, 1 / granted.greatest_slowdown)

    @model_validator(mode="after")
    def _firm_is_placed(self) -> Contract:
        if self.gpus and (self.pool is None or self.curve is None):
            raise ValueError("a contract with gpus needs a pool and a curve")
        if self.has_gpus[0] >= self.has_gpus[1]:
            raise ValueError("gpus_until must come after gpus_from")
        return self

    @model_validator(mode="after")
    def _slow_hours_are_of_a_slowdown(self) -> Contract:
        if self.flexibility is None and not (self.slow_hours is None and self.slow_window is None and self.credit_per_gpu_h is None):
            raise ValueError("slow_hours, slow_window and credit_per_gpu_h need a tier or a greatest_slowdown")
        return self


class Quotes(Part):
    """What is asked for a rental, and how long an offer stands. Without a price and a margin offers tell what they cost alone."""

    price_per_gpu_h: dict[Id, NonNegative] = Field(default={}, description="the least that is asked for a GPU hour, by GPU model")
    margin_pct: NonNegative | None = Field(default=None, description="what is asked beyond what a rental costs, at least, % of that")
    valid_min: Positive = Field(default=60.0, description="how long an offer can be accepted, and never after its start, min")


RENTED = tuple(key for key in Contract.model_fields if key not in {"gpus_from", "gpus_until"})
"""The keys of a contract that a rental has: it begins and ends by itself."""


class Jobs(Part):
    """What holds for jobs where the job file or the bus does not say."""

    slack_h: NonNegative = Field(default=8.0, description="deadline = submit + duration + slack, h")
    curve: Id = Field(description="kind of work where a job names none")
    contract: Id | None = Field(default=None, description="contract of jobs that name none")
    pause_cost_gpu_h: NonNegative = Field(
        default=0.0, description="GPU hours that one GPU loses each time its job stops and starts again: checkpoint, lost work, restart"
    )
    min_run_h: NonNegative = Field(
        default=0.0, description="a rigid job that starts runs for so long before it may pause, or until its work is done, h"
    )
    unfinished_penalty_per_gpu_h: Positive = Field(
        default=50.0, description="for each GPU hour not done by its deadline, where the job's contract names no penalty"
    )
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
