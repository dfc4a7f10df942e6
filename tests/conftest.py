"""Options of the whole test run, and what Pyomo itself makes of a model."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import scipy.sparse as sp
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from models.compile import Compiled
from models.horizon import Floats
from models.solving.program import Program
from tests.in_memory import in_memory

REAL = ("tests.processes", "tests.postgres", "tests.prometheus", "tests.slurm")
"""A file of tests that imports one of these starts processes and looks at the time."""

hypothesis.settings.register_profile("facility", deadline=None)  # how long an example takes is the machine's business
hypothesis.settings.load_profile("facility")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write tests/models/golden/*.lp instead of comparing with them")
    parser.addoption("--no-inject", action="store_true", help="run the tests of faults without their faults; each must then fail at its proof")
    parser.addoption("--fuzz", type=int, default=5_000, metavar="PAYLOADS", help="how many payloads are thrown at the daemon")
    parser.addoption("--quotes", type=int, default=20, metavar="CASES", help="how many random rentals are quoted, and accepted")
    parser.addoption("--amid-solves", type=float, default=8.0, metavar="SECONDS", help="how long people overrule the daemon amid its solves")
    parser.addoption("--dsx-asyncapi", metavar="DIR", help="the AsyncAPI files of NVIDIA/dsx-exchange, to hold what we tell against their schemas")
    parser.addoption("--without", metavar="ROOM.CONSTRAINT", help="take a family of constraints out of the program, to see which tests miss it")


def pytest_configure(config: pytest.Config) -> None:
    if (root := in_memory()) is not None:  # a journal is on the disk before anybody is answered: half of what simulated days take is waiting for it
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(root))
    config.addinivalue_line("markers", "breaks_invariants: a message that breaks an invariant is meant to reach the gate")
    family = config.getoption("--without")
    if family:
        _take_out(*family.split("."))


@pytest.fixture(autouse=True)
def nothing_breaks_an_invariant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every daemon of every test sends nothing that breaks an invariant, but where a test makes it do so (`breaks_invariants`)."""
    gate = sys.modules.get("facility.daemon.sending.gate")
    if gate is None or request.node.get_closest_marker("breaks_invariants"):
        yield
        return
    found: list[str] = []
    passes = gate.Gate._passes

    def noted(self: Any, message: Any, broken: tuple[Any, ...], **more: Any) -> bool:
        found.extend(f"{message.topic}: {one}" for one in broken)
        return bool(passes(self, message, broken, **more))

    monkeypatch.setattr(gate.Gate, "_passes", noted)
    yield
    assert not found


@pytest.hookimpl(tryfirst=True)  # before the workers read the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What real processes do in real time is tested one after another: faults by one worker, for their seconds are counted, the rest by another.

    Simulated days, which take longest, come early, so that no worker waits for them in the end.
    """
    items.sort(key=lambda item: item.path.parent.name != "simulation")
    for item in items:
        if item.path.parent.name == "faults":
            item.add_marker(pytest.mark.xdist_group("faults"))
        elif _is_real(item.path):
            item.add_marker(pytest.mark.xdist_group("processes"))


@cache
def _is_real(file: Path) -> bool:
    return file.parent.name == "process" or (file.suffix == ".py" and any(name in file.read_text() for name in REAL))


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


def as_stock(model: Any) -> tuple[Program, list[str], list[str]]:
    """The program of a model as Pyomo writes it, row by row, with the names of its rows and columns."""
    form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    kind, rhs = np.array([row.bound_type for row in form.rows]), np.asarray(form.rhs, float)  # 0: equality, 1: upper, -1: lower
    variables = list(form.columns)
    at: dict[str, list[int]] = {}  # a range is two rows, one for each side
    for i, row in enumerate(form.rows):
        at.setdefault(row.constraint.name, []).append(i)
    lower, upper = np.where(kind == 1, -np.inf, rhs), np.where(kind == -1, np.inf, rhs)
    program = Program(
        cost=np.asarray(form.c.todense(), float).ravel(),
        offset=float(form.c_offset[0]),
        matrix=sp.csr_matrix(form.A)[[rows[0] for rows in at.values()]],
        row_lower=np.array([lower[rows].max() for rows in at.values()]),
        row_upper=np.array([upper[rows].min() for rows in at.values()]),
        lower=np.array([-np.inf if v.lb is None else v.lb for v in variables], float),
        upper=np.array([np.inf if v.ub is None else v.ub for v in variables], float),
    )
    return program, list(at), [v.name for v in variables]


def assert_same(declared: Any, expanded: Any) -> Program:
    """Matrix, bounds and costs of both agree to 1e-12, name by name."""
    ours, (theirs, rows, columns) = Compiled(declared), as_stock(expanded)
    row_at, column_at = ({name: i for i, name in enumerate(names)} for names in (rows, columns))
    at_row = [row_at.pop(ours.row_place(i).name) for i in range(len(ours.row_lower))]
    at_column = [column_at.pop(ours.column_place(j).name) for j in range(len(ours.cost))]
    assert not row_at
    assert not column_at

    def same(one: Floats, other: Floats) -> None:
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)

    difference = ours.matrix - theirs.matrix[at_row][:, at_column]
    assert abs(difference).max() <= 1e-12 * max(1.0, abs(theirs.matrix).max())
    same(ours.row_lower, theirs.row_lower[at_row])
    same(ours.row_upper, theirs.row_upper[at_row])
    same(ours.lower, theirs.lower[at_column])
    same(ours.upper, theirs.upper[at_column])
    same(ours.cost, theirs.cost[at_column])
    assert ours.offset == pytest.approx(theirs.offset, rel=1e-12, abs=1e-12)
    return theirs


@pytest.fixture(scope="session")
def stock_program() -> Callable[[Any], tuple[Program, list[str], list[str]]]:
    """The program of a model as Pyomo writes it: see `as_stock`."""
    return as_stock


@pytest.fixture(scope="session")
def same_program() -> Callable[[Any, Any], Program]:
    """Compare a model's arrays with what Pyomo writes: see `assert_same`."""
    return assert_same


def pytest_collection_finish() -> None:
    """What was collected stays to the end: no search for garbage goes through it again and again."""
    gc.collect()
    gc.freeze()
