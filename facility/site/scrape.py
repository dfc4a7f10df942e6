"""Scrapes: exporters of Prometheus metrics that are asked for the power of each GPU, a source beside the meters."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facility.site.part import Id, Part, Positive

Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+", max_length=1000)]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class Scrape(Part):
    """Pages that are read every `period_s`; the power of a pool's GPUs is summed where every one of them is told."""

    urls: Annotated[tuple[Url, ...], Field(min_length=1)] = Field(
        description="pages in the text format: an exporter on each node, or a Prometheus server's /federate?match[]=..."
    )
    metric: Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")] = Field(
        default="DCGM_FI_DEV_POWER_USAGE", description="the power of one GPU"
    )
    unit: str = Field(default="W", description="its unit: W, kW or MW")
    gpu: Annotated[tuple[Label, ...], Field(min_length=1)] = Field(
        default=("Hostname", "gpu"), description="labels that together name one GPU, however often it is told"
    )
    pools: Annotated[dict[Id, dict[Label, str]], Field(min_length=1)] = Field(
        description="pool: {label: pattern}; a GPU is of the first pool whose patterns all fit its labels, * stands for any text"
    )
    period_s: Positive = Field(default=15.0, description="time from one reading of the pages to the next")
    timeout_s: Positive = Field(default=5.0, description="longest time that one page may take")
