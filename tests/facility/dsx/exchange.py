"""A site in the exchange, on a bus in memory: an ISV that orders, a meter that is told, everything that is heard."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.clock import ManualClock
from facility.daemon.loop import Daemon
from facility.daemon.neighbours.pulse import last_will
from facility.dsx.signature import Signer
from facility.journal.journal import Journal
from facility.site import Site

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
CURVE = {"source": "by hand", "points": [{"cap_w": 100, "draw_w": 100, "speed": 0.2}, {"cap_w": 400, "draw_w": 390, "speed": 1}]}
STATES = "grid/v1/dsx-flex-agent/here/powerstate/status"
BREACHES = "grid/v1/dsx-flex-agent/here/powerbreach"


class Exchange:
    """A site in the exchange: an ISV that orders, a meter that is told, everything that is heard."""

    def __init__(self, folder: Path, **keys: Any) -> None:
        self.isv_key = keys.pop("isv_key", None)
        site = Site.model_validate({
            "id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "grid": {"import_limit_kw": 4},
            "tariff": {"energy_price_per_mwh": 50}, "weather": {"outdoor_by_hour_c": [10] * 24},
            "gpu_models": {"g": {"min_cap_w": 100, "max_cap_w": 400, "idle_w": 50, "curves": {"train": CURVE}}},
            "feeders": {"main": {"rating_kw": 5}}, "halls": {"h": {"feeder": "main"}},
            "pools": {"p": {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": 10}}, "tenants": {"t": {"name": "T"}},
            "contracts": {"c": {"tenant": "t", "kind": "reserved", "pool": "p", "gpus": 8, "curve": "train", "value_per_gpu_h": 2}},
            "jobs": {"curve": "train"}, "control": {"rise_share": 1.0, "rise_pause_s": (0.001, 0.001)},
            "bus": {"profile": "dsx", "dsx": {
                "agent": "here", "feed_tag": "main-a", "integration": "FACILITY",
                "isvs": {"acme-energy": {"keys_file": keys.get("isv_keys")}, "other": {}},
                "infra_agents": {"ima-prod": {}}, "signing_key_file": keys.get("signing_key"),
                "infrastructure_actions": ["SHUTDOWN_NODES", "TRIP_BREAKERS"],
            }},
        })  # fmt: skip
        self.clock, self.heard = ManualClock(NOW), list[Message]()
        self.broker = MemoryBroker(self.clock.now)
        self.ear = self.broker.connect()
        self.ear.subscribe("#", 2)
        self.site, self.folder = site, folder
        self.open()

    def open(self, *, plan: bool = True) -> None:
        self.journal = Journal(self.folder / "journal.sqlite", clock=self.clock)
        self.bus = self.broker.connect(last_will(self.site, "daemon"))
        self.daemon = Daemon(self.site, self.bus, self.journal, self.clock)
        self.woken = 0
        self.daemon.wake = self.wake
        self.daemon.subscribe()
        self.daemon.start()
        self.settle()
        if plan:
            self.daemon.cycle()

    def wake(self) -> None:
        self.woken += 1

    def kill(self) -> None:
        self.bus.vanish()
        self.journal.close()

    def settle(self) -> None:
        while (message := self.bus.receive(0.0)) is not None:
            self.bus.inbox.put(message)
            self.daemon.attend(0.0)
        self.daemon.upkeep.guard_s = self.daemon._look_s = 0.0  # half a second of real time has passed
        self.daemon.attend(0.0)
        while (message := self.ear.receive(0.0)) is not None:
            self.heard.append(message)

    def meter(self, kw: float) -> None:
        self.ear.publish(Message("facility/v1/s/tele/site/meter/main/import_kw", str(kw).encode()))
        self.settle()

    def passes(self, seconds: float, meter_kw: float | None = None) -> None:
        """Let time pass, a plan every 300 s, with the meter spoken of every 5 s."""
        for _ in range(round(seconds / 5)):
            self.clock.advance(5)
            if (self.clock.now() - NOW).total_seconds() % 300 == 0:
                self.daemon.cycle()
            if meter_kw is not None:
                self.meter(meter_kw)
            else:
                self.settle()

    def order(self, *targets: dict[str, Any], isv: str = "acme-energy", retain: bool = False, **more: Any) -> dict[str, Any]:
        """What an ISV sends, written from the standard's text alone."""
        event = {
            "specversion": "1.0.2", "id": str(uuid4()), "source": f"//grid/v1/isv/{isv}", "type": "grid.loadtarget.set.v1",
            "time": self.clock.now().isoformat(), "datacontenttype": "application/json", "subject": "loadtarget",
            "traceparent": f"00-{uuid4().hex}-00f067aa0ba902b7-01", "correlationid": str(uuid4()), "data": {"targets": list(targets)},
        } | more  # fmt: skip
        if self.isv_key is not None and "data" not in more:
            event["data"] = Signer.sign(self.isv_key, json.dumps(event["data"]).encode())
        self.clock.advance(0.001)
        self.ear.publish(Message(f"grid/v1/isv/{isv}/loadtarget/set", json.dumps(event).encode(), qos=1, retain=retain))
        self.settle()
        return event

    def defies(self, cap_w: int) -> None:
        """The pool's agent tells that two of its GPUs enforce more than they were sent."""
        sent = json.loads(self.broker.retained["facility/v1/s/cap/h/p/desired"])
        report = {"timestamp": int(self.clock.now().timestamp() * 1000), "epoch": sent["epoch"], "seq": sent["seq"]}
        report |= {"enforced_cap_w": cap_w, "gpus": ["node-1/0", "node-1/1"]}
        self.ear.publish(Message("facility/v1/s/cap/h/p/reported", json.dumps(report).encode(), qos=1))
        self.settle()

    def since(self, topic: str) -> list[dict[str, Any]]:
        """The events heard on a topic since the last call."""
        found = [json.loads(m.payload) for m in self.heard if m.topic == topic and m.payload]
        self.heard = [m for m in self.heard if m.topic != topic]
        return found

    def states(self) -> list[tuple[str, dict[str, Any]]]:
        """What happened to the feed, and its state, since the last call."""
        feeds = [event["data"]["feeds"]["main-a"] for event in self.since(STATES)]
        return [(feed["event"], feed) for feed in feeds]

    def alarms(self) -> set[str]:
        """Those of the exchange that stand; those of sensors, of which only the meter speaks here, are others."""
        standing = {topic.rpartition("/")[2] for topic in self.broker.retained if "/alarm/" in topic}
        return {alarm for alarm in standing if alarm.startswith(("load-target", "bms"))}

    def cap_w(self) -> int:
        sent = json.loads(self.broker.retained["facility/v1/s/cap/h/p/desired"])
        return max([sent["cap_w"], *(group["cap_w"] for group in sent["groups"])])


def limit(kw: float, start: datetime | None = None, end: datetime | None = None, **more: Any) -> dict[str, Any]:
    interval = {key: at.isoformat() for key, at in (("start_time", start), ("end_time", end)) if at is not None}
    return {"interval": interval, "load_constraint": {"value": kw, "unit": "kilowatt"}} | more


def lived(house: Exchange) -> list[Message]:
    """An order that is kept, then one that the meter does not follow, then none; all that was told."""
    house.passes(10, 3.2)
    house.order(limit(2.0, end=house.clock.now() + timedelta(hours=4)))
    house.passes(10, 1.9)
    house.defies(400)
    house.passes(600, 2.6)
    house.order({"interval": {}, "load_constraint": None})
    house.passes(300, 1.9)
    return [m for m in house.heard if m.topic in {STATES, BREACHES}]


