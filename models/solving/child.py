"""Child: programs solved in a process of its own, which can be killed.

    with Child() as child:
        plan = make_plan(problem, 20.0, solver_of=child)

A solver that never comes back, that crashes or that takes all memory is an outcome here: each call has its own deadline in this process,
a grace past its budget; then, or when the process dies of something else, the call returns `TimedOut` with the reason, and
a fresh process is on its way, to which the next call passes its program again, cold. The certificate is computed in this
process, on the program as it is here, so that the other one is believed in nothing.

Changes of a program go over with its next solve. Calls of several threads on one child come one after the other; for plans at the same
time there are several children.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from itertools import count
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.horizon import Floats
from models.solving import wire
from models.solving.attempt import BASIC, Attempt, Basis, Method, Point, certified
from models.solving.outcome import Infeasible, Outcome, TimedOut, Whole
from models.solving.program import Indices, Program, SolverFault
from models.solving.serve import Call, Refusal, Reply, Request
from models.solving.spawn import REAP_S, ended, started
from models.sparse import sp

GRACE_S = 2.0
GRACE_SHARE = 0.1
"""Of a large budget: with it the program grows, and the time to pass it."""
LONGEST_S = 1e6
"""A budget without end waits so long; a socket takes no more than twice that."""


class Lost(Exception):
    """The process did not answer; the text says why. What it held is lost."""


class Child:
    """One process that solves. Called with a program it is a `models.solving.attempt.SolverOf`. To be closed, or used in a `with`.

    `grace_s` is how much longer than its budget a call is waited for, s, or a tenth of the budget where that is more.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._one_at_a_time = threading.Lock()
        self._starting = threading.Lock()
        self._numbers = count()
        self._gone: deque[int] = deque()
        self._closed = False
        self.generation = 0
        """How many processes were lost so far."""
        self._process, self._end = started()

    def __call__(self, program: Program) -> ChildSolver:
        """A solver of `program` in the process."""
        solver = ChildSolver(self, next(self._numbers), program)
        weakref.finalize(solver, self._gone.append, solver.number).atexit = False
        return solver

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the process that solves now."""
        return self._process.pid

    def waits_s(self, budget_s: float) -> float:
        """How long a call with that budget is waited for, s."""
        budget_s = min(budget_s, LONGEST_S)
        return budget_s + max(self._grace_s, GRACE_SHARE * budget_s)

    def close(self) -> None:
        """End the process, also amid a solve, which is lost then; later calls are too."""
        self._closed = True
        with self._starting:
            self._process.kill()
        with self._one_at_a_time:  # whoever waits for an answer knows by now that none comes
            ended(self._process, self._end)

    def ask(self, solver: ChildSolver, call: Call, budget_s: float) -> Reply:
        """What `call` of `solver` returns; Lost if it takes longer than `budget_s` and a grace. SolverFault where the solver refuses.

        The solver counts its budget from when it has the program; to start a process and to pass the program is in the grace.
        """
        longest_s = self.waits_s(budget_s)
        latest = time.monotonic() + longest_s
        if not self._one_at_a_time.acquire(timeout=longest_s):
            raise Lost("the solver's process was busy with another program")
        try:
            if self._closed:
                raise Lost("the solver's process is closed")
            reply = self._answer(solver, call, latest)
        finally:
            self._one_at_a_time.release()
        if isinstance(reply, Refusal):
            solver.forget()
            raise SolverFault(reply.reason)
        return reply

    def _answer(self, solver: ChildSolver, call: Call, latest: float) -> Reply | Refusal:
        """Ask and wait; whatever ends that ends the process too, for what it would say next is the answer to this."""
        asked = time.monotonic()
        gone = [self._gone.popleft() for _ in range(len(self._gone))]
        try:
            wire.send(self._end, Request(solver.number, *solver.news(self.generation), call, gone), latest)
            reply: Reply | Refusal = wire.receive(self._end, latest)
        except TimeoutError:
            self._lose(0.0)
            raise Lost(f"the solver was killed: no answer in {time.monotonic() - asked:.1f} s") from None
        except (EOFError, OSError):
            raise Lost(self._lose(REAP_S)) from None
        except BaseException:
            self._lose(0.0)
            raise
        return reply

    def _lose(self, patience_s: float) -> str:
        """End the process, unless it does so by itself within `patience_s`, and start another; how it ended, in words."""
        how = ended(self._process, self._end, patience_s)
        with self._starting:
            self.generation += 1
            if self._closed:
                return "the solver's process was closed"
            with suppress(OSError):  # where none can start now, the next call finds its end closed and tries again
                self._process, self._end = started()
        return f"the solver's process {how}"


class ChildSolver:
    """One program in a child, as `models.solving.attempt.ProgramSolver` says. After a loss its basis is lost, too."""

    def __init__(self, child: Child, number: int, program: Program) -> None:
        self.program = program
        self.number = number
        self.runs = 0
        self.run_seconds = 0.0
        self._child = child
        self._changes: list[Call] = []
        self._passed_to: int | None = None

    def price(self, cost: Floats) -> None:
        """Put other costs in force, one a column."""
        self.program.price(cost)
        self._changes.append(("price", (cost.copy(),)))

    def bound(self, columns: Indices, lower: Floats, upper: Floats) -> None:
        """Give columns other bounds."""
        self.program.bound(columns, lower, upper)
        self._changes.append(("bound", (columns.copy(), lower.copy(), upper.copy())))

    def rebound(self, rows: Indices, lower: Floats, upper: Floats) -> None:
        """Give rows other bounds."""
        self.program.rebound(rows, lower, upper)
        self._changes.append(("rebound", (rows.copy(), lower.copy(), upper.copy())))

    def add_rows(self, matrix: sp.csr_matrix, lower: Floats, upper: Floats) -> None:
        """Add rows below the others."""
        added = self.program.add_rows(matrix, lower, upper)
        self._changes.append(("add_rows", (added, lower.copy(), upper.copy())))

    def start_from(self, columns: NDArray[np.int8], rows: NDArray[np.int8]) -> None:
        """Start the next solve from a basis."""
        if (len(rows), len(columns)) != self.program.shape:
            raise SolverFault(f"a basis of {len(rows)} rows and {len(columns)} columns for a program of {self.program.shape}")
        self._changes.append(("start_from", (columns.copy(), rows.copy())))

    def solve(self, budget_s: float, method: Method = "choose") -> Outcome:
        """A certified optimum within `budget_s` seconds; TimedOut if the process is lost."""
        started = time.monotonic()
        try:
            return certified(self.program, self._run, budget_s, method)
        except Lost as lost:
            return TimedOut(time.monotonic() - started, str(lost))

    def solve_whole(self, columns: Indices, start: Floats, gap: float, budget_s: float) -> Whole | Infeasible | TimedOut:
        """Search for an optimum at which `columns` are whole; TimedOut if the process is lost."""
        started = time.monotonic()
        try:
            found: Whole | Infeasible | TimedOut = self._solved("solve_whole", (columns, start, gap, budget_s), budget_s)
        except Lost as lost:
            return TimedOut(time.monotonic() - started, str(lost))
        return found

    def basis(self) -> Basis | None:
        """The last basis; None where there is none, or where it is lost."""
        if self._passed_to != self._child.generation:
            return None
        try:
            basis: Basis | None = self._child.ask(self, ("basis", ()), 0.0).value
        except Lost:
            return None
        return basis

    def news(self, generation: int) -> tuple[Program | None, list[Call]]:
        """What the process of that generation does not know of the program yet: all of it, or what changed since it was told."""
        changes, self._changes = self._changes, []
        if self._passed_to == generation:
            return None, changes
        self._passed_to = generation
        rows = self.program.shape[0]
        given = [basis for name, basis in changes if name == "start_from"][-1:]
        return self.program, [("start_from", (columns, _with_basic(status, rows))) for columns, status in given]

    def forget(self) -> None:
        """The process holds the program no longer."""
        self._passed_to = None

    def _run(self, attempt: Attempt, budget_s: float) -> Point | Infeasible | TimedOut:
        found: Point | Infeasible | TimedOut = self._solved("run", (attempt, budget_s), budget_s)
        return found

    def _solved(self, name: str, arguments: tuple[Any, ...], budget_s: float) -> Any:
        self.runs += 1
        started = time.monotonic()
        try:
            reply = self._child.ask(self, (name, arguments), budget_s)
        except Lost:
            self.run_seconds += time.monotonic() - started
            raise
        self.run_seconds += reply.run_seconds
        return reply.value


def _with_basic(status: NDArray[np.int8], rows: int) -> NDArray[np.int8]:
    """Status of `rows` rows where those added since the basis was given are basic, as the solver has it."""
    return np.pad(status, (0, rows - len(status)), constant_values=BASIC)
