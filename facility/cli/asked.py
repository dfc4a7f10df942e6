"""What a plan is asked for, as the options of several commands say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facility.request import Request


def request_of(given: Mapping[str, Any]) -> Request:
    """What a plan is asked for, by the names of a command's parameters."""
    from facility.request import Request

    alike = (
        "site", "start", "horizon", "step", "prices", "weather", "carbon", "load", "solar", "jobs", "jobs_from", "events", "position", "demand",
        "contracts", "timezone", "exact", "gap", "whole_steps",
    )  # fmt: skip
    return Request(
        **{name: given[name] for name in alike if name in given},
        peaks_so_far=tuple(given["peak_so_far"] or ()),
        settings=tuple(given["settings"] or ()),
        budget_s=given["budget"],
    )
