"""The second opinion agrees with plans of sites whose cooling is the hardest to recompute."""

from __future__ import annotations

from pathlib import Path

import pytest

from facility.planner import Planned, Request
from facility.snapshot import Snapshot
from facility.verify import expected_kw, verify
from tests.facility.planner.days import planned, write
from tests.facility.planner.promises import DEMO, read


def the_second_opinion_agrees(made: Planned) -> None:
    """It accepts the plan's first step and, knowing nothing of the model, finds the same import within 0.1 %."""
    halls_c = {name: hall.thermal.start_c for name, hall in made.site.halls.items() if hall.thermal is not None}
    tanks_kwh = {name: c.store.start_share * c.store.capacity_kwh for name, c in made.site.cooling_plants.items() if c.store}
    snapshot = Snapshot(made.edges[0], jobs=made.jobs, hall_c=halls_c, thermal_store_kwh=tanks_kwh)
    outdoor_c = float(made.forecast.outdoor_c[0])
    assert verify(made.site, snapshot, made.decided.decision, outdoor_c=outdoor_c) == ()
    roots = [name for name, feeder in made.site.feeders.items() if feeder.parent is None]
    found_kw = expected_kw(made.site, made.decided.decision, snapshot, outdoor_c)[roots[0]]
    assert found_kw == pytest.approx(float(made.decided.plan.account.import_kw[0]), rel=1e-3)


@pytest.mark.parametrize("price", [80, -80])
def test_the_second_opinion_agrees_with_a_plan_of_staged_chillers_in_the_heat(price: float) -> None:
    asked = Request(
        str(DEMO), "2023-07-02", "2h", "30min",
        settings=(
            "cooling_plants.chiller.stages=[{max_heat_kw: 500, cop_at_25c: 4}, {max_heat_kw: 300, cop_at_25c: 6}]",
            "cooling_plants.chiller.capacity_by_outdoor=[{outdoor_c: 25, share: 1}, {outdoor_c: 45, share: 0.8}]",
            f"weather.outdoor_by_hour_c={[36] * 24}", f"tariff.energy_price_by_hour_per_mwh={[price] * 24}",
        ),
    )  # fmt: skip
    the_second_opinion_agrees(planned(asked))


@pytest.mark.parametrize("price", [80, -80])
def test_the_second_opinion_agrees_with_a_plan_of_liquid_cooled_pools(price: float) -> None:
    """Two pools of `h1` give 80 % of their heat to water at 36 degC outside, cooled without a chiller."""
    wet = "{feeder: mech, design_heat_kw: 500, max_heat_kw: 500, free_cooling_full_below_c: 36, free_cooling_none_above_c: 42, "
    asked = Request(
        str(DEMO), "2023-07-02", "2h", "30min",
        settings=(
            "cooling_plants.wet=" + wet + "pump_kw: 10, fan_kw: 10}", "halls.h1.thermal.liquid_plant=wet",
            "pools.h1-a.liquid_share=0.8", "pools.h1-b.liquid_share=0.8",
            f"weather.outdoor_by_hour_c={[36] * 24}", f"tariff.energy_price_by_hour_per_mwh={[price] * 24}",
        ),
    )  # fmt: skip
    made = planned(asked)
    account = made.decided.plan.account
    assert account.heat_kw[1, 0] == pytest.approx(0.8 * account.pool_kw[:2, 0].sum())
    assert [order.plant for order in made.decided.decision.cooling] == ["chiller"]
    the_second_opinion_agrees(made)


@pytest.mark.parametrize("prices", [[40, 160], [160, 40], [-20, -80]])
def test_the_second_opinion_agrees_with_a_plan_that_moves_cold_between_hours(tmp_path: Path, prices: list[float]) -> None:
    """The tank is filled in the cheaper of two hours and emptied in the other, within what its order and its table say."""
    asked = Request(
        str(DEMO), "2023-07-02", "2h", "1h",
        settings=(
            "cooling_plants.chiller.store={capacity_kwh: 200, charge_kw: 100, discharge_kw: 100, loss_share_per_h: 0.01}",
            "grid.import_limit_kw=1000", "grid.limit_windows=[]",
            f"weather.outdoor_by_hour_c={[30] * 24}", f"tariff.energy_price_by_hour_per_mwh={prices * 12}",
        ),
    )  # fmt: skip
    made = planned(asked)
    (order,) = made.decided.decision.cooling
    charge_kw = [float(row["thermal_store_kw"]) for row in read(write(made, tmp_path / "out") / "plan.csv")]
    assert order.store_kw == pytest.approx(charge_kw[0])
    cheaper = prices.index(min(prices))
    assert charge_kw[cheaper] > 20
    assert charge_kw[1 - cheaper] < -20 or prices[0] < 0
    assert "tanks: start at their store.start_share, 50 %" in made.assumed
    the_second_opinion_agrees(made)


@pytest.mark.parametrize("prices", [[40, 160], [-20, -80]])
def test_the_second_opinion_agrees_with_a_plan_that_chooses_its_supply(tmp_path: Path, prices: list[float]) -> None:
    """Both halls let their plant supply warmer than its usual 16 degC; paid for drawing it does not; both plans hold."""
    asked = Request(
        str(DEMO), "2023-07-02", "2h", "1h",
        settings=(
            "cooling_plants.chiller.set_point={levels_c: [16, 19, 22], usual_c: 16, cop_gain_per_k: 0.12, approach_k_per_kw: 0.005}",
            "grid.import_limit_kw=1000", "grid.limit_windows=[]",
            f"weather.outdoor_by_hour_c={[22] * 24}", f"tariff.energy_price_by_hour_per_mwh={prices * 12}",
        ),
    )  # fmt: skip
    made = planned(asked)
    (order,) = made.decided.decision.cooling
    supply_c = [float(row["supply_chiller_c"]) for row in read(write(made, tmp_path / "out") / "plan.csv")]
    assert order.supply_c == supply_c[0]
    assert set(supply_c) <= {16.0, 19.0, 22.0}
    assert (max(supply_c) > 16.0) == (prices[0] > 0)
    plan = made.decided.plan
    assert plan.account.objective == pytest.approx(plan.record.bound, rel=1e-3)
    assert plan.schedule.supply_c["chiller"].tolist() == supply_c
    the_second_opinion_agrees(made)
