"""Plans of sites with more electrical gear than a tree and a battery, from the site file to the second opinion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from facility.decision import GensetOrder, SolarOrder
from facility.errors import InputError
from facility.planner import Planned, Request, plan
from facility.report.summary import summary
from facility.report.tables import plan_columns, plan_rows
from facility.snapshot import Snapshot
from facility.verify import Violation, verify
from models.account import Account
from models.power.battery import kept_kwh

DEMO = Path(__file__).parents[2] / "site_configs/demo.yaml"


def planned(*settings: str, horizon: str = "3h", start: str = "2026-07-15T12:00:00Z") -> Planned:
    """Return a plan of the demonstration site with some keys changed, in hours."""
    found = plan(Request(str(DEMO), start, horizon, "1h", settings=settings))
    assert isinstance(found, Planned), found
    return found


def judged(made: Planned) -> Sequence[Violation]:
    """Return what the second opinion says of the plan's first step."""
    decision = made.decided.decision
    halls_c = {name: hall.thermal.start_c for name, hall in made.site.halls.items() if hall.thermal}
    return verify(made.site, Snapshot(decision.at, hall_c=halls_c), decision, outdoor_c=float(made.forecast.outdoor_c[0]))


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


def generating(folder: Path) -> Path:
    """Write the demonstration site with a roof of 300 kWp and a genset of 60 to 200 kW beside its cooling."""
    more = {
        "solar": {"roof": {"feeder": "mech", "peak_kw": 300, "output_by_hour_kw_per_kwp": [0] * 8 + [0.5] * 8 + [0] * 8}},
        "gensets": {"diesel": {"feeder": "mech", "max_kw": 200, "fuel_price_per_mwh": 150, "run_hours_left": 2, "carbon_g_per_kwh": 700}},
    }
    site = folder / "site.yaml"
    site.write_text(yaml.safe_dump(yaml.safe_load(DEMO.read_text("utf-8")) | more), "utf-8")
    return site


def test_sun_and_fuel_are_planned_told_and_accepted(tmp_path: Path) -> None:
    """Noon of the design day in Berlin: the roof gives 150 kW until 16:00; fuel is cheaper than the grid at 18:00 only, at 154."""
    made = plan(Request(str(generating(tmp_path)), "2026-07-15T12:00:00Z", "6h", "1h"))
    assert isinstance(made, Planned)
    given = made.decided.plan.account.given_kw
    assert given["roof"].tolist() == pytest.approx([150.0] * 2 + [0.0] * 4)
    assert given["diesel"].tolist() == pytest.approx([0.0] * 4 + [200.0, 200.0])
    rows = [dict(zip(plan_columns(made), row, strict=True)) for row in plan_rows(made)]
    assert [row["generation_kw"] for row in rows] == pytest.approx([150, 150, 0, 0, 200, 200])
    assert made.decided.decision.solar == (SolarOrder("roof", pytest.approx(150.0)),)
    assert made.decided.decision.gensets == (GensetOrder("diesel", 0.0),)
    assert judged(made) == ()
    told = summary(made)
    bought_kg = 0.363 * told["energy_kwh"]
    assert told["carbon_kg"] == pytest.approx(bought_kg + 0.7 * 400)
    assert "solar: the site's own output_by_hour_kw_per_kwp" in made.assumed


def test_two_feeds_are_kept_and_told(tmp_path: Path) -> None:
    """The second hall on a feed of its own would draw more than the 120 kW that this one gives."""
    figures = yaml.safe_load(DEMO.read_text("utf-8"))
    figures["feeders"]["ups-2"] = {"rating_kw": 260, "loss_share": 0.03}
    figures["grid"] |= {"import_limit_kw": 1000, "limit_windows": []}
    account: list[Account] = []
    for limit_kw in (260, 120):
        figures["grid"]["feeds"] = {
            "north": {"feeder": "utility", "import_limit_kw": 1000},
            "south": {"feeder": "ups-2", "import_limit_kw": limit_kw},
        }
        site = tmp_path / "site.yaml"
        site.write_text(yaml.safe_dump(figures), "utf-8")
        made = plan(Request(str(site), "2026-07-15T12:00:00Z", "3h", "1h"))
        assert isinstance(made, Planned)
        assert judged(made) == ()
        account.append(made.decided.plan.account)
    feeders = [f.id for f in made.decided.plan.problem.feeders]
    north, south = (feeders.index(root) for root in ("utility", "ups-2"))
    assert account[0].feeder_kw[south].min() > 130
    assert account[1].feeder_kw[south] == pytest.approx([120] * 3, abs=0.5)
    assert account[1].feeder_kw[south].max() <= 120
    assert account[1].import_kw.tolist() == pytest.approx((account[1].feeder_kw[north] + account[1].feeder_kw[south]).tolist())
    assert made.decided.plan.status == "optimal"


def test_roots_and_feeds_belong_together(tmp_path: Path) -> None:
    figures = yaml.safe_load(DEMO.read_text("utf-8"))
    figures["feeders"]["mech"] = {"rating_kw": 280}
    site = tmp_path / "site.yaml"
    for feeds, found in (
        ({}, "2 roots: mech, utility"),
        ({"north": "utility"}, "a root on no feed"),
        ({"north": "utility", "south": "utility"}, "`utility` has another feed too"),
    ):
        figures["grid"]["feeds"] = {name: {"feeder": feeder, "import_limit_kw": 700} for name, feeder in feeds.items()}
        site.write_text(yaml.safe_dump(figures), "utf-8")
        with pytest.raises(InputError) as refused:
            plan(Request(str(site), "2026-07-15T12:00:00Z", "3h", "1h"))
        assert found in str(refused.value)


def test_a_file_says_what_the_sun_gives(tmp_path: Path) -> None:
    file = tmp_path / "sun.csv"
    file.write_text("time,solar_kw_per_kwp\n2026-07-15T12:00Z,0.1\n2026-07-15T13:00Z,0.2\n", "utf-8")
    made = plan(Request(str(generating(tmp_path)), "2026-07-15T12:00:00Z", "2h", "1h", solar=str(file)))
    assert isinstance(made, Planned)
    assert made.decided.plan.account.given_kw["roof"].tolist() == pytest.approx([30.0, 60.0])
    assert not any(text.startswith("solar") for text in made.assumed)


def test_a_file_of_the_sun_in_kw_or_for_a_site_without_a_roof_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sun.csv"
    file.write_text("time,solar_kw\n2026-07-15T12:00Z,0.1\n2026-07-15T13:00Z,0.2\n", "utf-8")
    with pytest.raises(InputError) as refused:
        plan(Request(str(generating(tmp_path)), "2026-07-15T12:00:00Z", "2h", "1h", solar=str(file)))
    assert "kw_per_kwp" in str(refused.value)
    with pytest.raises(InputError) as refused:
        plan(Request(str(DEMO), "2026-07-15T12:00:00Z", "2h", "1h", solar=str(file)))
    assert "no solar plant" in str(refused.value)


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
