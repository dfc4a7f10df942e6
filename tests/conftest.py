"""Options of the whole test run."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write tests/models/golden/*.lp instead of comparing with them")
    parser.addoption("--without", metavar="ROOM.CONSTRAINT", help="take a family of constraints out of the program, to see which tests miss it")


def pytest_configure(config: pytest.Config) -> None:
    family = config.getoption("--without")
    if family:
        _take_out(*family.split("."))


def _take_out(room: str, constraint: str) -> None:
    """Let every program that is built lack `constraint` of `room`."""
    (file,) = (Path(__file__).parents[1] / "models").rglob(f"{room}.py")
    module = importlib.import_module(".".join(file.relative_to(Path(__file__).parents[1]).with_suffix("").parts))
    if (room, constraint) == ("workload", "climbs"):  # rows that are added where a solution breaks them
        module.broken_rungs = lambda gpus, *_args, **_kwargs: np.zeros(gpus.shape, bool)
        return
    add = module.add

    def add_without(block: Any, *args: Any, **kwargs: Any) -> Any:
        published = add(block, *args, **kwargs)
        if block.component(constraint) is not None:
            block.component(constraint).deactivate()
        return published

    module.add = add_without
