"""Facility: the service that runs the power of a GPU data centre. What notebooks need stands here, imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facility.config import load_site
    from facility.planner import Request, plan

__version__ = "0.1.0"
__all__ = ["Request", "load_site", "plan"]

_HOME = {"load_site": "facility.config", "plan": "facility.planner", "Request": "facility.planner"}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and only that."""
    if name not in _HOME:
        raise AttributeError(f"module 'facility' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
