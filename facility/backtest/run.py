"""Run: all controllers of a backtest, each in a process of its own where there are processors, and what is written of them.

Controllers share nothing, so side by side they come to the same as one after another. Days are not lived apart: jobs, batteries, halls and
the month's peaks go on from one into the next.

    DIR/run.json                    what was asked, so that only the same goes on
    DIR/state/CONTROLLER/*.answers  plans by day;  lived.pickle once it is through
    DIR/summary.json                the result
    DIR/intervals.parquet           a row for each controller and cycle

Where a recording is asked for (`facility.backtest.recording`), ours is lived again with the plans that are known.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

from facility.backtest.answers import Answers
from facility.backtest.bill import bill
from facility.backtest.loop import Lived, live
from facility.backtest.recording import CONTROLLER
from facility.backtest.request import Request, span_of
from facility.backtest.summary import Compared, summary
from facility.backtest.world import World, read_world
from facility.config import load_site
from facility.errors import Fault, InputError

RUN, SUMMARY, INTERVALS, LIVED = "run.json", "summary.json", "intervals.parquet", "lived.pickle"

Tell = Callable[[str, float], None]
"""Hears of a controller and how much of its span is over, a share."""


def backtest(request: Request, out: Path | None, *, workers: int, tell: Tell, record: Path | None = None) -> tuple[World, dict[str, Any]]:
    """Compare the controllers of `request`; write into `out`, and go on there with what was begun. Returns the world and the summary."""
    world = begin(request, out)
    return world, compare(world, request, out, workers=workers, tell=tell, record=record)


def begin(request: Request, out: Path | None) -> World:
    """Read what is asked for, and make the folder. InputError for bad input."""
    site = load_site(request.site, request.settings)
    world = read_world(request, site, span_of(request, site))
    if out is not None:
        _claim(out, request)
    return world


def compare(world: World, request: Request, out: Path | None, *, workers: int, tell: Tell, record: Path | None = None) -> dict[str, Any]:
    """Live through `world` as each controller of `request`, as far as that is not done yet, and sum up; ours is recorded into `record`."""
    lived = _all(world, request, out, workers, tell, record)
    compared = {name: Compared(each, bill(world, each)) for name, each in lived.items()}
    numbers = summary(world, request, compared)
    if out is not None:
        _write(out / SUMMARY, (json.dumps(numbers, indent=2, allow_nan=False) + "\n").encode())
        _write_intervals(world, compared, out / INTERVALS)
    return numbers


def _claim(out: Path, request: Request) -> None:
    """Make the folder, or know it as one of the same request."""
    asked = json.dumps(request.fingerprint(), sort_keys=True, indent=2) + "\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / RUN).exists():
            _write(out / RUN, asked.encode())
            return
        begun = (out / RUN).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(Fault(f"--out {out}", f"cannot be written: {error.strerror}", "name a folder that you may write")) from None
    if begun != asked:
        was, now = (json.loads(text) for text in (begun, asked))
        other = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
        raise InputError(Fault(f"--out {out}", f"holds a backtest with another {', '.join(other)}", "name another folder, or remove it"))


def _all(world: World, request: Request, out: Path | None, workers: int, tell: Tell, record: Path | None) -> dict[str, Lived]:
    names = list(request.controllers)
    if workers < 2 or len(names) < 2:
        return {name: _one(world, name, request, out, partial(tell, name), record) for name in names}
    context, found = get_context("spawn"), dict[str, Lived]()
    with tempfile.TemporaryDirectory() as folder, context.Manager() as manager:
        heard, kept = manager.Queue(), Path(folder) / "world"
        kept.write_bytes(pickle.dumps(world))
        with ProcessPoolExecutor(min(workers, len(names)), mp_context=context) as pool:
            level = logging.getLogger("facility").level
            running = {pool.submit(_in_process, kept, name, request, out, heard, level, record): name for name in names}
            waiting = set(running)
            while waiting:
                with suppress(Empty):  # then see who is through
                    tell(*heard.get(timeout=1.0))
                waiting = {future for future in waiting if not future.done()}
            for future in as_completed(running):
                found[running[future]] = future.result()
                tell(running[future], 1.0)
    return {name: found[name] for name in names}


def _in_process(world: Path, name: str, request: Request, out: Path | None, heard: Any, level: int, record: Path | None) -> Lived:
    logging.getLogger("facility").setLevel(level)  # a new process has none of what was set
    read: World = pickle.loads(world.read_bytes())  # noqa: S301 - written by `_all`
    return _one(read, name, request, out, lambda share: heard.put((name, share)), record)


def _one(world: World, name: str, request: Request, out: Path | None, tell: Callable[[float], None], record: Path | None) -> Lived:
    """Live through the span, unless that was done before."""
    folder = None if out is None else out / "state" / name
    record = record if name == CONTROLLER else None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if record is None and (folder / LIVED).exists():
            done: Lived = pickle.loads((folder / LIVED).read_bytes())  # noqa: S301 - written below
            tell(1.0)
            return done
    lived = live(world, name, request.seed, request.foresight_h, Answers(folder), tell, record)
    if folder is not None:
        _write(folder / LIVED, pickle.dumps(lived))
    return lived


def _write_intervals(world: World, compared: Mapping[str, Compared], path: Path) -> None:
    import pandas as pd

    frames = []
    for name, each in compared.items():
        lived, paid = each.lived, each.bill
        frame = pd.DataFrame([{field: getattr(interval, field) for field in interval.__dataclass_fields__} for interval in lived.intervals])
        frame.insert(0, "controller", name)
        frame["planned_kw"] = pd.array(lived.planned_kw, dtype="Float64")
        frame["mode"], frame["moved_kw"] = list(lived.modes), list(lived.moved_kw)
        frame[f"price_{world.site.currency.lower()}_per_mwh"] = paid.truth.price_per_mwh
        frame["carbon_g_per_kwh"], frame["cost"] = paid.truth.carbon_g_per_kwh, paid.by_interval
        frames.append(frame)
    beside = path.with_suffix(".new")
    pd.concat(frames, ignore_index=True).to_parquet(beside, index=False)
    beside.replace(path)


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


def processors() -> int:
    """How many processes may run at once."""
    return len(os.sched_getaffinity(0))
