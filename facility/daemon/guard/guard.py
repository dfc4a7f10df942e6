"""The guard itself: readings in, cuts out. It never sends and never solves: what is to be sent is its answer."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from facility.alarms.naming import slug
from facility.daemon.guard.cuts import Cut, bounded, derated
from facility.daemon.guard.given import Given, lowered
from facility.daemon.guard.giving import jobs_in, kept_of, lowers
from facility.daemon.guard.places import AtWorst, Carrier, Grid, Hall
from facility.daemon.guard.readings import GRID_AIM_SHARE, Reading, Readings
from facility.daemon.holding.charging import charging, charging_less, resting
from facility.daemon.holding.overrule import commanded
from facility.daemon.holding.standby import goes_on, no_higher, present
from facility.daemon.situation import Situation
from facility.decision import Decision
from facility.site import Site
from facility.telemetry.lasting import Lasting
from facility.verify import expected_kw
from facility.verify.draw import expected_it_kw
from facility.verify.violation import SLACK

log = logging.getLogger(__name__)

SETTLE = timedelta(seconds=15)
"""How long lower caps are given to show on a meter before it is believed again, unless it shows more than it did."""
TOLD = 3
"""Cuts that a reason spells out."""


@dataclass(frozen=True)
class Warned:
    """What a person must know of, by what it is about."""

    cause: str
    place: str
    remedy: str


class Guard:
    """To be used under the daemon's lock."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._readings = Readings(site)
        self._cuts: dict[str, Cut] = {}
        self._lowered: dict[str, tuple[datetime, float | None]] = {}
        self._spent: dict[str, tuple[datetime, float]] = {}
        self._seen: dict[str, float] = {}
        self._lasting = Lasting()
        self.given: tuple[Given, ...] = ()
        """What gave way in the last look, place by place."""
        self.eased = False
        """Whether the meter at the grid had room in the last look, so that what is followed may have back what gave way there."""

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """What holds caps down."""
        return tuple(self._cuts.values())

    @property
    def says(self) -> str:
        """Why caps give way, or batteries wait; empty: they do not."""
        told = [cut.says for cut in self._cuts.values() if not cut.waits]
        more = f"; and {len(told) - TOLD} more" if len(told) > TOLD else ""
        waiting = [cut.says for cut in self._cuts.values() if cut.waits]
        return "; ".join([*([f"{'; '.join(told[:TOLD])}{more}: caps give way"] if told else []), *waiting])

    @property
    def warned(self) -> Mapping[str, Warned]:
        """What a person must know of, by an alarm's id; of places above one another the lowest alone."""
        gone, says = "carries nothing, and the others of its group its load", self._readings.defiance.says
        found = {slug(f"gone {name}"): Warned(f"feeder {name} {gone}", f"feeder {name}", GONE) for name in self._readings.gone}
        found |= {slug(f"draw {pool}"): Warned(why, f"pool {pool}", DRAWS) for pool, why in says.items()}
        told: list[frozenset[str]] = []
        places: tuple[Hall | Carrier, ...] = (*self._readings.halls.values(), *self._readings.carriers)
        for place in places:
            cut = self._cuts.get(place.name)
            if cut is not None and not any(pools <= place.pools for pools in told):
                told += [] if isinstance(place, Hall) else [place.pools]
                found[slug(f"over {place.name}")] = Warned(cut.says, place.name, HEAT if isinstance(place, Hall) else OVERLOAD)
        return found

    def look(
        self, here: Situation, in_force: Decision, defiant: Collection[str] = (), followed: Decision | None = None
    ) -> Decision | None:
        """Hold what is measured against what may be; the answer is what must be sent now instead of `in_force`, None: nothing.

        The pools in `defiant` enforce more than they were sent; `followed` is what would be in force if nothing had given way.
        """
        seen: dict[str, float] = {}
        self.given, self.eased = (), False
        first: Decision | None = None
        now: Decision | None = None
        for reading in self._readings.take(here, in_force, defiant):
            name = reading.place.name
            seen[name] = reading.value
            over = reading.value > reading.cut_above
            lasts = self._lasting.lasts(f"{name} over", here.now, reading.lasts_s, holds=over)
            if not over:
                self._calm(reading, here, in_force, followed)
                continue
            self._lasting.since(f"{name} within", here.now, holds=False)
            self._lasting.since(f"{name} released", here.now, holds=False)
            over_kw = self._due_kw(reading, here.now) if lasts else None
            if over_kw is None or here.now >= in_force.until:
                continue
            if first is None or now is None:
                first = now = goes_on(here.site, in_force, here.snapshot, here.now, in_force.until, here.outdoor_c)
            now = self._give(reading, over_kw, here, first, now)
        self._seen = seen
        self._forget(here.now)
        if first is None or now is None or not lowers(now, first):
            return None
        return no_higher(now, first.pools)  # whatever was reckoned wrong: the guard raises nothing

    def sent(self, before: Decision | None, after: Decision, here: Situation) -> None:
        """Know what was sent, by whomever: where it lowers what is expected, a reading from before is not held against it."""
        if before is None:  # what was drawn until now was nobody's decision
            shown = self._readings.shown(here.snapshot)
            self._lowered |= {name: (here.now, value) for name, value in shown.items() if value is not None}
            return
        was, will = (expected_kw(here.site, decision, here.snapshot, here.outdoor_c) for decision in (before, after))
        lower = {name for name, kw in will.items() if kw < was[name] - SLACK}
        roots = [name for name in will if here.site.feeders[name].parent is None]
        places = [it.name for it in self._readings.carriers if sum(will[f] - was[f] for f in it.feeders) < -SLACK] if lower else []
        if sum(will[name] - was[name] for name in roots) < -SLACK:
            places.append("grid")
        was_kw, will_kw = (expected_it_kw(here.site, decision, here.snapshot) for decision in (before, after))
        places += [hall.name for hall in self._readings.halls.values() if sum(will_kw[p] - was_kw[p] for p in hall.weights) < -SLACK]
        self._lowered |= {name: (here.now, self._seen.get(name)) for name in places}

    def await_room(self, here: Situation, in_force: Decision | None, wanted: Decision) -> None:
        """Have batteries wait where what is `wanted` would take the grid's meter above the aim as things are, until it shows room.

        A plan may count on halls that it lets warm up in its first step, and plants follow within minutes.
        """
        grid = self._readings.grid
        cut, shown_kw = self._cuts.get(grid.name), here.snapshot.import_high_kw
        if cut is not None and not cut.waits:
            return
        self._cuts.pop(grid.name, None)
        if in_force is None or here.now >= in_force.until or shown_kw is None:
            return
        sent, begun = (replace(present(here.site, it, here.snapshot), first_step_s=None) for it in (in_force, wanted))
        reckoned, limit_kw = grid.reckon(here, sent), grid.limit_kw(here)
        most_kw = reckoned(sent) + GRID_AIM_SHARE * limit_kw - shown_kw
        more_kw = sum(charging(begun, grid.batteries).values()) - sum(charging(sent, grid.batteries).values())
        if more_kw > 0 and reckoned(begun) > most_kw:
            says = f"the meter showed {shown_kw:.1f} of {limit_kw:g} kW: batteries wait for room"
            self._cuts[grid.name] = Cut(grid, limit_kw - most_kw, 0.0, (), frozenset(), frozenset(), says, waits=True)
            self._lasting.since(f"{grid.name} released", here.now, holds=False)

    def bounded(self, decision: Decision, here: Situation) -> Decision:
        """`decision` no higher than what is measured allows."""
        return bounded(self._cuts.values(), decision, here)

    def derated(self, site: Site) -> Site:
        """The site to plan with: feeders carry less, where caps gave way."""
        return derated(self._cuts.values(), site)

    def _due_kw(self, reading: Reading, now: datetime) -> float | None:
        """How much power must go; None where this reading says nothing new, and lower caps are still to show or there is nothing more to lower."""
        spent_at, most = self._spent.get(reading.place.name, (None, 0.0))
        if spent_at is not None and now - SETTLE < spent_at <= now and reading.value <= most + reading.news:
            return None
        at, seen = self._lowered.get(reading.place.name, (None, None))
        if at is None or not now - SETTLE < at <= now or isinstance(reading.place, AtWorst):
            return reading.over_kw
        if seen is None or reading.value <= seen + reading.news:
            return None
        return reading.over_kw if reading.aim_kw is None else reading.over_kw - max(seen - reading.aim_kw, 0.0)

    def _give(self, reading: Reading, over_kw: float, here: Situation, first: Decision, now: Decision) -> Decision:
        """Let caps give way at a place: `now` is what they are by now, `first` what they were before this look."""
        place = reading.place
        before, last = self._cuts.get(place.name), commanded(here.asked)
        reckoned, whole = place.reckon(here, first), first
        first_kw = reckoned(first)
        target_kw, most_kw = first_kw - over_kw, dict[str, float]()
        if isinstance(place, Grid) and (before is None or not before.kept):  # of what is cut anew before a minute is over, batteries take none
            low_kw = first_kw - (reading.value - reading.release_below)
            most_kw = charging(charging_less(now, place.batteries, lambda tried: reckoned(tried) <= low_kw), place.batteries)
        first, now = (resting(decision, place.batteries, most_kw) for decision in (first, now))
        if first is not whole:
            reckoned = place.reckon(here, first)
        obeying = place.pools - self._readings.defiant.keys()
        stages = (obeying - last, obeying & last, place.pools - obeying)
        less = lowered(now, reckoned, target_kw, stages, here)
        waiting = before.held if before is not None else frozenset[str]()
        spent = not lowers(less, first) and reckoned(less) > target_kw
        if isinstance(place, Carrier | Hall) and before is not None and spent:  # the lowest caps were not enough
            waiting |= jobs_in(here.snapshot, place.pools, less)
        given = Given(place, target_kw, stages, waiting, reading.says, most_kw)
        self.given, less = (*self.given, given), given.after(less, now, here)
        if before is not None and not lowers(less, first):
            self._spent[place.name] = (here.now, reading.value)
        unseen_kw = reading.value - first_kw if reading.unseen_kw is None else reading.unseen_kw
        level = logging.WARNING if before is None else logging.DEBUG
        log.log(level, "%s, %.1f kW must go: caps give way", reading.says, over_kw)
        self._cuts[place.name] = Cut(
            place, place.limit_kw(here) - target_kw, max(unseen_kw, 0.0), kept_of(less, place.pools), waiting, last, reading.says,
            reading.reckoned, most_kw,
        )  # fmt: skip
        return less

    def _calm(self, reading: Reading, here: Situation, in_force: Decision, followed: Decision | None) -> None:
        """A place is within bounds: after a while a plan may share out anew what gave way there, or all of it may rise again."""
        name, now = reading.place.name, here.now
        cut = self._cuts.get(name)
        if cut is None or (reading.reckoned and isinstance(reading.place, Grid)):
            return
        calm_s = SETTLE.total_seconds() if cut.waits else self._site.control.guard.calm_s
        if self._lasting.lasts(f"{name} released", now, calm_s, holds=reading.value <= reading.release_below):
            if isinstance(reading.place, Grid):
                self._ease(reading, cut, here, in_force, followed)
            else:
                self._end(name)
        elif self._lasting.lasts(f"{name} within", now, calm_s, holds=True) and not isinstance(cut.place, Hall):
            self._cuts[name] = replace(cut, kept=(), held=frozenset())

    def _ease(self, reading: Reading, cut: Cut, here: Situation, in_force: Decision, followed: Decision | None) -> None:
        """The grid has room: as much more may be expected as the meter shows below the aim. Where that is all that is followed, the cut is over,
        else there may be more room after another while.
        """
        assert reading.aim_kw is not None
        sent, whole = (
            goes_on(here.site, decision, here.snapshot, here.now, decision.until, here.outdoor_c) if decision and here.now < decision.until else None
            for decision in (in_force, followed)
        )
        self.eased = True
        if sent is not None and whole is not None:
            most_kw = cut.place.reckon(here, sent)(sent) + reading.aim_kw - reading.value
            eased = replace(cut, excess_kw=cut.place.limit_kw(here) - most_kw, kept=(), held=frozenset(), charging={})
            if lowers(eased.bounded(whole, here), whole):
                self._cuts[reading.place.name] = eased
                self._lasting.since(f"{reading.place.name} released", here.now, holds=False)
                return
        self._end(reading.place.name)

    def _forget(self, now: datetime) -> None:
        """Let go of cuts of what is no more: a pool that obeys again, a feeder that is gone."""
        there = {it.name for it in self._readings.carriers}
        for name, cut in list(self._cuts.items()):
            place = cut.place
            silent = name not in self._seen
            if silent:
                self._lasting.since(f"{name} within", now, holds=False)
                self._lasting.since(f"{name} released", now, holds=False)
            absent = silent and (isinstance(place, AtWorst) or (isinstance(place, Carrier) and name not in there))
            if self._lasting.lasts(f"{name} absent", now, self._site.control.guard.calm_s, holds=absent):
                self._end(name)

    def _end(self, name: str) -> None:
        del self._cuts[name]
        log.info("%s stayed within what it may have: caps may rise again", name)


OVERLOAD = "see what draws there that no plan knows of; caps rise again after a minute well below the rating"
HEAT = "see to the cooling of the hall; caps rise again after a minute within its recommended band"
GONE = "see to it: what is left of the group carries its load, and no further one may be lost"
DRAWS = "see whether its agent sets caps, and what else hangs on its meter; its neighbours give way as far as they must"
