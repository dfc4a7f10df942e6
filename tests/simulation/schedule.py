"""What happens on the day of a seed: windows of faults, and what people and the grid say. All of it is drawn before the day begins.

So a part can be left out and the rest stays as it was, which is how a failing day is made short (`tests.simulation.shrink`).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from facility.sensors import sensors
from facility.site import Site

SAFETY_S = 18 * 3600.0
"""Until then faults may be on; the rest of the day they are off."""
DAY_S = 24 * 3600.0
CALM_S = 900.0
"""The day begins and the safety phase ends without new faults for so long."""

FAULTS: dict[str, tuple[float, float]] = {
    "sensor": (60, 3600), "gateway": (300, 2400), "outage": (3, 1800), "loss": (60, 3600), "late": (60, 3600), "doubled": (60, 3600),
    "planner": (300, 3600), "store": (30, 1800), "kill": (1, 120), "clock": (60, 7200), "agent": (60, 1800), "surge": (60, 3600),
    "heat": (600, 3600), "gpus": (600, 7200), "rubbish": (10, 600),
}  # fmt: skip
"""Each kind of fault, and how long it lasts at least and at most, s."""
SENSOR_FAULTS = ("silent", "stuck", "spike", "drift", "unit", "null")
PLANNER_FAULTS = ("late", "raises", "undecided", "lies", "nan", "silent")
AGENT_FAULTS = ("ignores", "slow", "restarts", "refuses")


@dataclass(frozen=True)
class Window:
    """A fault from `start_s` to `end_s`; `what` and `how` say of what and in which manner, `size` how much."""

    kind: str
    start_s: float
    end_s: float
    what: str = ""
    how: str = ""
    size: float = 0.0


@dataclass(frozen=True)
class Said:
    """What somebody says at `at_s` on a topic below the site's root. `payload` None: an empty message."""

    at_s: float
    topic: str
    payload: dict[str, Any] | None
    retain: bool = False


@dataclass(frozen=True)
class Schedule:
    """All that happens beside the plant's own life."""

    windows: tuple[Window, ...]
    said: tuple[Said, ...]


def schedule_of(seed: int, site: Site) -> Schedule:
    """The schedule of a seed."""
    rng = Random(f"{seed}/faults")
    windows = sorted((_window(rng, site) for _ in range(rng.randint(3, 16))), key=lambda window: window.start_s)
    return Schedule(tuple(windows), tuple(sorted(_talk(Random(f"{seed}/people"), site), key=lambda said: said.at_s)))


def _window(rng: Random, site: Site) -> Window:
    kind = rng.choice(sorted(FAULTS))
    shortest_s, longest_s = FAULTS[kind]
    lasts_s = shortest_s * (longest_s / shortest_s) ** rng.random()
    start_s = round(rng.uniform(CALM_S, SAFETY_S - CALM_S - lasts_s), 1)
    what, how, size = "", "", rng.uniform(0.1, 0.6)
    match kind:
        case "sensor":
            what, how = rng.choice([sensor.key for sensor in sensors(site)]), rng.choice(SENSOR_FAULTS)
        case "gateway":
            what = rng.choice(["site", *site.halls])
        case "outage":
            how = rng.choice(("", "forgets"))
        case "late":
            size = rng.choice((2.0, 20.0, 90.0))
        case "planner":
            how = rng.choice(PLANNER_FAULTS)
        case "store":
            how = rng.choice(("full", "locked"))
        case "kill":
            size = rng.choice((1, rng.randint(1, 40), rng.randint(1, 400)))
        case "clock":
            size = rng.choice((-86400.0, -3600.0, -90.0, 90.0, 3600.0, 86400.0))
        case "agent":
            what, how = rng.choice(sorted(site.pools)), rng.choice(AGENT_FAULTS)
        case "heat":
            what = rng.choice(sorted(site.halls))
        case "gpus":
            what = rng.choice(sorted(site.pools))
    return Window(kind, start_s, round(start_s + lasts_s, 1), what, how, size)


def _talk(rng: Random, site: Site) -> list[Said]:
    said: list[Said] = []
    for n in range(rng.randint(10, 40)):
        at_s = round(rng.uniform(120, SAFETY_S - 7200), 1)
        target, kind, value = _wish(rng, site)
        lasts_s = round(rng.choice((30, 300, 1800, 7200)) * rng.uniform(0.5, 1.0))
        command = {"id": f"o{n}", "kind": kind, "by": rng.choice(("ann", "bob")), "ttl_s": lasts_s, "priority": rng.choice((1, 5, 8, 8, 8, 15))}
        if value is not None:
            command["value"] = value
        topic = f"override/{target}/set"
        said.append(Said(at_s, topic, command, retain=(retained := rng.random() < 0.05)))
        if retained:
            said.append(Said(round(at_s + rng.uniform(10, 600), 1), topic, None, retain=True))
        if rng.random() < 0.15:
            again_s = min(at_s + rng.uniform(0, 2 * lasts_s), SAFETY_S - lasts_s)  # the first may be lost, and who drives is not to go on for ever
            said.append(Said(round(again_s, 1), topic, command))
        if rng.random() < 0.4:
            clear = {"id": f"o{n}", "by": rng.choice(("ann", "bob"))}
            said.append(Said(round(at_s + rng.uniform(0.1, lasts_s), 1), f"override/{target}/clear", clear))
    said += _jobs(rng, site)
    for _ in range(rng.choice((0, 1, 3))):
        at_s = round(rng.uniform(120, SAFETY_S - 3600))
        limit_kw = round(site.grid.import_limit_kw * rng.uniform(0.4, 1.0), 1)
        points = [{"start": f"@{at_s}", "end": f"@{at_s + rng.randint(600, 3500)}", "value": limit_kw}]
        said.append(Said(float(at_s), f"grid/{site.grid.feed}/limit", {"points": points}, retain=True))
    return said


def _jobs(rng: Random, site: Site) -> list[Said]:
    """Jobs that arrive during the day, each in a pool that has GPUs for it."""
    rented = {name: sum(c.gpus for c in site.contracts.values() if c.pool == name) for name in site.pools}
    said = []
    for n in range(rng.randint(0, 5)):
        pool = rng.choice(sorted(site.pools))
        free, at_s = site.pools[pool].gpus - rented[pool], round(rng.uniform(60, SAFETY_S))
        if free:
            gpus, hours = rng.randint(1, free), rng.uniform(0.3, 4)
            spec = {"submit": f"@{at_s}", "gpus": gpus, "work_gpu_h": round(gpus * hours, 3), "pool": pool}
            spec["deadline"] = f"@{at_s + round(hours * 7200) + 3600}"
            said.append(Said(float(at_s), f"job/j{n}/spec", spec, retain=True))
    return said


def _wish(rng: Random, site: Site) -> tuple[str, str, float | None]:
    """Where, what and how much somebody wants."""
    kind = rng.choice(("cap_w", "cap_w", "cap_w", "import_limit_kw", "hold", "release", "manual", "freeze", "stop"))
    pool = rng.choice(sorted(site.pools))
    if kind == "import_limit_kw":
        return f"grid/{site.grid.feed}", kind, round(site.grid.import_limit_kw * rng.uniform(0.3, 1.3), 1)
    if kind in ("manual", "freeze", "stop"):
        return "site", kind, None
    target = rng.choice(("site", f"hall/{site.pools[pool].hall}", f"pool/{site.pools[pool].hall}/{pool}"))
    return target, kind, rng.randint(50, 800) if kind == "cap_w" else None
