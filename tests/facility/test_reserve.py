"""Reserve: from a site file to what is held, and the second opinion on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.config import load_site
from facility.decide import Undecided
from facility.errors import InputError
from facility.planner import Planned, Request, plan
from facility.problem.reserve import committed_kw
from facility.report.summary import summary
from facility.report.tables import plan_columns, plan_rows
from facility.verify import verify

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "site_configs/demo.yaml"
UP = (
    "grid.reserves={evening: {direction: up, duration_min: 60, price_per_mw_h: 20, most_kw: %s, "
    'committed: [{from_local: "18:00", to_local: "20:00", committed_kw: 100}]}}'
)


def planned(*settings: str, start: str = "2026-07-15T16:00", horizon: str = "6h", step: str = "1h") -> Planned:
    found = plan(Request(str(DEMO), start, horizon, step, settings=settings))
    assert not isinstance(found, Undecided)
    return found


def test_a_commitment_counts_for_every_step_its_window_touches() -> None:
    """18:00 to 20:00 in Berlin is 16:00 to 18:00 UTC in July."""
    site = load_site(DEMO, (UP % 0,))
    product = site.grid.reserves["evening"]
    hours = [datetime(2026, 7, 15, h, tzinfo=UTC) for h in range(15, 20)]
    assert [committed_kw(site, product, h, h + timedelta(hours=1)) for h in hours] == [0, 100, 100, 0, 0]
    half = datetime(2026, 7, 15, 15, 30, tzinfo=UTC)
    assert committed_kw(site, product, half, half + timedelta(hours=1)) == 100


def test_a_plan_holds_what_was_sold_and_sells_more_where_it_can() -> None:
    found = planned(UP % 250)
    numbers = summary(found)
    assert numbers["status"] == "optimal"
    (told,) = numbers["reserves"]
    assert (told["id"], told["direction"], told["duration_min"], told["committed_kwh"]) == ("evening", "up", 60, 200)
    rows = list(plan_rows(found))
    assert plan_columns(found)[-2:] == ["reserve_up_kw", "reserve_down_kw"]
    held = [row[-2] for row in rows]
    assert all(kw >= 100 for kw in held[2:4])
    assert max(held) <= 250
    assert told["held_kwh"] == pytest.approx(sum(held))
    assert told["income"] == pytest.approx(0.02 * sum(held))
    assert told["income"] > 0.02 * 200


def test_a_commitment_beyond_the_site_is_a_breach_with_a_remedy() -> None:
    numbers = summary(
        planned((UP % 0).replace("committed_kw: 100", "committed_kw: 2000"), start="2026-07-15T18:00", horizon="1h")
    )
    (breach,) = [b for b in numbers["breaches"] if b["family"] == "short_reserve_kw"]
    assert (breach["asset"], breach["unit"]) == ("evening", "kW")
    assert 1000 < breach["amount"] < 2000
    assert breach["remedy"]


def test_the_columns_of_a_site_without_reserves_stay_as_they_are() -> None:
    assert "reserve_up_kw" not in plan_columns(planned(horizon="1h"))


@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_second_opinion_counts_the_same_and_refuses_what_is_not_there(direction: str) -> None:
    """What the program holds in the first hour, the verifier finds too; a kW more than it could hold, it refuses."""
    settings = ((UP % 5000).replace("direction: up", f"direction: {direction}"), "batteries.bess-1.start_share=0.5")
    found = planned(*settings, horizon="1h")
    held_kw = float(found.decided.plan.account.reserve_kw[0, 0])
    assert held_kw > 100
    decision, snapshot = found.decided.decision, _snapshot(found)

    def told(sold_kw: float) -> list[str]:
        asked: dict[str, Any] = {f"reserve_{direction}_kw": sold_kw}
        return [v.rule for v in verify(found.site, snapshot, replace(decision, **asked), outdoor_c=32.8) if "reserve" in v.rule]

    assert told(held_kw - 0.01) == []
    assert told(5000.0) == [f"grid.reserve_{direction}"]


def test_two_assets_of_one_name_cannot_hold_reserves() -> None:
    with pytest.raises(InputError, match=r"batteries\.h1-a") as error:
        load_site(DEMO, (UP % 0, "batteries.h1-a={feeder: utility, capacity_kwh: 1, charge_kw: 1, discharge_kw: 1}"))
    assert "another id" in str(error.value)


def test_a_window_that_ends_before_it_starts_is_told() -> None:
    with pytest.raises(InputError, match=r"to_local .*17:00; above from_local"):
        load_site(DEMO, ((UP % 0).replace('"20:00"', '"17:00"'),))


def _snapshot(found: Planned) -> Any:
    from facility.snapshot import Snapshot

    return Snapshot(at=found.edges[0], jobs=found.jobs)
