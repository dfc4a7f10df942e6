"""Caps that hold whatever runs: the highest that fit, and the fallback that fills 80 % of the tightest feeder."""

from __future__ import annotations

import pytest

from facility.decision import BatteryOrder
from facility.verify import fallback_caps, fits, highest_cap
from tests.facility.verify.by_hand import FIGURES, decision, site_with


def test_fallback_and_highest_caps_are_settable() -> None:
    """80 % of 7 kW are reached at 320 W, of steps of 25 W at 300 W; 5 kW less 2.4 kW are 260 W a GPU."""
    coarse = site_with(gpu_models__g__power_step_w=25, feeders__pdu__rating_kw=7)
    assert fallback_caps(coarse) == {"p": 300}
    assert highest_cap(site_with(feeders__pdu__rating_kw=5), decision(), "p", 10.0) == 260
    assert highest_cap(site_with(feeders__pdu__rating_kw=5, gpu_models__g__power_step_w=25), decision(), "p", 10.0) == 250


def test_whole_pool_caps_fit_up_to_the_margin() -> None:
    """10 * (320 + 40) W + 2 kW = 5.6 kW."""
    assert fits(site_with(feeders__pdu__rating_kw=5.6), {"p": 320}, 10.0) == ()
    assert [v.rule for v in fits(site_with(feeders__pdu__rating_kw=5.6), {"p": 321}, 10.0)] == ["feeder.worst_case"]
    half = site_with(feeders__pdu__rating_kw=11.2, feeders__pdu__worst_case_margin=0.5)
    assert (fits(half, {"p": 320}, 10.0), len(fits(half, {"p": 321}, 10.0))) == ((), 1)
    assert [v.rule for v in fits(site_with(), {}, 10.0)] == ["pool.once"]
    assert [v.rule for v in fits(site_with(), {"p": 401}, 10.0)] == ["cap.range"]


def test_fallback_caps_fill_80_percent_of_the_tightest_feeder() -> None:
    """80 % of 7 kW are 5.6 kW, reached at 320 W; a site's own value stands; what never fits gets the lowest cap."""
    assert fallback_caps(site_with(feeders__pdu__rating_kw=7)) == {"p": 320}
    assert fallback_caps(site_with(feeders__pdu__rating_kw=6.999)) == {"p": 319}
    assert fallback_caps(site_with(feeders__pdu__rating_kw=7, pools__p__fallback_cap_w=150)) == {"p": 150}
    assert fallback_caps(site_with(feeders__pdu__rating_kw=1)) == {"p": 100}
    assert fallback_caps(site_with()) == {"p": 400}


def test_fallback_caps_take_the_same_share_of_every_pools_range() -> None:
    """Half of 100..400 and of 200..700 W: 10 * (250 + 450) W + 20 * 40 W + 2 kW = 9.8 kW, 80 % of 12.25 kW."""
    figures = FIGURES["gpu_models"]
    models = figures | {"big": figures["g"] | {"min_cap_w": 200, "max_cap_w": 700}}
    pools = {"p": FIGURES["pools"]["p"], "q": FIGURES["pools"]["p"] | {"gpu_model": "big"}}
    assert fallback_caps(site_with(gpu_models=models, pools=pools, feeders__pdu__rating_kw=12.25)) == {"p": 250, "q": 450}


def test_fallback_caps_are_for_the_hottest_hour_of_the_design_day() -> None:
    """At 38 degC, 10 GPUs at 300 W: heat 3.4 + 2 + 14 / 14 = 6.4 kW, COP 4.5 - 0.05 * 13 = 3.85, load 0.64.

    Cooling is 6.4 / 3.85 + 0.4096 + 0.262144 + 0.5 = 2.834081663 kW; main
    (5.4 + 2.834081663) * 1.02 = 8.398763296 kW, 80 % of 10.49845412.
    """
    day = [10] * 23 + [38]
    assert fallback_caps(site_with(weather__outdoor_by_hour_c=day, feeders__main__rating_kw=10.49846)) == {"p": 300}
    assert fallback_caps(site_with(weather__outdoor_by_hour_c=day, feeders__main__rating_kw=10.49845)) == {"p": 299}


def test_the_highest_cap_is_accepted_and_one_watt_more_is_not() -> None:
    """10 * (300 + 40) W + 2 kW = 5.4 kW; charging at 1 kW leaves 200 W; nothing leaves room on a feeder of 1 kW."""
    assert highest_cap(site_with(feeders__pdu__rating_kw=5.4), decision(), "p", 10.0) == 300
    assert highest_cap(site_with(feeders__pdu__rating_kw=5.399), decision(), "p", 10.0) == 299
    assert highest_cap(site_with(feeders__pdu__rating_kw=5.4), decision(batteries=(BatteryOrder("b", 1.0),)), "p", 10.0) == 200
    assert highest_cap(site_with(feeders__pdu__rating_kw=1), decision(), "p", 10.0) == 100
    assert highest_cap(site_with(), decision(), "p", 10.0) == 400


def test_caps_that_hold_whatever_runs_hold_at_the_coldest_supply() -> None:
    """A plant that is usually at 20 degC may be at 16: COP 4.5 - 0.4 there, and thresholds 4 K lower."""
    point = {"levels_c": [16, 20], "usual_c": 20, "cop_gain_per_k": 0.1, "approach_k_per_kw": 1}
    colder = {"cop_at_25c": 4.1, "free_cooling_full_below_c": 8, "free_cooling_none_above_c": 21}
    small, plant = {"feeders__main__rating_kw": 1}, "cooling_plants__plant__"
    free = site_with(**small, **{plant + "set_point": point})
    fixed = site_with(**small, **{plant + key: value for key, value in colder.items()})
    assert [v.amount for v in fits(free, {"p": 400}, 20.0)] == pytest.approx([v.amount for v in fits(fixed, {"p": 400}, 20.0)])
    assert [v.amount for v in fits(free, {"p": 400}, 20.0)] != pytest.approx([v.amount for v in fits(site_with(**small), {"p": 400}, 20.0)])
