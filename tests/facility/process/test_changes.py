"""What a changed site file may bring into force while the site runs, and what not; without a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facility.config import load_site
from facility.daemon.situation import Situation
from facility.errors import Fault
from facility.journal.journal import Journal
from facility.overrides.arbitrate import bounds
from facility.process.changes import changes, dangers
from facility.process.reload import keep, kept
from facility.site import Site
from facility.snapshot import Snapshot
from tests.facility.test_daemon import NOW, SITE, House

RAW = SITE.model_dump()
LOADED = {"pool_kw": {"p": 3.0}, "feeder_kw": {"main": 3.5}}
EMPTY = {"pool_kw": {"p": 0.0}, "feeder_kw": {"main": 0.0}}


def changed(**keys: Any) -> Site:
    """The site with other values at dotted keys; None removes."""
    raw = Site.model_validate(RAW).model_dump()
    for key, value in keys.items():
        *path, last = key.split("__")
        place = raw
        for part in path:
            place = place[part]
        if value is None and path and len(path) == 1:
            del place[last]
        else:
            place[last] = value
    return Site.model_validate(raw)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite")
    made.daemon.cycle()
    assert made.mode() == "NORMAL"
    yield made
    made.kill()


def here(site: Site, snapshot: Snapshot) -> Situation:
    return Situation(NOW, site, snapshot, bounds(site, (), NOW, (NOW, NOW)), 10.0)


def found(house: House, new: Site, measured: Mapping[str, Any] = LOADED, *, gives_way: bool = False) -> list[Fault]:
    def judge(rooms: Any, now: Any) -> list[Fault]:
        known = rooms.known.situation(now)
        situation = replace(known, snapshot=replace(known.snapshot, **measured))
        return list(dangers(SITE, new, changes(SITE, new), situation, rooms.governor.in_force, gives_way=gives_way))

    return house.daemon.within(judge)


def test_a_change_is_told_by_key_with_the_value_before_and_after() -> None:
    new = changed(grid__import_limit_kw=3.5, control__cycle_s=60.0, tenants={"t": {"name": "T"}, "u": {"name": "U"}})
    assert {str(change) for change in changes(SITE, new)} == {
        "grid.import_limit_kw: 4.0 -> 3.5",
        "control.cycle_s: 300.0 -> 60.0",
        "tenants.u: nothing -> a mapping of name",
    }
    assert changes(SITE, changed()) == ()


@pytest.mark.parametrize("file", sorted(Path("site_configs").glob("*.yaml")), ids=str)
def test_a_site_in_the_journal_is_the_one_that_was_written(tmp_path: Path, file: Path) -> None:
    site = load_site(file)
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert kept(journal, site) is site, "nothing is written yet"
        keep(journal, site)
        assert changes(site, kept(journal, site)) == ()
        assert kept(journal, site).bus == site.bus
        other = site.model_copy(update={"id": "other"})
        assert kept(journal, other) is other
        journal.put("site in force", b"{")
        assert kept(journal, site) is site


@pytest.mark.parametrize(
    "keys",
    [
        {"grid__import_limit_kw": 3.5},
        {"grid__import_limit_kw": 5.0},
        {"control__cycle_s": 60.0},
        {"tariff__energy_price_per_mwh": 90.0},
        {"feeders__main__rating_kw": 4.6},
    ],
    ids=str,
)
def test_what_is_tighter_or_no_limit_of_the_plant_is_no_danger(house: House, keys: dict[str, Any]) -> None:
    assert found(house, changed(**keys)) == []


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"id": "other"}, "another site"),
        ({"timezone": "Europe/Berlin"}, "another site"),
        ({"currency": "USD"}, "another site"),
        ({"bus__root": "elsewhere/v1"}, "another site"),
        ({"bus__broker": "mqtt://10.0.0.9"}, "another site"),
        ({"control__cap_ttl_s": 90_000.0}, "longer in silence"),
        ({"feeders__main__rating_kw": 50.0}, "more room to what carries load"),
        ({"gpu_models__g__max_cap_w": 500}, "more room to what carries load"),
        ({"gpu_models__g__min_cap_w": 50}, "more room to what carries load"),
        ({"pools__p__fallback_cap_w": 400}, "more room to what carries load"),
    ],
    ids=str,
)
def test_another_site_and_more_room_under_load_are_refused_with_place_and_remedy(house: House, keys: dict[str, Any], says: str) -> None:
    faults = found(house, changed(**keys))
    assert faults[0].place == next(iter(keys)).replace("__", ".")
    assert says in faults[0].found
    assert faults[0].remedy


def test_a_rating_may_be_raised_where_nothing_is_drawn_and_not_where_nobody_knows(house: House) -> None:
    new = changed(feeders__main__rating_kw=50.0)
    assert found(house, new, EMPTY) == []
    assert found(house, new, {"feeder_kw": {}}) != []


def test_a_limit_is_not_raised_while_the_meter_makes_caps_give_way(house: House) -> None:
    (fault,) = found(house, changed(grid__import_limit_kw=5.0), gives_way=True)
    assert "while the meter makes caps give way" in fault.found
    assert found(house, changed(grid__import_limit_kw=3.0), gives_way=True) == []


def test_what_carries_load_is_neither_removed_nor_hung_elsewhere() -> None:
    pool, feeder = RAW["pools"]["p"], RAW["feeders"]["main"]
    raw = RAW | {"pools": {"p": pool, "q": pool}, "feeders": {"main": feeder, "side": feeder | {"parent": "main"}}}
    old, without = Site.model_validate(raw), Site.model_validate(raw | {"pools": {"p": pool}})
    moved = Site.model_validate(raw | {"pools": {"p": pool, "q": pool | {"feeder": "side"}}})
    snapshot = Snapshot(at=NOW, pool_kw={"q": 2.0})
    idle = Snapshot(at=NOW, pool_kw={"q": 0.0})
    for new, says in ((without, "it was removed and carries load"), (moved, "it moved from main to side and carries load")):
        assert says in str(next(dangers(old, new, changes(old, new), here(old, snapshot), None, gives_way=False)))
        assert list(dangers(old, new, changes(old, new), here(old, idle), None, gives_way=False)) == []


def test_what_hangs_together_is_loaded_together() -> None:
    feeder, hall = RAW["feeders"]["main"], RAW["halls"]["h"]
    battery = {"feeder": "main", "capacity_kwh": 10, "charge_kw": 5, "discharge_kw": 5}
    raw = RAW | {
        "feeders": {"main": feeder, "side": feeder | {"parent": "main"}},
        "halls": {"h": hall, "spare": hall},
        "batteries": {"b": battery},
    }
    old = Site.model_validate(raw)
    full, idle = Snapshot(at=NOW, pool_kw={"p": 2.0}), Snapshot(at=NOW, pool_kw={"p": 0.0})

    def refused(change: dict[str, Any], snapshot: Snapshot) -> bool:
        new = Site.model_validate(raw | change)
        return bool(list(dangers(old, new, changes(old, new), here(old, snapshot), None, gives_way=False)))

    hotter = {"gpu_models": {"g": RAW["gpu_models"]["g"] | {"max_cap_w": 450}}}
    moved = {"halls": {"h": hall | {"feeder": "side"}, "spare": hall}}
    assert (refused(hotter, full), refused(hotter, idle)) == (True, False)
    assert (refused(moved, full), refused(moved, idle)) == (True, False)
    assert not refused({"halls": {"h": hall}}, full), "nothing is in it"
    assert refused({"contracts": {}}, idle), "its GPUs are rented"
    assert refused({"batteries": {}}, idle), "nobody knows what a battery does"
    assert refused({"batteries": {"b": battery | {"discharge_kw": 50}}}, idle)
    assert not refused({"batteries": {"b": battery | {"discharge_kw": 2}}}, idle)


def test_a_backup_that_is_taken_away_gives_the_plant_room() -> None:
    feeder = RAW["feeders"]["main"]
    pair = {name: feeder | {"parent": "main", "redundancy_group": "g"} for name in ("x", "y")}
    old = Site.model_validate(RAW | {"feeders": {"main": feeder} | pair})
    new = Site.model_validate(RAW | {"feeders": {"main": feeder} | {name: feeder | {"parent": "main"} for name in pair}})
    loaded = here(old, Snapshot(at=NOW, feeder_kw={"x": 2.0, "y": 0.0}))
    (fault,) = dangers(old, new, changes(old, new), loaded, None, gives_way=False)
    assert (fault.place, "gives more room" in fault.found) == ("feeders.x.redundancy_group", True)
    assert list(dangers(new, old, changes(new, old), loaded, None, gives_way=False)) == []


def test_caps_in_force_that_would_break_the_plant_are_a_danger(house: House) -> None:
    faults = found(house, changed(feeders__main__rating_kw=1.5))
    assert any(fault.place == "main" and "the caps in force would break" in fault.found for fault in faults)


def test_fallback_caps_that_would_not_fit_are_a_danger(house: House) -> None:
    faults = found(house, changed(pools__p__fallback_cap_w=400, feeders__main__rating_kw=3.0), EMPTY)
    assert any("fallback caps would not fit" in fault.found for fault in faults)
