"""Plans of sites with more electrical gear than a tree and a battery, from the site file to the second opinion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from facility.planner import Planned, Request, plan
from facility.snapshot import Snapshot
from facility.verify import Violation, verify
from models.battery import kept_kwh

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"


def planned(*settings: str, horizon: str = "3h", start: str = "2026-07-15T12:00:00Z") -> Planned:
    """Return a plan of the demonstration site with some keys changed, in hours."""
    found = plan(Request(str(DEMO), start, horizon, "1h", settings=settings))
    assert isinstance(found, Planned), found
    return found


def judged(made: Planned) -> Sequence[Violation]:
    """Return what the second opinion says of the plan's first step."""
    decision = made.decided.decision
    outdoor_c = float(made.forecast.outdoor_c[0])
    return verify(made.site, Snapshot(decision.at), decision, outdoor_c=outdoor_c)


def test_a_battery_keeps_what_carries_a_ups_through_ten_minutes() -> None:
    """At the dear hours it would be emptied; now it holds a sixth of an hour of ups-1 with every GPU at its cap."""
    terms = ("batteries.bess-1.ride_through_min=10", "batteries.bess-1.ride_through_feeder=ups-1")
    free, kept = (planned(*settings, horizon="8h", start="2026-07-15T16:00:00Z").decided.plan for settings in ((), terms))
    battery, h = kept.problem.batteries[0], kept.problem.horizon.h
    ups = next(i for i, f in enumerate(kept.problem.feeders) if f.id == "ups-1")
    needed_kwh = kept.account.feeder_worst_kw[ups] / 6
    assert (kept_kwh(battery, free.account.battery_kw[0], h) < needed_kwh).any()
    assert (kept_kwh(battery, kept.account.battery_kw[0], h) >= needed_kwh - 1e-6).all()
    assert kept.account.cost["energy"] > free.account.cost["energy"]


def test_two_ups_that_back_each_other_carry_all_caps_on_one_of_them() -> None:
    """At the caps they would choose both could take more than the 560 kW of the smaller one; neither alone is short of anything."""
    ratings = ("feeders.ups-1.rating_kw=700", "feeders.ups-2.rating_kw=560", "grid.import_limit_kw=2000", "grid.limit_windows=[]")
    groups = ("feeders.ups-1.redundancy_group=ab", "feeders.ups-2.redundancy_group=ab")
    roomy = ("feeders.utility.rating_kw=2000", "feeders.busway-1a.rating_kw=400", "feeders.busway-1b.rating_kw=400")
    alone, backed = planned(*ratings, *roomy), planned(*ratings, *roomy, *groups)
    ups = [i for i, f in enumerate(backed.decided.plan.problem.feeders) if f.id in ("ups-1", "ups-2")]
    assert alone.decided.plan.account.feeder_worst_kw[ups].sum(axis=0).min() > 560
    assert backed.decided.plan.account.feeder_worst_kw[ups].sum(axis=0) == pytest.approx([560] * 3, abs=0.5)
    assert backed.decided.plan.status == "optimal"
    assert judged(backed) == ()
