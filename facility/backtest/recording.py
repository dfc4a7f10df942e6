"""Recording: a span that was lived through, in a journal and a history as the daemon would have written them.

    DIR/SITE.sqlite            the journal: usage by quarter of an hour, what was told of prices and carbon
    DIR/SITE.history.sqlite    what every meter read, aged as the site file's `history` says

A reading is of a sub-step of the plant, and stands in its middle; its noise is its own, so that a span that is recorded is lived as one that
is not. What was in force and who ran is the plant's truth, counted as the daemon counts it (`facility.usage`).
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from facility.backtest.world import World
from facility.clock import ManualClock, milliseconds
from facility.daemon.used import FACT
from facility.decision import CapGroup, PoolCaps
from facility.errors import Fault, InputError
from facility.forecast import Past
from facility.history import GOOD, default_place, open_history
from facility.history.retention import Retention
from facility.history.store import Flat
from facility.inputs.series import CARBON, PRICE
from facility.journal.journal import Journal
from facility.rental import spans
from facility.simulate.gpu import PoolPlant
from facility.simulate.plant import METER_NOISE_SHARE, THERMOMETER_NOISE_K, Plant
from facility.usage.counting import Counter
from facility.usage.standing import Held, Standing
from facility.verify import fallback_caps

CONTROLLER: Final = "ours"
"""Whose span is recorded."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LASTS = timedelta(days=3650)
"""How long what stands holds: a plant says itself when its orders lapse."""
PARTS = ("", "-wal", "-shm", ".lock")


class Recording:
    """What `plant` does in `world`, written into a folder, in place of an earlier recording there. InputError for one that cannot be written."""

    def __init__(self, world: World, plant: Plant, folder: Path, seed: int) -> None:
        self._world, self._plant, self._site = world, plant, world.site
        self._sensors = tuple(sensor for sensor in plant.sensors if not sensor.redundant_to)
        self._noise = random.Random(f"{seed}/recorded")
        self._readings: Flat = []
        self._counter = Counter(fallback_caps(self._site), lambda at: spans.at(self._site, at))
        self._stands: tuple[object, ...] = ()
        files = journal_in(folder, self._site.id), Path(default_place(self._site.id, folder))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file in files:
                for part in PARTS:
                    Path(f"{file}{part}").unlink(missing_ok=True)
        except OSError as error:
            raise InputError(Fault(f"--record {folder}", f"cannot be written: {error.strerror}", "name a folder that you may write")) from None
        clock = ManualClock(plant.now)
        self._journal, self._history = Journal(files[0], clock=clock), open_history(str(files[1]), self._site.id, clock)
        self._retention = Retention(self._history, self._site.history)

    def note(self, seconds: float) -> None:
        """Take in the `seconds` that the plant has just gone."""
        now = self._plant.now
        self._stand(now - timedelta(seconds=seconds))
        at_ms = milliseconds(now - timedelta(seconds=seconds / 2))
        for sensor in self._sensors:
            truth = self._plant.truth(sensor)
            noise = max(-3.0, min(3.0, self._noise.gauss(0.0, 1.0)))
            read = truth + noise * (THERMOMETER_NOISE_K if sensor.unit == "degC" else METER_NOISE_SHARE * truth)
            self._readings += (at_ms, sensor.key, read, GOOD)
        if not (now - self._world.span.start) % HOUR:
            self._write(now)

    def close(self) -> None:
        """Write the rest, and what was told meanwhile."""
        now = self._plant.now
        self._write(now)
        past = Past()
        for quantity in (PRICE, CARBON):
            if quantity.name in self._world.signals:
                past.tell(quantity, self._world.signals[quantity.name], now)
        self._journal.put_all(past.changed())
        self._journal.close()
        self._history.close()

    def _stand(self, since: datetime) -> None:
        """See what stands since an instant."""
        pools = self._plant.pools
        seen = tuple((pool.cap_w, tuple((name, work.gpus, *pool.caps_of(name)) for name, work in pool.running.items())) for pool in pools.values())
        if seen == self._stands:
            return
        self._stands = seen
        caps = tuple(_caps(pool) for pool in pools.values())
        planned = any(pool.groups for pool in pools.values())
        self._counter.stand(Standing(caps, since + LASTS, planned, tuple(self._held())), since)

    def _held(self) -> list[Held]:
        found = []
        for name, pool in self._plant.pools.items():
            for work, running in pool.running.items():
                if (job := self._world.by_id.get(work)) is not None:
                    found.append(Held(work, name, job.curve, running.gpus, job.tenant or "", job.contract))
        return found

    def _write(self, now: datetime) -> None:
        self._counter.count(now)
        kept = self._counter.kept
        if kept is not None:
            self._journal.record_usage(self._counter.finished, FACT, msgspec.json.encode(kept))
            self._counter.finished = {}
        if self._readings:
            self._history.write(self._readings)
            self._readings = []
        while self._retention.slice(milliseconds(now)):
            pass


def journal_in(folder: Path, site: str) -> Path:
    """The journal of a recording."""
    return folder / f"{site}.sqlite"


def _caps(pool: PoolPlant) -> PoolCaps:
    groups = tuple(CapGroup(name, gpus, cap_w) for name, parts in pool.groups.items() for gpus, cap_w in parts)
    return PoolCaps(pool.id, pool.cap_w, groups)
