"""GPUs: models with their curves, and pools of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.part import Id, NonNegative, Part, Positive, Share, Watts


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
    power_step_w: Annotated[Watts, Field(ge=1)] = Field(
        default=1, description="caps that can be set are multiples of this, W; so are min_cap_w, max_cap_w and every fallback_cap_w"
    )
    idle_w: NonNegative = Field(description="draw of an idle GPU, W")
    curves: Annotated[dict[Id, Curve], Field(min_length=1)] = Field(description="by kind of work")


class Pool(Part):
    """GPUs of one model in one hall under one feeder."""

    hall: Id
    feeder: Id
    gpu_model: Id
    gpus: Annotated[int, Field(gt=0)]
    spare_gpus: Annotated[int, Field(ge=0)] = Field(
        default=0, description="GPUs in place of those that die: jobs and rentals that may pause have them meanwhile, and no other rental gets them"
    )
    host_idle_w: NonNegative = Field(default=0.0, description="CPU, network and fans per idle GPU, W")
    host_run_w: NonNegative = Field(default=0.0, description="CPU, network and fans per busy GPU, W")
    liquid_share: Share = Field(
        default=0.0, description="share of the pool's heat that cold plates take to the hall's liquid_plant, such as 0.8"
    )
    fallback_cap_w: Watts | None = Field(
        default=None, description="cap after silence, W; absent: the highest at which every feeder stays under 80 % of its rating"
    )
