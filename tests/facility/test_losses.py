"""GPUs that are gone: who goes without, and what is owed. The site is that of `test_rentals`: 10 GPUs of `p`, 6 rented by `c`; 4 of `q`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.daemon.telling.losses import SETTLED
from facility.decision import CapGroup, Decision, PoolCaps
from facility.rental.losses import missed_gpus, price_per_gpu_h, served_gpus, spare_left, spare_pools, without
from facility.site import Contract, Site
from facility.snapshot import Snapshot
from facility.telemetry import Telemetry
from facility.verify import verify
from tests.facility.test_daemon import NOW, SITE, House
from tests.facility.test_rentals import HOUR, WHOLE, WIDER, ask, run
from tests.facility.test_telemetry import message

C = WHOLE["contracts"]["c"]
REPAIR = {"pool": "p", "gpus": 3, "start": (NOW + HOUR).isoformat(), "end": (NOW + 2 * HOUR).isoformat()}


def site(**contracts: dict[str, Any]) -> Site:
    """The site with `c` and others; what is given of each is changed in what `c` says."""
    named = {name: C | changed for name, changed in contracts.items()}
    return Site.model_validate(WIDER.model_dump(mode="json", exclude_unset=True) | {"contracts": {"c": C} | named})


def test_what_is_left_goes_to_the_dearest_first_and_to_those_that_may_pause_last() -> None:
    three = site(d={"gpus": 2, "penalty_per_gpu_h": 30}, e={"gpus": 2, "pausable": True, "penalty_per_gpu_h": 99})
    for gone, served in ((0, (6, 2, 2)), (1, (6, 2, 1)), (3, (5, 2, 0)), (9, (0, 1, 0)), (10, (0, 0, 0))):
        left = without(three, {"p": gone}, NOW).contracts
        assert tuple(left[name].gpus for name in "cde") == served
    assert without(three, {"q": 4}, NOW) is without(three, {}, NOW) is three
    assert missed_gpus(three, {"p": 9}, NOW) == {"c": 6, "d": 1}, "whoever may pause misses nothing"


def test_a_service_misses_what_its_hour_asks_for() -> None:
    quiet = site(c={"demand_by_hour_gpus": [6] * 12 + [3] * 12})
    assert missed_gpus(quiet, {"p": 6}, NOW) == {}
    assert missed_gpus(quiet, {"p": 8}, NOW) == {"c": 1}
    assert without(quiet, {"p": 8}, NOW).contracts["c"].demand_by_hour_gpus == (2,) * 24
    assert missed_gpus(quiet, {"p": 6}, NOW - HOUR) == {"c": 2}


def test_in_each_step_maintenance_and_rentals_that_come_and_go_are_reckoned_with() -> None:
    """Of 10 GPUs 2 are gone and 3 leave in the second step; `d` has its 2 in the first two steps."""
    served = served_gpus(site(d={"gpus": 2, "penalty_per_gpu_h": 99}), {"p": 2}, {"p": (10.0, 7.0, 10.0)}, {"d": (2, 2, 0)})
    assert served == {"c": (6, 3, 6), "d": (2, 2, 0)}
    assert served_gpus(WIDER, {}, {}, {}) == {}


def test_what_is_owed_is_the_penalty_that_is_named_else_what_a_gpu_hour_earns() -> None:
    terms = {"tenant": "t", "kind": "reserved"}
    assert price_per_gpu_h(Contract.model_validate(terms | {"value_per_gpu_h": 2.0})) == 2.0
    assert price_per_gpu_h(Contract.model_validate(terms | {"value_per_gpu_h": 2.0, "penalty_per_gpu_h": 9.0})) == 9.0


def test_a_pool_of_the_same_model_is_named_while_it_has_enough() -> None:
    assert spare_pools(WIDER, {"p": 5}, "c", 4, NOW) == ["q"]
    assert spare_pools(WIDER, {"p": 5, "q": 1}, "c", 4, NOW) == []
    assert spare_pools(WIDER, {"p": 5}, "c", 4, datetime.fromisoformat("2026-07-01T19:00Z")) == [], "three of them are in maintenance then"


def spared(spare: int, **contracts: dict[str, Any]) -> Site:
    """`site` with so many of the 10 GPUs of `p` kept as spare."""
    told = site(**contracts).model_dump(mode="json", exclude_unset=True)
    return Site.model_validate(told | {"pools": told["pools"] | {"p": told["pools"]["p"] | {"spare_gpus": spare}}})


def test_the_spare_of_a_pool_dies_before_any_rental_is_short() -> None:
    three = spared(2, d={"gpus": 2, "penalty_per_gpu_h": 30}, e={"gpus": 2, "pausable": True})
    for gone, left, missed in ((1, 1, {}), (2, 0, {}), (3, 0, {"c": 1}), (5, 0, {"c": 3})):
        assert spare_left(three, {"p": gone}, "p") == left
        assert missed_gpus(three, {"p": gone}, NOW) == missed
    assert spare_left(three, {}, "q") == 0


def test_a_pool_keeps_its_own_spare_and_offers_what_is_beyond() -> None:
    other = WIDER.model_dump(mode="json", exclude_unset=True)
    kept = Site.model_validate(other | {"pools": other["pools"] | {"q": other["pools"]["q"] | {"spare_gpus": 2}}})
    assert spare_pools(kept, {"p": 5}, "c", 2, NOW) == ["q"]
    assert spare_pools(kept, {"p": 5}, "c", 3, NOW) == []
    assert spare_pools(kept, {"p": 5, "q": 1}, "c", 2, NOW) == ["q"], "one of its spare is gone, three GPUs are left, of which it keeps one"


def test_a_daemon_gives_no_rental_a_spare_gpu_unless_it_may_pause_and_says_how_many_are_left(tmp_path: Path) -> None:
    """Of 10 GPUs `c` has 6 and 3 are spare, so that one is left for a rental that may not pause."""
    house = House(tmp_path / "journal.sqlite", spared(3))
    try:
        refused = ask(house)
        assert refused["status"] == "rejected"
        assert "3 GPUs of p are not free all that time, 1 are" in refused["reason"]
        assert ask(house, id="r-2", pausable=True)["status"] == "accepted"
        assert run(house) == {"c": 6, "burst": 3}
        told = {"timestamp": int(house.clock.now().timestamp() * 1000), "enforced_cap_w": 100, "gone": 2}
        house.say("cap/h/p/reported", told, retain=True)
        for _ in range(3):
            house.clock.advance(SETTLED.total_seconds())
            house.daemon.upkeep.guard_s -= 1
            house.settle()
        alarm = house.retained("alarm/gpus-p")
        assert alarm is not None
        assert alarm["severity"] == "warning"
        assert alarm["cause"] == "2 of 10 GPUs of pool p are gone; every contract has its GPUs, jobs give way; 1 of 3 spare is left"
        assert run(house)["c"] == 6, "the rental that may pause gives way"
    finally:
        house.kill()


@pytest.mark.parametrize(
    ("report", "gone"),
    [({}, 0), ({"gpus": 10}, 0), ({"gpus": 12}, 0), ({"gpus": 8}, 2), ({"gpus": ["n/1"]}, 0), ({"gone": 3}, 3), ({"gone": ["n/1", "n/2", "n/1"]}, 2),
     ({"gone": 99}, 10), ({"gpus": 9, "gone": 3}, 3)],
)  # fmt: skip
def test_an_agent_tells_by_number_or_name_what_is_gone(report: dict[str, Any], gone: int) -> None:
    fixed = Site.model_validate(WHOLE | {"maintenance": {"repair": REPAIR}})
    telemetry, told = Telemetry(fixed), {"timestamp": int(NOW.timestamp() * 1000), "enforced_cap_w": 100} | report
    assert telemetry.accept(message("cap/h/p/reported", told), NOW) is None
    assert telemetry.gone(NOW) == telemetry.snapshot(NOW).gone_gpus == ({"p": gone} if gone else {})
    assert telemetry.gone(NOW + HOUR) == ({"p": gone - 3} if gone > 3 else {}), "nobody misses what is in maintenance"


def test_the_second_opinion_lets_no_gpu_work_that_is_gone() -> None:
    snapshot = Snapshot(NOW, gone_gpus={"p": 4})
    groups = (CapGroup("c", 6, 400),)
    decision = Decision(NOW, NOW + timedelta(minutes=15), (PoolCaps("p", 100, groups),), jobs=())
    assert not [v for v in verify(SITE, snapshot, decision, outdoor_c=10) if v.rule == "pool.gone"]
    (found,) = [v for v in verify(SITE, replace(snapshot, gone_gpus={"p": 5}), decision, outdoor_c=10) if v.rule == "pool.gone"]
    assert (found.amount, found.allowed, found.tier) == (6, 5, "contract")
