"""What can be made to go wrong in the rehearsed plant: each does what it says, and is over when another is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.clock import ManualClock
from facility.errors import InputError
from facility.simulate.device import Device
from facility.simulate.plant import Plant
from facility.simulate.trouble import Trouble, trouble
from tests.facility.test_guard import NOW, SITE


@pytest.fixture
def plant() -> Plant:
    made = Plant(SITE, NOW, seed=None)
    made.step(10)
    return made


def suffer(plant: Plant, **what: Any) -> None:
    plant.suffer(Trouble(**what))
    plant.step(10)


def test_extra_load_is_on_its_feeder_and_those_above(plant: Plant) -> None:
    before = dict(plant.feeder_kw)
    suffer(plant, extra_kw={"bus-a": 5.0})
    more = {name: round(kw - before[name]) for name, kw in plant.feeder_kw.items()}
    assert more == {"bus-a": 5, "a": 5, "root": 5, "bus-b": 0, "b": 0, "mech": 0}
    suffer(plant)
    assert plant.feeder_kw == pytest.approx(before, abs=0.5)


def test_the_others_of_a_group_carry_what_hangs_on_a_feeder_that_is_gone_and_nobody_what_has_no_group(plant: Plant) -> None:
    before = dict(plant.feeder_kw)
    suffer(plant, gone=("a",))
    assert (plant.feeder_kw["a"], plant.feeder_kw["bus-a"]) == (0.0, pytest.approx(before["bus-a"], abs=0.1))
    assert plant.feeder_kw["b"] == pytest.approx(before["a"] + before["b"], abs=0.1)
    suffer(plant, gone=("a", "b"))
    assert plant.feeder_kw["root"] == pytest.approx(before["mech"], abs=1)
    suffer(plant, gone=("bus-b",))
    assert (plant.feeder_kw["bus-b"], plant.feeder_kw["b"]) == (0.0, 0.0)


def test_a_hall_that_is_cooled_less_warms_up(plant: Plant) -> None:
    suffer(plant, cooling_share={"h": 0.5})
    assert plant.halls["h"].temperature_c > plant.halls["k"].temperature_c + 0.01


def test_gpus_that_ignore_their_cap_draw_the_most_and_their_agent_tells_it_or_not(plant: Plant) -> None:
    suffer(plant)
    pool = plant.pools["p"]
    pool.cap_w = 100
    plant.step(10)
    assert pool.gpu_kw == pytest.approx(5.0)
    for how, told_w in (("told", 400), ("hidden", 100)):
        suffer(plant, ignores={"p": how})
        assert pool.gpu_kw == pytest.approx(20.0)
        assert (pool.enforced_cap_w, pool.caps_of("p")[-1][1], pool.speed_gpus("p")) == (told_w, told_w, 50.0)


@pytest.mark.parametrize(
    ("payload", "says"), [(b"{", "truncated"), (b'{"gone": ["x"]}', "the site has no x"), (b'{"fire": 1}', "unknown field")]
)
def test_what_cannot_go_wrong_is_refused_with_its_place(payload: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        trouble(payload, SITE)


@pytest.mark.parametrize("rehearse", [True, False])
def test_a_plant_on_the_bus_suffers_what_it_is_told_only_where_it_rehearses(plant: Plant, *, rehearse: bool) -> None:
    clock = ManualClock(NOW)
    broker = MemoryBroker(clock.now)
    device, hand = Device(plant, broker.connect(), clock, rehearse=rehearse), broker.connect()
    for told in ({"gone": ["a"]}, {"gone": ["nowhere"]}):
        hand.publish(Message("facility/v1/s/rehearsal/trouble", json.dumps(told).encode()))
        device.tick()
    assert plant.trouble.gone == (("a",) if rehearse else ())
