"""Metering: what the plant really did, in each cycle, minute and billing interval, and which limits it broke.

| held against        | what                                                      |
|---------------------|-----------------------------------------------------------|
| the import limit    | the mean of each minute, and of each billing interval     |
| a feeder's rating   | its power at the end of each sub-step                     |
| a hall's allowable  | its temperature at the end of each sub-step               |

Cycles are whole minutes and divide billing intervals, or are divided by them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from facility.overrides.arbitrate import limit_at
from facility.simulate.plant import Plant
from facility.tariff import billing_interval, charges, in_window

MINUTE = timedelta(minutes=1)
TOLERANCE = 0.01
"""kW or K above a limit that are no breach: what arithmetic leaves."""


@dataclass(frozen=True)
class Breach:
    """A limit that was broken between two instants, by `amount` at most; `unit` is kW or K."""

    family: str
    asset: str
    start: datetime
    end: datetime
    amount: float
    unit: str


@dataclass(frozen=True)
class Interval:
    """One cycle on plant truth: means, kW and degC; `peak_kw` is the highest mean of a minute, `highest_kw` the highest import at the end
    of a sub-step, `battery_kwh` what is stored at the end.
    """

    time: datetime
    hours: float
    import_kw: float
    peak_kw: float
    highest_kw: float
    limit_kw: float
    it_kw: float
    cooling_kw: float
    battery_kw: float
    battery_out_kw: float
    battery_kwh: float
    outdoor_c: float
    hottest_c: float
    gpus_running: float
    jobs_waiting: int


@dataclass
class _Sums:
    """Sums over time, kWh and the like, of a cycle that has begun."""

    seconds: float = 0.0
    import_kwh: float = 0.0
    it_kwh: float = 0.0
    cooling_kwh: float = 0.0
    battery_kwh: float = 0.0
    given_kwh: float = 0.0
    outdoor_c_s: float = 0.0
    gpu_s: float = 0.0
    peak_kw: float = float("-inf")
    highest_kw: float = float("-inf")
    hottest_c: float = float("-inf")


class Metering:
    """Follows `plant` from its beginning, sub-step by sub-step. `billed` holds the kWh drawn in each billing interval, by its beginning."""

    def __init__(self, plant: Plant) -> None:
        self._plant, self._site = plant, plant.site
        self._zone, self._length = ZoneInfo(plant.site.timezone), timedelta(minutes=plant.site.tariff.billing_interval_min)
        self._sums, self._minute_kwh, self._minute_s = _Sums(), 0.0, 0.0
        self._last_kwh = plant.import_kwh
        self.begun = plant.now
        self.billed: dict[datetime, float] = {}
        self.billed_s: dict[datetime, float] = {}
        self.served_gpu_h: dict[str, float] = {}
        self.slowest: dict[str, float] = {}
        self._rented_gpu_h: dict[str, list[float]] = {}
        self._peaks: dict[tuple[str, str], float] = {}
        self._waiting: deque[datetime] = deque()
        self._breaches: list[Breach] = []
        self._open: dict[tuple[str, str], Breach] = {}

    def note(self, seconds: float) -> None:
        """Take in the `seconds` that the plant has just gone."""
        plant, sums, hours = self._plant, self._sums, seconds / 3600
        kwh = plant.import_kwh - self._last_kwh
        self._last_kwh = plant.import_kwh
        begun = plant.now - timedelta(seconds=seconds)
        interval = billing_interval(self._site, begun)
        if interval not in self.billed:
            self._waiting.append(interval)
        self.billed[interval] = self.billed.get(interval, 0.0) + max(kwh, 0.0)
        self.billed_s[interval] = self.billed_s.get(interval, 0.0) + seconds
        battery_kw = sum(battery.power_kw for battery in plant.batteries.values())
        sums.seconds += seconds
        sums.import_kwh += kwh
        sums.highest_kw = max(sums.highest_kw, plant.import_kw)
        sums.it_kwh += hours * sum(pool.power_kw for pool in plant.pools.values())
        sums.cooling_kwh += hours * sum(room.power_kw for room in plant.cooling.values())
        sums.battery_kwh += hours * battery_kw
        sums.given_kwh += hours * sum(max(-battery.power_kw, 0.0) for battery in plant.batteries.values())
        sums.outdoor_c_s += seconds * plant.outdoor_c
        sums.gpu_s += seconds * sum(pool.busy for pool in plant.pools.values())
        for pool in plant.pools.values():
            for name in pool.running:
                if name in self._site.contracts:
                    self.served_gpu_h[name] = self.served_gpu_h.get(name, 0.0) + hours * pool.speed_gpus(name)
        self._speeds(begun, hours)
        self._gear(begun)
        self._minute_kwh, self._minute_s = self._minute_kwh + kwh, self._minute_s + seconds
        if self._minute_s >= MINUTE.total_seconds() - 1e-6:
            self._minute()

    def close(self) -> Interval:
        """End the cycle that is under way."""
        sums, hours, plant = self._sums, self._sums.seconds / 3600, self._plant
        done = Interval(
            time=self.begun,
            hours=hours,
            import_kw=sums.import_kwh / hours,
            peak_kw=sums.peak_kw,
            highest_kw=sums.highest_kw,
            limit_kw=limit_at(self._site, self.begun),
            it_kw=sums.it_kwh / hours,
            cooling_kw=sums.cooling_kwh / hours,
            battery_kw=sums.battery_kwh / hours,
            battery_out_kw=sums.given_kwh / hours,
            battery_kwh=sum(battery.energy_kwh for battery in plant.batteries.values()),
            outdoor_c=sums.outdoor_c_s / sums.seconds,
            hottest_c=sums.hottest_c,
            gpus_running=sums.gpu_s / sums.seconds,
            jobs_waiting=sum(job.state == "waiting" for job in plant.scheduler.jobs.values()),
        )
        for name, (work, rented) in self._rented_gpu_h.items():
            self.slowest[name] = min(work / rented, self.slowest.get(name, 1.0))
        self._sums, self._rented_gpu_h, self.begun = _Sums(), {}, plant.now
        return done

    def running(self) -> tuple[float, float]:
        """What was drawn in the billing interval that is under way, kWh, and in how many seconds."""
        interval = billing_interval(self._site, self._plant.now)
        return self.billed.get(interval, 0.0), self.billed_s.get(interval, 0.0)

    def peaks_kw(self, month: str) -> dict[str, float]:
        """The highest mean of a finished billing interval by demand charge, in a local month such as 2023-07, kW."""
        self._count()
        return {charge: kw for (charge, when), kw in self._peaks.items() if when == month}

    @property
    def peaks(self) -> dict[tuple[str, str], float]:
        """The same by demand charge and month, of all intervals that are finished."""
        self._count()
        return dict(self._peaks)

    def breaches(self) -> tuple[Breach, ...]:
        """What was broken until now, in order of time; what went on is one."""
        return tuple(sorted((*self._breaches, *self._open.values()), key=lambda breach: (breach.start, breach.family, breach.asset)))

    def _minute(self) -> None:
        kw, start = self._minute_kwh * 3600 / self._minute_s, self._plant.now - timedelta(seconds=self._minute_s)
        self._sums.peak_kw = max(self._sums.peak_kw, kw)
        self._hold("over_limit_kw", "1 min mean", start, kw - limit_at(self._site, start), "kW", MINUTE)
        self._minute_kwh = self._minute_s = 0.0
        self._count()

    def _count(self) -> None:
        """Count the billing intervals that are finished and not counted yet."""
        while self._waiting and self._waiting[0] + self._length <= self._plant.now:
            interval = self._waiting.popleft()
            kw = self.billed[interval] * 3600 / self.billed_s[interval]
            self._hold("over_limit_kw", "billing interval", interval, kw - limit_at(self._site, interval), "kW", self._length)
            month = interval.astimezone(self._zone).strftime("%Y-%m")
            for name, charge in charges(self._site).items():
                if in_window(self._site, charge, interval):
                    self._peaks[name, month] = max(kw, self._peaks.get((name, month), 0.0))

    def _speeds(self, begun: datetime, hours: float) -> None:
        """Add what rentals that may not pause, and need all their GPUs, get of them."""
        for name, contract in self._site.contracts.items():
            start, end = contract.has_gpus
            if contract.pool is None or not contract.gpus or contract.pausable or contract.demand_by_hour_gpus or not start <= begun < end:
                continue
            sums = self._rented_gpu_h.setdefault(name, [0.0, 0.0])
            sums[0] += hours * self._plant.pools[contract.pool].speed_gpus(name)
            sums[1] += hours * contract.gpus

    def _gear(self, begun: datetime) -> None:
        plant, length = self._plant, self._plant.now - begun
        for name, feeder in self._site.feeders.items():
            self._hold("over_rating_kw", name, begun, abs(plant.feeder_kw[name]) - feeder.rating_kw, "kW", length)
        for name, air in plant.halls.items():
            self._sums.hottest_c = max(self._sums.hottest_c, air.temperature_c)
            self._hold("too_hot_k", name, begun, air.temperature_c - air.thermal.allowable_max_c, "K", length)

    def _hold(self, family: str, asset: str, start: datetime, amount: float, unit: str, length: timedelta) -> None:
        key = family, asset
        was = self._open.pop(key, None)
        if amount <= TOLERANCE:
            if was is not None:
                self._breaches.append(was)
            return
        if was is not None and was.end == start:
            self._open[key] = replace(was, end=start + length, amount=max(amount, was.amount))
            return
        if was is not None:
            self._breaches.append(was)
        self._open[key] = Breach(family, asset, start, start + length, amount, unit)
