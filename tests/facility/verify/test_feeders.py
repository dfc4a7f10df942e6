"""The second opinion fires where a feeder's rating is passed by the least step, expected or at worst, whatever message is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facility.decision import BatteryOrder, CapGroup, PoolCaps
from facility.site import Pool
from facility.verify import expected_kw, fallback_caps, fits, highest_cap, verify, verify_worst
from facility.verify.draw import at_cap, worst_pool_kw
from tests.facility.verify.by_hand import FIGURES, SNAPSHOT, backed, broken, decision, site_with


def test_the_decision_derived_by_hand_is_accepted_and_its_feeders_carry_what_was_derived() -> None:
    assert verify(site_with(), SNAPSHOT, decision(), outdoor_c=10.0) == ()
    assert expected_kw(site_with(), decision(), SNAPSHOT, 10.0) == pytest.approx({"pdu": 4.38, "main": 5.3346})


@pytest.mark.parametrize(
    ("change", "holds", "fires", "rule"),
    [
        ("feeders__pdu__rating_kw", 4.6, 4.599, "feeder.worst_case"),
        ("feeders__pdu__worst_case_margin", 0.046, 0.0459, "feeder.worst_case"),
        ("feeders__main__rating_kw", 5.559, 5.558, "feeder.worst_case"),
        ("grid__import_limit_kw", 5.3346, 5.3345, "grid.limit"),
        ("cooling_plants__plant__max_heat_kw", 3.38, 3.379, "cooling.removes_heat"),
        ("contracts__c__floor_speed", 0.6, 0.60001, "firm.floor"),
    ],
)
def test_a_limit_of_the_site_holds_at_the_derived_amount_and_fires_just_below(
    change: str, holds: float, fires: float, rule: str
) -> None:
    assert broken(site_with(**{change: holds}), decision()) == set()
    assert broken(site_with(**{change: fires}), decision()) == {rule}


def test_what_every_gpu_may_draw_is_asked_alone_and_not_of_what_cannot_be_reckoned_with() -> None:
    tight = site_with(feeders__pdu__rating_kw=4.599, grid__import_limit_kw=5)
    assert [v.rule for v in verify_worst(tight, SNAPSHOT, decision(), outdoor_c=10.0)] == ["feeder.worst_case"]
    assert verify_worst(tight, SNAPSHOT, decision(PoolCaps("p", 10**6)), outdoor_c=10.0) == ()


def test_expected_power_above_a_rating_fires_where_the_worst_case_does_not() -> None:
    """A curve that draws 1 W above its cap: 10 GPUs at 100 W expect 10 * (101 + 40) W + 2 kW = 3.41 kW, at worst 3.40 kW."""
    points = [{"cap_w": 100, "draw_w": 101, "speed": 1}]
    change = {"gpu_models__g__curves__train__points": points, "contracts__c__gpus": 10}
    made = decision(PoolCaps("p", 100, (CapGroup("c", 10, 100),)), jobs=())
    assert broken(site_with(feeders__pdu__rating_kw=3.41, **change), made) == set()
    assert broken(site_with(feeders__pdu__rating_kw=3.409, **change), made) == {"feeder.carries"}


def test_without_the_largest_feeder_of_a_group_the_others_carry_the_worst_case_whatever_message_is_lost() -> None:
    """4.6 kW at worst are under `pdu`, 5.8 kW where any of the old caps below may still be in force."""
    assert broken(backed(4.6), decision()) == set()
    assert broken(backed(4.599), decision()) == {"redundancy.worst_case"}
    old = PoolCaps("p", 100, (CapGroup("c", 5, 400),))
    assert broken(backed(5.8), decision(), sent_cap_w={"p": old}) == set()
    assert broken(backed(5.799), decision(), sent_cap_w={"p": old}) == {"redundancy.worst_case"}
    assert broken(backed(5.0), decision(), sent_cap_w={"p": 400}) == set()


def test_the_others_of_a_group_carry_the_sum_of_its_loads() -> None:
    """4.6 kW at worst are under `pdu`, and 1 kW of another hall's base under `spare`."""
    halls = FIGURES["halls"] | {"k": {"feeder": "spare", "base_kw": 1}}
    assert broken(backed(5.6, halls=halls), decision()) == set()
    assert broken(backed(5.599, halls=halls), decision()) == {"redundancy.worst_case"}


def test_without_the_largest_feeder_of_a_group_the_others_carry_what_is_expected() -> None:
    """3.41 kW, as derived above for a curve that draws above its cap."""
    points = [{"cap_w": 100, "draw_w": 101, "speed": 1}]
    change = {"gpu_models__g__curves__train__points": points, "contracts__c__gpus": 10}
    made = decision(PoolCaps("p", 100, (CapGroup("c", 10, 100),)), jobs=())
    assert broken(backed(3.41, **change), made) == set()
    assert broken(backed(3.409, **change), made) == {"redundancy.carries"}


def test_caps_that_hold_by_themselves_hold_in_a_group_that_loses_a_feeder() -> None:
    """2 kW of base and ten GPUs at 200 + 40 W are 4.4 kW, 80 % of 5.5 kW."""
    assert fallback_caps(backed(5.5)) == {"p": 200}
    assert highest_cap(backed(4.4), decision(), "p", 10.0) == 200
    assert [v.rule for v in fits(backed(4.399), {"p": 200}, 10.0)] == ["redundancy.worst_case"]


def test_a_lost_message_leaves_the_old_cap_and_the_mixture_must_fit() -> None:
    """Old are 5 * 400 and 5 * 100 W, new 2 * 400, 6 * 200 and 2 * 100 W; of all, the ten highest are 7 * 400 and 3 * 200 W.

    That is 3.4 kW + 0.4 + 2 = 5.8 kW on the feeder, while the new caps alone need 4.6 and the old ones 4.9 kW.
    """
    old = PoolCaps("p", 100, (CapGroup("c", 5, 400),))
    assert broken(site_with(feeders__pdu__rating_kw=5.8), decision(), sent_cap_w={"p": old}) == set()
    assert broken(site_with(feeders__pdu__rating_kw=5.799), decision(), sent_cap_w={"p": old}) == {"feeder.worst_case"}
    assert broken(site_with(feeders__pdu__rating_kw=5.799), decision(), sent_cap_w={"p": (100, old)}) == {"feeder.worst_case"}


def test_a_decrease_is_not_refused_for_the_height_it_starts_from() -> None:
    """All GPUs at 400 W are 6.4 kW on a feeder of 5 kW: too many already, and this decision makes it no worse."""
    assert broken(site_with(feeders__pdu__rating_kw=5), decision(), sent_cap_w={"p": 400}) == set()


def test_in_the_worst_case_cooling_is_that_of_the_decisions_own_heat() -> None:
    """At 38 degC heat is 2.38 + 2 + 1 = 5.38 kW, COP 3.85, load 0.538: cooling 1.397403 + 0.289444 + 0.155721 + 0.5 kW.

    With the 4.6 kW at worst under `pdu`, main carries (4.6 + 2.342567) * 1.02 = 7.081419 kW.
    """
    assert broken(site_with(feeders__main__rating_kw=7.08143), decision(), outdoor_c=38.0) == set()
    assert broken(site_with(feeders__main__rating_kw=7.08141), decision(), outdoor_c=38.0) == {"feeder.worst_case"}


MESSAGES = st.builds(
    lambda groups, rest_w: PoolCaps("p", rest_w, tuple(CapGroup("c", gpus, cap_w) for gpus, cap_w in groups)),
    st.lists(st.tuples(st.integers(1, 3), st.integers(100, 400)), max_size=3),
    st.integers(100, 400),
)


@settings(max_examples=100)
@given(MESSAGES, MESSAGES, st.permutations(range(10)))
def test_the_worst_case_of_two_messages_bounds_every_mixture_and_some_mixture_reaches_it(
    old: PoolCaps, new: PoolCaps, which: list[int]
) -> None:
    def by_gpu_w(sent: PoolCaps) -> list[int]:
        grouped = [group.cap_w for group in sent.groups for _ in range(group.gpus)]
        return sorted(grouped + [sent.cap_w] * (10 - len(grouped)))

    worst_w = worst_pool_kw(Pool.model_validate(FIGURES["pools"]["p"]), (old, new)) * 1000 - 10 * 40
    assert sum(max(a, by_gpu_w(new)[i]) for a, i in zip(by_gpu_w(old), which, strict=True)) <= worst_w + 1e-6
    assert sum(map(max, by_gpu_w(old), reversed(by_gpu_w(new)))) == pytest.approx(worst_w)


def test_what_flows_back_through_a_feeder_loses_too() -> None:
    """8 kW given under 4.38 kW of load leave 3.62 kW, of which a feeder with 10 % of losses passes 3.258 kW."""
    site = site_with(feeders__pdu__loss_share=0.1, batteries__b__discharge_kw=8)
    assert expected_kw(site, decision(batteries=(BatteryOrder("b", -8.0),)), SNAPSHOT, 10.0)["pdu"] == pytest.approx(-3.258)


def test_below_the_lowest_measured_cap_a_gpu_draws_as_there_and_does_no_work() -> None:
    curve = site_with().gpu_models["g"].curves["train"]
    assert [at_cap(curve, cap_w) for cap_w in (0, 99, 100)] == [(100, 0.0), (100, 0.0), (100, 0.2)]
    assert [at_cap(curve, cap_w) for cap_w in (150, 200, 300, 400, 500)] == [(145, pytest.approx(0.4)), (190, 0.6), (290, 0.8), (390, 1), (390, 1)]
