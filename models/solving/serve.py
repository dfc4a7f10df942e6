"""Serve: the process in which programs are solved for another one (`models.solving.child`).

`main` answers a `Request` after the other, and ends when its other end closes - also amid a solve, and however the other
process ended. It holds every program that it was passed, warm, until it is told to let go. It knows numpy, scipy.sparse and the solver.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.solving import wire
from models.solving.program import Program
from models.solving.solver import Solver

OUT_OF_MEMORY = 12
"""Exit code where memory ran out."""

Call = tuple[str, tuple[Any, ...]]
"""A method of `models.solving.solver.Solver` and its arguments."""


@dataclass(frozen=True)
class Request:
    """`call` of the program `number`, after `changes`; `program` where it is not held yet; `gone` are those to let go."""

    number: int
    program: Program | None
    changes: Sequence[Call]
    call: Call
    gone: Sequence[int] = ()


@dataclass(frozen=True)
class Reply:
    """What the call returned, and how long the solver ran, s."""

    value: Any
    run_seconds: float


@dataclass(frozen=True)
class Refusal:
    """Why there is no reply: a fault of the program. It is no longer held."""

    reason: str


def answer(held: dict[int, Solver], request: Request) -> Reply | Refusal:
    """Do what `request` says with the programs that are `held`."""
    for number in request.gone:
        held.pop(number, None)
    try:
        if request.program is not None:
            held[request.number] = Solver(request.program)
        solver = held[request.number]
        for name, arguments in request.changes:
            getattr(solver, name)(*arguments)
        ran_s = solver.run_seconds
        name, arguments = request.call
        return Reply(getattr(solver, name)(*arguments), solver.run_seconds - ran_s)
    except MemoryError:
        raise
    except Exception as fault:
        held.pop(request.number, None)
        return Refusal(f"{type(fault).__name__}: {fault}")


def main(descriptor: int) -> None:
    """Solve over the socket `descriptor` until its other end closes."""
    serve(descriptor, partial(answer, dict[int, Solver]()))


def serve(descriptor: int, reply: Callable[[Any], Any]) -> None:
    """Answer what comes over the socket `descriptor` with what `reply` makes of it, until its other end closes."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory runs out, this process goes and the other stays
    end = socket.socket(fileno=descriptor)
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()
    try:
        while True:
            wire.send(end, reply(wire.receive(end)))
    except (EOFError, ConnectionError):
        return
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _end_with(end: socket.socket) -> None:
    """End the process, whatever it does, once the other end is closed."""
    hung_up = select.poll()
    hung_up.register(end, 0)
    hung_up.poll()
    os._exit(0)
