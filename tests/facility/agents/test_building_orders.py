"""Orders for a building's points on a bus in memory: what ends, what is handed back, and what shows that it was taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from facility.agents.building.building import Building
from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import BatteryDesired, BatteryReported, CoolingDesired, HallSetpoint, decode, encode
from facility.bus.messages.codec import Order
from facility.clock import VirtualClock
from facility.config import load_site

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
SITE = load_site("site_configs/demo-set-points.yaml")
BATTERY, CHILLER = "battery/bess-1", "cooling/chiller"


class Desk:
    """A broker, an agent, the daemon's voice and the gateway's: it takes nothing by itself."""

    def __init__(self) -> None:
        self.clock = VirtualClock(NOW)
        self.broker = MemoryBroker(self.clock.now)
        self.voice, self.gateway = self.broker.connect(), self.broker.connect()
        self.gateway.subscribe("gw/+/set", 1)
        self.start()

    def start(self) -> None:
        self.agent = Building(SITE, self.broker.connect(), self.clock)

    def order(self, thing: str, order: Order) -> None:
        self.voice.publish(Message(f"facility/v1/demo-set-points/{thing}/desired", encode(order), 1, retain=True))

    def discharge(self, seq: int = 1, lasts_s: float = 60) -> None:
        now = self.clock.now()
        self.order(BATTERY, BatteryDesired(epoch=1, seq=seq, issued_at=now, valid_until=now + timedelta(seconds=lasts_s), power_kw=40.0))

    def cool(self, seq: int, **halls: float) -> None:
        now, told = self.clock.now(), {hall: HallSetpoint(temperature_c=c) for hall, c in halls.items()}
        self.order(CHILLER, CoolingDesired(epoch=1, seq=seq, issued_at=now, valid_until=now + timedelta(seconds=60), halls=told))

    def reads(self, name: str, payload: bytes, *, retain: bool = False) -> None:
        self.voice.publish(Message(f"gw/{name}", payload, 1, retain=retain))

    def pass_by(self, seconds: int = 1) -> list[tuple[str, bytes]]:
        """What is written within some seconds, by name of point."""
        for _ in range(seconds):
            self.agent.look()
            self.clock.advance(1)
        return [(message.topic.split("/")[1], message.payload) for message in self.gateway.drain(0.0, 1000)]

    @property
    def obeyed(self) -> int | None:
        told = self.broker.retained.get(f"facility/v1/demo-set-points/{BATTERY}/reported")
        return None if told is None else decode(told, BatteryReported).seq


def test_a_clock_that_is_set_back_makes_no_order_last_longer() -> None:
    desk = Desk()
    desk.discharge()
    assert desk.pass_by() == [("bess-1", b"400")]
    desk.reads("bess-1", b"400")
    desk.pass_by()
    desk.clock.jump(-3600)
    assert desk.pass_by(70) == [("bess-1", b"0"), ("bess-1", b"0")]
    desk.reads("bess-1", b"0")
    desk.discharge(seq=2)
    assert desk.pass_by() == [("bess-1", b"400")]


def test_a_clock_that_is_set_forward_ends_an_order() -> None:
    desk = Desk()
    desk.discharge()
    desk.pass_by()
    desk.clock.jump(3600)
    assert desk.pass_by() == [("bess-1", b"0")]


def test_a_clock_that_is_late_makes_an_order_last_as_long_as_it_was_made_for() -> None:
    desk = Desk()
    desk.clock.jump(3600)
    desk.discharge()
    desk.clock.jump(-3600)
    assert desk.pass_by(5) == [("bess-1", b"400")]
    desk.reads("bess-1", b"400")
    assert desk.pass_by(54) == []
    assert desk.pass_by(3) == [("bess-1", b"0")]


def test_what_the_broker_has_kept_of_a_read_back_does_not_show_that_an_order_is_obeyed() -> None:
    desk = Desk()
    desk.reads("bess-1", b"400", retain=True)
    desk.discharge(lasts_s=600)
    desk.pass_by()
    desk.broker.stop()
    desk.pass_by()
    desk.broker.start()  # without the gateway: the agent hears what it told before
    desk.pass_by(2)
    assert desk.obeyed is None
    desk.reads("bess-1", b"400")
    desk.pass_by()
    assert desk.obeyed == 1


def test_what_the_broker_has_kept_of_a_read_back_does_not_show_that_a_point_was_handed_back() -> None:
    desk = Desk()
    desk.reads("bess-1", b"0", retain=True)
    desk.discharge()
    desk.pass_by()
    desk.reads("bess-1", b"400")
    assert desk.pass_by(60) == [("bess-1", b"0")]
    desk.broker.stop()
    desk.broker.start()
    desk.pass_by(1000)
    assert desk.pass_by(170) == [("bess-1", b"0")]


def test_what_an_order_from_before_the_start_no_longer_speaks_of_is_handed_back() -> None:
    desk = Desk()
    desk.cool(1, h1=24.0, h2=24.0)
    desk.pass_by()
    desk.agent._bus.close()  # it is killed
    desk.cool(2, h1=24.0)
    desk.start()
    assert ("ahu-h2", b'{"value": null, "priority": 15}') in desk.pass_by()


def test_what_is_left_is_obeyed_no_more_and_handed_back_until_the_gateway_shows_that_it_took_it() -> None:
    desk = Desk()
    desk.discharge()
    desk.pass_by()
    desk.reads("bess-1", b"400")
    desk.pass_by()
    desk.agent.leave()
    desk.discharge(seq=2)
    assert desk.pass_by(11) == [("bess-1", b"0"), ("bess-1", b"0")]
    assert desk.agent.handing == ("gw/bess-1/set",)
    desk.reads("bess-1", b"0")
    assert desk.pass_by(20) == []
    assert desk.agent.handing == ()
