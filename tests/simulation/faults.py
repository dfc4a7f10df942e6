"""Faults: how each kind of window begins and ends."""

from __future__ import annotations

import sqlite3
from random import Random
from typing import TYPE_CHECKING

from facility.bus.interface import Message
from tests.simulation.sites import ROOT

if TYPE_CHECKING:
    from tests.simulation.day import Day
    from tests.simulation.schedule import Window

SLOW_S = 40.0
RUBBISH = (
    b"", b"{", b"null", b"NaN", b'{"value": 1e999}', b"[" * 1000, b'{"id": "x", "kind": "stop"', b"\xff\xfe\x00", b'{"cap_w": -5}',
    b'{"timestamp": 1, "epoch": 99999999999, "seq": 99999999999, "enforced_cap_w": 9999}', b'{"points": []}', b"1" * 5000, b"x" * 70_000,
    b'{"id": "y", "kind": "cap_w", "value": 100, "kind": "cap_w", "by": "eve"}', b'{"instance": "z", "mode": "NORMAL"}',
)  # fmt: skip
RUBBISH_S = 20.0


def begin(day: Day, window: Window) -> None:
    """Let a fault begin."""
    works, wire = day.works, day.wire.weather
    match window.kind:
        case "sensor":
            first: list[float] = []
            began_s, size = day.t, window.size

            def drifts(value: float) -> float:
                return value * (1 + size * (day.t - began_s) / 3600)

            def sticks(value: float) -> float:
                first.append(value)
                return first[0]

            works.spoilt[window.what] = {
                "silent": lambda _: None, "stuck": sticks, "spike": lambda value: value * 3, "drift": drifts,
                "unit": lambda value: value * 1000, "null": lambda _: float("nan"),
            }[window.how]  # fmt: skip
        case "gateway":
            works.spoilt |= {key: (lambda _: None) for key in works.sensors if key.startswith(f"{window.what}/")}
        case "outage":
            day.broker.stop(forget=window.how == "forgets")
            day.people.blind(day.t)
        case "loss":
            wire.lost = window.size
        case "late":
            wire.late_s = window.size
        case "doubled":
            wire.doubled = window.size
        case "planner":
            day.planner.fault = window.how
        case "store":
            _store(day, window.how)
        case "kill":
            if day.daemon is not None:
                day.strikes_left, day.down_s = int(window.size), window.end_s - window.start_s
        case "clock":
            day.clock.jump(window.size)
        case "agent":
            _agent(day, window)
        case "surge":
            works.plant.load = dict.fromkeys(works.plant.load, 1.0)
        case "heat":
            works.plant.cooled[window.what] = 1 - window.size
        case "gpus":
            works.plant.dead[window.what] = int(window.size * day.site.pools[window.what].gpus)
        case "rubbish":
            _rubbish(day, Random(f"{day.seed}/{window.start_s}"), window.end_s)
    works.plant.measure()
    day.soon()


def end(day: Day, window: Window) -> None:
    """Let a fault be over; where two of a kind overlap, the first end is that of both."""
    works, wire = day.works, day.wire.weather
    match window.kind:
        case "sensor":
            works.spoilt.pop(window.what, None)
        case "gateway":
            for key in list(works.spoilt):
                if key.startswith(f"{window.what}/"):
                    del works.spoilt[key]
        case "outage":
            if not day.broker.running:
                day.broker.start()
                works.begin()
            day.people.blind(day.t)
        case "loss":
            wire.lost = 0.0
            works.begin()  # what is retained is sent with quality 1, so it arrives once the wire is well
        case "late":
            wire.late_s = 0.0
        case "doubled":
            wire.doubled = 0.0
        case "planner":
            day.planner.fault = ""
        case "store":
            _store(day, "")
        case "clock":
            day.clock.jump(-window.size)
        case "agent":
            agent = works.agents[window.what]
            agent.ignores = agent.refuses = False
            agent.slow_s = 0.0
            works.report(window.what)
        case "surge":
            works.plant.load = dict.fromkeys(works.plant.load, 0.8)
        case "heat":
            works.plant.cooled[window.what] = 1.0
        case "gpus":
            works.plant.dead[window.what] = 0
        case "rubbish":
            for topic in sorted(works.rubbish):
                works.publish(Message(topic, b"", qos=1, retain=True))
            works.rubbish.clear()
            works.begin()
    works.plant.measure()
    day.soon()


def _agent(day: Day, window: Window) -> None:
    agent = day.works.agents[window.what]
    match window.how:
        case "ignores":
            agent.ignores = True
        case "refuses":
            agent.refuses = True
        case "slow":
            agent.slow_s = SLOW_S
        case "restarts":
            day.works.restart(window.what)


def _store(day: Day, how: str) -> None:
    """Fill the disk under the journal, lock it from outside, or mend both."""
    day.store_fault = how
    if day.blocker is not None:
        day.blocker.close()
        day.blocker = None
    if how == "locked":
        day.blocker = sqlite3.connect(day.folder / "journal.sqlite", isolation_level=None)
        day.blocker.execute("BEGIN IMMEDIATE")
    if day.daemon is not None:  # else the next process finds it so
        day.spoil_store()


def _rubbish(day: Day, rng: Random, until_s: float) -> None:
    """Publish what nobody should, on topics that the service reads, now and again until the window is over."""
    site = day.site
    pool = rng.choice(sorted(site.pools))
    hall = site.pools[pool].hall
    topics = (
        "override/site/set", f"override/hall/{hall}/clear", f"cap/{hall}/{pool}/reported", "grid/main/limit", "grid/main/event",
        f"tele/{hall}/batch/gw", "job/eve/spec", "job/eve/reported", "signal/load", "signal/weather", "alarm/eve", "contract/c9/set",
        "position/set", "svc/eve/status", "override/site/state", f"meta/{hall}/hall/{hall}/air_temperature_c",
    )  # fmt: skip
    message = Message(f"{ROOT}/{rng.choice(topics)}", rng.choice(RUBBISH), qos=1, retain=rng.random() < 0.3)
    day.works.publish(message)
    day.works.rubbish.add(message.topic)
    if day.t + RUBBISH_S < until_s:
        day.later(RUBBISH_S, lambda: _rubbish(day, rng, until_s))
