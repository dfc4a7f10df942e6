"""Child: the solver in a process of its own, and what becomes of a call when that process hangs, dies or is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from models.plan import Plan, make_plan
from models.solving import wire
from models.solving.attempt import Attempt
from models.solving.child import Child, ChildSolver
from models.solving.outcome import Infeasible, Outcome, Solved, TimedOut, Whole
from models.solving.program import Program, SolverFault
from models.solving.serve import Reply, Request, answer
from models.solving.solver import Solver
from models.solving.spawn import SERVES, SOLVES

INF = np.inf
ROOT = Path(__file__).parents[2]
HOLDS_A_CHILD = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background has it ignored
sys.path.insert(0, {tests!r})
from test_child import covering, tiny
from models.solving.child import Child
child = Child()
child(tiny()).solve(10.0)
print(child.pid, flush=True)
child(covering()).solve(60.0)
"""


@pytest.fixture
def child() -> Iterator[Child]:
    with Child(grace_s=1.0) as one:
        solved(one(tiny()).solve(10.0))  # it has started
        yield one


def tiny(least: float = 1.0, most: float = INF) -> Program:
    """Minimise x + 2 * y with x + y >= least, 0 <= x <= most, 0 <= y."""
    return Program(
        np.array([1.0, 2.0]),
        0.0,
        sp.csr_matrix([[1.0, 1.0]]),
        np.array([least]),
        np.array([INF]),
        np.zeros(2),
        np.array([most, INF]),
    )


def covering(size: int = 2000) -> Program:
    """The least weight that covers each of `size` random sets: far more than ten seconds of work at 2000."""
    some = np.random.default_rng(0)
    sets = sp.random(size, size, 0.05, "csr", rng=some, data_rvs=np.ones)
    return Program(np.ones(size), 0.0, sets, np.ones(size), np.full(size, INF), np.zeros(size), np.full(size, INF))


def first(most: float) -> tuple[Any, Any, Any]:
    """What keeps the first column of a program at or below `most`."""
    return np.array([0], np.int32), np.array([0.0]), np.array([most])


def solved(outcome: Outcome) -> Solved:
    assert isinstance(outcome, Solved), outcome
    assert outcome.certificate.holds
    return outcome


def cpu_s(pid: int) -> float:
    """What a process has used of the processor, s."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def rss_kb(pid: int) -> int:
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody reaped."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(true: Any, within_s: float = 10.0) -> None:
    latest = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < latest
        time.sleep(0.01)


def amid_a_solve(pid: int) -> None:
    """Wait until a process that has started is seen to work."""
    before_s = cpu_s(pid)
    until(lambda: cpu_s(pid) > before_s + 0.3)


def meanwhile(solver: ChildSolver, budget_s: float) -> tuple[threading.Thread, list[Outcome]]:
    """A solve in a thread, and where its outcome will be."""
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(solver.solve(budget_s)))
    thread.start()
    return thread, outcomes


# --- it solves ---------------------------------------------------------------------------------------------------------------


def test_it_finds_what_the_solver_in_this_process_finds_after_every_change(child: Child) -> None:
    here, there = Solver(tiny(most=0.4)), child(tiny(most=0.4))
    for change in (
        lambda _: None,
        lambda solver: solver.bound(*first(0.25)),
        lambda solver: solver.price(np.array([3.0, 2.0])),
        lambda solver: solver.rebound(np.array([0], np.int32), np.array([2.0]), np.array([INF])),
        lambda solver: solver.add_rows(sp.csr_matrix([[1.0, 0.0]]), np.array([0.125]), np.array([INF])),
    ):
        change(here)
        change(there)
        one, other = solved(here.solve(10.0)), solved(there.solve(10.0))
        assert other.objective == one.objective
        assert other.x.tolist() == one.x.tolist()
        assert other.row_dual.tolist() == one.row_dual.tolist()
    assert there.runs == here.runs == 5
    assert there.run_seconds > 0


def test_it_tells_that_there_is_no_point_and_no_time(child: Child) -> None:
    none = tiny(most=0.25)
    none.upper[1] = 0.5
    assert isinstance(child(none).solve(10.0), Infeasible)
    assert isinstance(child(covering()).solve(0.2), TimedOut)
    assert child.generation == 0  # the solver kept its time, nothing had to be killed


def test_it_searches_for_whole_numbers(child: Child) -> None:
    """x + y >= 1.5 with whole x: 2, not the 1.5 it would be, and 1.5 again afterwards."""
    solver = child(tiny(least=1.5, most=3.0))
    point = solver.solve_whole(np.array([0], np.int32), np.array([3.0]), 0.0, 10.0)
    assert isinstance(point, Whole)
    assert point.objective == pytest.approx(2.0)
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.5)


def test_a_process_starts_from_the_basis_it_is_given_and_lets_go_of_what_it_is_told_to() -> None:
    """Of the same answers that go over the wire, seen from within: from the optimal basis nothing is left to do."""
    optimal, slack = (np.array([1, 0], np.int8), np.array([0], np.int8)), (np.array([0, 0], np.int8), np.array([1], np.int8))
    held: dict[int, Solver] = {}
    steps = []
    for number, basis in enumerate((optimal, slack)):
        reply = answer(held, Request(number, tiny(), [("start_from", basis)], ("run", (Attempt(), 10.0))))
        assert isinstance(reply, Reply)
        assert reply.value.x.tolist() == pytest.approx([1.0, 0.0])
        steps.append(held[number]._highs.getInfo().simplex_iteration_count)
    assert steps[0] == 0 < steps[1]
    answer(held, Request(1, None, [], ("basis", ()), gone=[0]))
    assert list(held) == [1]


def test_a_basis_goes_over_with_its_program_and_rows_added_since_are_basic(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    send = wire.send
    monkeypatch.setattr(wire, "send", lambda end, request, latest: (asked.append(request), send(end, request, latest)))
    solver = child(tiny())
    solver.start_from(np.array([1, 0], np.int8), np.array([0], np.int8))
    solver.bound(*first(5.0))
    solver.add_rows(sp.csr_matrix([[1.0, 0.0]]), np.array([0.5]), np.array([INF]))
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.0)
    ((name, (columns, rows)),) = asked[0].changes
    assert (name, columns.tolist(), rows.tolist()) == ("start_from", [1, 0], [0, 1])


def test_its_basis_starts_another(child: Child) -> None:
    one, other = child(tiny()), child(tiny())
    assert one.basis() is None
    solved(one.solve(10.0))
    basis = one.basis()
    assert basis is not None
    assert [side.tolist() for side in basis] == [[1, 0], [0]]
    other.start_from(*basis)
    solved(other.solve(10.0))
    assert [side.tolist() for side in other.basis() or ()] == [[1, 0], [0]]


def test_a_basis_of_another_size_is_refused(child: Child) -> None:
    with pytest.raises(SolverFault, match="a basis of 1 rows and 1 columns"):
        child(tiny()).start_from(np.array([1], np.int8), np.array([0], np.int8))


def test_what_the_solver_refuses_is_a_fault_here_and_the_next_call_works(child: Child) -> None:
    solver = child(tiny())
    with pytest.raises(SolverFault, match="SolverFault: HiGHS refused changeColsIntegrality"):
        solver.solve_whole(np.array([7], np.int32), np.array([1.0]), 0.0, 10.0)
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.0)
    assert child.generation == 0


def test_a_number_that_is_none_is_refused_in_this_process(child: Child) -> None:
    solver = child(tiny())
    with pytest.raises(SolverFault, match="not a finite number"):
        solver.price(np.array([np.nan, 1.0]))
    with pytest.raises(SolverFault, match="not a number"):
        solver.bound(*first(np.nan))
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.0)


def test_it_holds_several_programs_warm_and_lets_go_of_those_that_nobody_has(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    send = wire.send
    monkeypatch.setattr(wire, "send", lambda end, request, latest: (asked.append(request), send(end, request, latest)))
    one, other = child(tiny()), child(tiny(most=0.5))
    for _ in range(2):
        assert solved(one.solve(10.0)).objective == pytest.approx(1.0)
        assert solved(other.solve(10.0)).objective == pytest.approx(1.5)
    assert [request.program is not None for request in asked] == [True, True, False, False]
    gone = one.number
    del one
    solved(other.solve(10.0))
    assert [list(request.gone) for request in asked[-2:]] == [[], [gone]]


def test_a_plan_from_a_child_is_the_plan_from_here(random_site: Any, child: Child) -> None:
    problem = random_site(3)
    here, there = make_plan(problem, 10.0), make_plan(problem, 10.0, solver_of=child)
    assert isinstance(here, Plan)
    assert isinstance(there, Plan)
    assert there.account.objective == pytest.approx(here.account.objective, rel=1e-9)
    assert child.generation == 0


def test_two_plans_in_two_threads_with_a_child_each_come_out_as_one(random_site: Any) -> None:
    problems = [random_site(seed) for seed in (3, 4)]
    alone = [make_plan(problem, 10.0) for problem in problems]
    together: dict[int, Any] = {}

    def plan(i: int) -> None:
        with Child() as mine:
            together[i] = [make_plan(problems[i], 30.0, solver_of=mine) for _ in range(3)]

    threads = [threading.Thread(target=plan, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive()
    for i, one in enumerate(alone):
        assert isinstance(one, Plan)
        assert [each.account.objective for each in together[i]] == pytest.approx([one.account.objective] * 3)


@pytest.mark.parametrize(("budget_s", "waits_s"), [(0.05, 2.05), (20.0, 22.0), (180.0, 198.0), (INF, 1.1e6)])
def test_a_call_is_waited_for_a_tenth_longer_than_its_budget_and_two_seconds_at_least(budget_s: float, waits_s: float) -> None:
    with Child() as child:
        assert child.waits_s(budget_s) == pytest.approx(waits_s)


def test_a_budget_without_end_is_one(child: Child) -> None:
    assert solved(child(tiny()).solve(INF)).objective == pytest.approx(1.0)


def test_two_threads_on_one_child_take_turns(child: Child) -> None:
    solvers = [child(tiny(most=most)) for most in (0.25, 0.5)]
    found: dict[int, list[float]] = {}

    def solve(i: int) -> None:
        found[i] = [solved(solvers[i].solve(10.0)).objective for _ in range(50)]

    threads = [threading.Thread(target=solve, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert found == {0: [1.75] * 50, 1: [1.5] * 50}


def test_ten_thousand_solves_take_no_more_memory_than_a_thousand_and_none_is_out_of_time(child: Child) -> None:
    """The solver's clock, which runs on from call to call, shows far more in the end than any of them was given."""
    solver, budget_s = child(tiny()), 0.1
    for i in range(10_000):
        solver.bound(*first(i % 7 / 7))
        solved(solver.solve(budget_s))
        if i == 1000:
            before_kb = rss_kb(child.pid)
    assert child.generation == 0
    assert solver.runs == 10_000
    assert solver.run_seconds > budget_s
    assert rss_kb(child.pid) < before_kb + 2048


# --- it fails ----------------------------------------------------------------------------------------------------------------


def test_killed_amid_a_solve_the_call_says_so_and_the_next_one_works(child: Child) -> None:
    pid, small = child.pid, child(tiny())
    small.bound(*first(0.5))
    assert solved(small.solve(10.0)).objective == pytest.approx(1.5)
    thread, outcomes = meanwhile(child(covering()), 60.0)
    amid_a_solve(pid)
    os.kill(pid, signal.SIGKILL)
    thread.join(3.0)
    assert not thread.is_alive()
    assert isinstance(outcomes[0], TimedOut)
    assert outcomes[0].reason == "the solver's process died of SIGKILL"
    assert child.pid != pid
    assert not runs(pid)
    assert solved(small.solve(10.0)).objective == pytest.approx(1.5)  # its bound went over with it


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_killed_between_two_solves_the_next_call_says_so_and_the_one_after_works(child: Child, number: signal.Signals) -> None:
    solver = child(tiny())
    solved(solver.solve(10.0))
    pid = child.pid
    os.kill(pid, number)
    until(lambda: not runs(pid))
    outcome = solver.solve(10.0)
    assert isinstance(outcome, TimedOut)
    assert outcome.reason == f"the solver's process died of {number.name}"
    assert solver.basis() is None
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.0)
    assert child.generation == 1


def outlives(solver: ChildSolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the solver in the child know of no limit of time; this process keeps its own."""
    send = wire.send

    def send_without_limit(end: Any, request: Any, latest: float) -> None:
        name, (attempt, _) = request.call
        send(end, replace(request, call=(name, (attempt, 3600.0))), latest)

    monkeypatch.setattr(wire, "send", send_without_limit)


def test_a_solve_that_outlives_its_deadline_is_killed_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with Child(grace_s=2.0) as child:
        solver, small, pid = child(covering()), child(tiny()), child.pid
        solved(small.solve(10.0))
        with monkeypatch.context() as patched:
            outlives(solver, patched)
            thread, outcomes = meanwhile(solver, 0.05)
            amid_a_solve(pid)
            assert not outcomes  # long past its budget, within its grace
            thread.join(4.0)
        assert not thread.is_alive()
        assert isinstance(outcomes[0], TimedOut)
        assert outcomes[0].reason.startswith("the solver was killed: no answer in 2.")
        assert 2.0 < outcomes[0].seconds < 3.0
        assert not runs(pid)
        assert child.generation == 1
        assert runs(child.pid)  # the next one is on its way by then
        assert solved(small.solve(5.0)).objective == pytest.approx(1.0)


def test_a_process_that_is_stopped_is_killed_at_the_deadline(child: Child) -> None:
    solver, pid = child(tiny()), child.pid
    solved(solver.solve(10.0))
    os.kill(pid, signal.SIGSTOP)
    assert isinstance(solver.solve(0.05), TimedOut)
    assert not runs(pid)
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.0)


def test_a_process_that_takes_nothing_more_does_not_block_who_passes_it_a_large_program(child: Child) -> None:
    solver, pid = child(covering(3000)), child.pid
    assert solver.program.matrix.nnz * 12 > 1_000_000  # far more than a socket takes unread
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    assert isinstance(solver.solve(0.05), TimedOut)
    assert time.monotonic() - started < 2.0
    assert not runs(pid)


def test_a_process_without_memory_is_an_outcome(child: Child) -> None:
    import resource

    solver = child(tiny())
    solved(solver.solve(10.0))
    used = int(Path(f"/proc/{child.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(child.pid, resource.RLIMIT_AS, (used + 2**20, used + 2**20))
    outcome = child(covering()).solve(60.0)
    assert isinstance(outcome, TimedOut)
    assert outcome.reason == "the solver's process ran out of memory"
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.0)


def test_of_all_processes_it_is_the_one_to_go_where_memory_runs_out(child: Child) -> None:
    solved(child(tiny()).solve(10.0))
    assert Path(f"/proc/{child.pid}/oom_score_adj").read_text().strip() == "1000"


def test_a_wait_that_is_broken_off_leaves_no_answer_behind(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call must not take the answer to the one before for its own."""
    solver, pid = child(tiny()), child.pid
    with monkeypatch.context() as patched:
        patched.setattr(wire, "receive", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            solver.solve(10.0)
    assert child.pid != pid
    solver.bound(*first(0.5))
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.5)


def test_where_no_process_can_start_calls_are_lost_until_one_can(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = child(tiny())
    os.kill(child.pid, signal.SIGKILL)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(ROOT / "no such program"))
        for _ in range(2):
            assert isinstance(solver.solve(10.0), TimedOut)
    assert isinstance(solver.solve(10.0), TimedOut)
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.0)


# --- it ends -----------------------------------------------------------------------------------------------------------------


def test_a_child_that_is_closed_amid_a_solve_ends_at_once_and_no_other_begins() -> None:
    child = Child()
    solved(child(tiny()).solve(10.0))
    solver, pid = child(covering()), child.pid
    thread, outcomes = meanwhile(solver, 60.0)
    amid_a_solve(pid)
    child.close()
    thread.join(1.0)
    assert not thread.is_alive()
    assert isinstance(outcomes[0], TimedOut)
    assert outcomes[0].reason == "the solver's process was closed"
    assert not runs(pid)
    later = solver.solve(10.0)
    assert isinstance(later, TimedOut)
    assert later.reason == "the solver's process is closed"
    assert child.pid == pid
    child.close()


def test_ctrl_c_does_not_reach_the_solver(child: Child) -> None:
    solver = child(tiny())
    solved(solver.solve(10.0))
    os.kill(child.pid, signal.SIGINT)
    assert solved(solver.solve(10.0)).objective == pytest.approx(1.0)
    assert child.generation == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_running_when_the_process_that_asks_ends_amid_a_solve(number: signal.Signals) -> None:
    code = HOLDS_A_CHILD.format(tests=str(Path(__file__).parent))
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        amid_a_solve(pid)
        parent.send_signal(number)
        assert parent.wait(5.0) == -number
        until(lambda: not runs(pid), within_s=2.0)


def test_nothing_is_left_running_when_the_process_that_asks_comes_to_its_end() -> None:
    code = "from models.solving.child import Child; print(Child().pid)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    until(lambda: not runs(int(done.stdout)), within_s=2.0)


def test_the_process_knows_arrays_and_the_solver_and_nothing_else() -> None:
    begins = SERVES.partition("main(")[0].format(module=SOLVES)
    code = f"{begins}\nimport sys\nprint(*sys.modules)"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, env=env)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"numpy", "scipy", "highspy", "models"} <= packages
    assert not packages & {"pyomo", "pandas", "facility", "pyarrow", "pydantic", "typer", "paho"}


def test_it_starts_in_less_than_a_second_of_the_processor() -> None:
    with Child() as child:
        solved(child(tiny()).solve(10.0))
        assert 0 < cpu_s(child.pid) < 1.0
