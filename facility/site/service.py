"""The service itself: the daemon's constants and where the broker is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from facility.site.access import Access
from facility.site.dsx import Dsx
from facility.site.mapping import Format, MappingRule
from facility.site.part import Id, NonNegative, Part, Positive
from facility.site.set_points import SetPointRule


class GuardBands(Part):
    """Where caps give way at once, without a plan, and until when."""

    cut_share: Annotated[float, Field(gt=0, le=1)] = Field(default=0.98, description="share of a feeder's rating above which caps give way")
    aim_share: Annotated[float, Field(gt=0, le=1)] = Field(default=0.95, description="share of it that is aimed at then")
    release_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.90, description="share of it at or below which what gave way may rise again, after calm_s"
    )
    calm_s: Positive = Field(default=60.0, description="how long a feeder or hall must have been within bounds before caps may rise again, s")
    look_ahead_s: NonNegative = Field(
        default=60.0, description="how far a hall's rise is looked ahead; where it ends above the allowable maximum caps give way, s"
    )

    @model_validator(mode="after")
    def _in_order(self) -> GuardBands:
        if not self.release_share <= self.aim_share <= self.cut_share:
            raise ValueError("release_share, aim_share and cut_share rise in this order")
        return self


class Control(Part):
    """The daemon's constants."""

    cycle_s: Positive = 300.0
    solver_budget_s: Positive = 20.0
    cap_ttl_s: Positive = 900.0
    heartbeat_s: Positive = 1.0
    move_price_per_mwh: NonNegative = Field(
        default=0.1,
        description="price of moving power of the next hour away from the last plan, money per MWh moved; 0: plans may hunt",
    )
    rise_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.05, description="most that caps below a feeder rise in one step, as a share of its rating; what is commanded acts at once"
    )
    rise_pause_s: tuple[Positive, Positive] = Field(
        default=(1.0, 10.0), description="least and most seconds between two such steps, drawn by chance"
    )
    turns_per_h: Annotated[int, Field(ge=1)] = Field(
        default=30, description="how often in any hour caps of a pool that fell may rise again; what is commanded does not count"
    )
    override_default_s: Positive = 3600.0
    override_ceiling_s: Positive = 86_400.0
    guard: GuardBands = GuardBands()


class Bus(Access):
    """Where the broker is, what it is told who we are, and what a building says on it in its own words."""

    broker: str = Field(default="mqtt://127.0.0.1:1883", description="mqtt[s]://[user:password@]host[:port]")
    root: Annotated[str, Field(pattern=r"^[^+#\s]+$")] = Field(default="facility/v1", description="first levels of every topic")
    formats: dict[Id, Format] = Field(default={}, description="what messages of one kind have in common, for rules that name it")
    mapping: tuple[MappingRule, ...] = Field(default=(), description="topics that are not ours, as readings of sensors")
    set_points: tuple[SetPointRule, ...] = Field(default=(), description="where gateways of the building take what is ordered")
    profile: Literal["own", "dsx"] = Field(default="own", description="dsx: the site takes part in NVIDIA DSX Exchange besides")
    dsx: Dsx | None = Field(default=None, description="the site's part in NVIDIA DSX Exchange, where profile is dsx")

    @property
    def rules(self) -> tuple[MappingRule, ...]:
        """The rules of `mapping`, each with what its format says."""
        return tuple(rule.in_full(self.formats) for rule in self.mapping)
