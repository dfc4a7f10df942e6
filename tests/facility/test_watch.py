"""Doubts become one alarm per cause and one topic that lists them. The site is that of `test_quality`, or one of 500 sensors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.alarms.naming import slug
from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import Alarm, Quality, decode
from facility.clock import ManualClock
from facility.daemon.recording.account import Account
from facility.daemon.telling.alarms import Alarms
from facility.daemon.telling.causes import Groups, causes
from facility.daemon.telling.watch import LISTED, MOST, Watch
from facility.journal.journal import Journal
from facility.sensors import sensors
from facility.site import Site
from facility.snapshot import Snapshot
from facility.verdict import Doubt, Verdict
from tests.facility.test_quality import BUS_A, HALL, METER, RAW, SITE, UPS, A, B

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
HALLS = [f"h{i}" for i in range(25)]
LARGE = Site.model_validate(RAW | {
    "halls": dict.fromkeys(HALLS, RAW["halls"]["h"]),
    "pools": {f"{name}-p{i}": RAW["pools"]["a"] | {"hall": name} for name in HALLS for i in range(19)},
})  # fmt: skip
"""25 halls of 19 pools, each with a thermometer: 500 sensors, and those of the feeders."""


def doubt(key: str, kind: str = "silent", verdict: Verdict = Verdict.MISSING, since: datetime = NOW, **more: Any) -> Doubt:
    return Doubt(key, verdict, kind, "not heard", since, **more)


class Room:
    """A watch on a bus in memory, and what it tells there."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.site, self.broker, self.at = site, MemoryBroker(), NOW
        self.journal = Journal(folder / "journal.sqlite", clock=ManualClock(NOW))
        bus = self.broker.connect()
        self.watch = Watch(site, bus, Alarms(site, bus, Account(self.journal)))
        self.batches: dict[str, frozenset[str]] = {}

    def look(self, seconds: float, *doubts: Doubt) -> set[str]:
        """Let `seconds` pass with these doubts; the alarms that stand."""
        for _ in range(round(seconds)):
            self.at += timedelta(seconds=1)
            self.watch.look(Snapshot(self.at, doubts={d.key: d for d in doubts}), self.batches)
        return set(self.alarms())

    def alarms(self) -> dict[str, Alarm]:
        retained = self.broker.retained.items()
        return {topic.rpartition("/")[2]: decode(payload, Alarm) for topic, payload in retained if "/alarm/" in topic}

    def told(self) -> Quality:
        return decode(self.broker.retained["facility/v1/s/quality/current"], Quality)


@pytest.fixture
def room(tmp_path: Path) -> Any:
    made = Room(tmp_path, SITE)
    yield made
    made.journal.close()


@pytest.fixture
def large(tmp_path: Path) -> Any:
    made = Room(tmp_path, LARGE)
    yield made
    made.journal.close()


def test_a_sensor_that_is_lost_is_an_alarm_after_fifteen_seconds_and_until_a_minute_after_it_is_back(room: Room) -> None:
    assert room.look(15, doubt(A)) == set()
    assert room.look(1, doubt(A)) == {"lost-h-pool-a-it-power-kw"}
    alarm = room.alarms()["lost-h-pool-a-it-power-kw"]
    assert (alarm.severity, alarm.place) == ("alarm", A)
    assert "gateway" in alarm.remedy
    room.look(59)
    room.look(1, doubt(A))
    assert room.look(60) != set(), "it came back for a second: no chatter"
    assert room.look(1) == set()


def test_a_leap_that_the_next_reading_confirms_is_no_alarm_and_one_that_cannot_be_is(room: Room) -> None:
    assert room.look(100, doubt(A, "unconfirmed", Verdict.SUSPECT)) == set()
    for _ in range(5):
        assert room.look(10, doubt(HALL, "leap", Verdict.SUSPECT)) == set()
        assert room.look(10) == set()
    assert room.look(20, doubt(HALL, "leap", Verdict.SUSPECT)) == {"leap-h-hall-h-air-temperature-c"}


def test_what_others_still_tell_is_a_warning(room: Room) -> None:
    room.look(16, doubt(METER, measured=True, stands_in="what hangs on it"))
    (alarm,) = room.alarms().values()
    assert (alarm.severity, alarm.cause) == ("warning", f"{METER}: not heard; what hangs on it is used instead")


def test_a_balance_is_one_alarm_whomever_it_blames(room: Room) -> None:
    blamed = [doubt(key, "balance", Verdict.SUSPECT, about="ups", measured=True) for key in (UPS, BUS_A, A)]
    assert room.look(20, *blamed) == {"balance-ups"}
    assert room.alarms()["balance-ups"].cause.startswith(f"{A}, {BUS_A}, {UPS}: ")


def test_five_hundred_sensors_that_fall_silent_within_half_a_minute_are_one_root_alarm(large: Room) -> None:
    keys = [sensor.key for sensor in sensors(LARGE)]
    assert len(keys) > 500
    for share in (0.2, 0.5, 0.7, 1.0):
        assert large.look(10, *map(doubt, keys[: round(share * len(keys))])) == set()
    assert large.look(10, *map(doubt, keys)) == {"sensors-site"}
    assert large.look(300, *map(doubt, keys)) == {"sensors-site"}
    (alarm,) = large.alarms().values()
    assert f"all {len(keys)} sensors of site are lost since 12:00:00" in alarm.cause
    assert large.look(300, *map(doubt, keys[:3])) == {"sensors-site"}
    assert large.look(62) == set()


@pytest.mark.parametrize("place", ["hall h7", "feeder bus-a", "gateway facility/v1/s/tele/h3/batch/gw-1"])
def test_what_is_lost_together_names_what_it_has_in_common(large: Room, place: str) -> None:
    members = dict(Groups(LARGE).members)
    gateway = frozenset(sensor.key for sensor in sensors(LARGE) if sensor.hall == "h3")
    large.batches = {"facility/v1/s/tele/h3/batch/gw-1": gateway}
    members["gateway facility/v1/s/tele/h3/batch/gw-1"] = gateway
    large.look(20, *map(doubt, members[place]))
    (alarm,) = large.alarms().values()
    assert alarm.place == place
    assert f"all {len(members[place])} sensors of {place} are lost" in alarm.cause


def test_a_fifth_of_a_hall_is_one_alarm_that_says_how_many(large: Room) -> None:
    gone = [f"h7/pool/h7-p{i}/it_power_kw" for i in range(4)]
    assert large.look(20, *map(doubt, gone)) == {"sensors-hall-h7"}
    assert "4 of 20 sensors of hall h7 are lost" in large.alarms()["sensors-hall-h7"].cause


def test_more_causes_than_a_person_can_read_are_told_in_one(large: Room) -> None:
    stuck = [doubt(f"{name}/hall/{name}/air_temperature_c", "stuck", Verdict.SUSPECT) for name in HALLS]
    standing = large.look(20, *stuck)
    assert len(standing) == MOST + 1
    assert "sensors-more" in standing
    assert large.look(62) == set()


def test_the_topic_counts_by_verdict_and_lists_the_worst_and_oldest_first(room: Room) -> None:
    room.look(3, doubt(A, since=NOW), doubt(HALL, "stuck", Verdict.SUSPECT), doubt(B, since=NOW - timedelta(hours=1), value=40.0))
    told = room.told()
    assert (told.counts["missing"], told.counts["suspect"], told.counts["good"]) == (2, 1, len(sensors(SITE)) - 3)
    assert [(it.key, it.verdict, it.kind) for it in told.not_good] == [
        (B, "missing", "silent"), (A, "missing", "silent"), (HALL, "suspect", "stuck"),
    ]  # fmt: skip
    assert (told.not_good[0].value, told.not_good[0].since, told.left_out) == (40.0, NOW - timedelta(hours=1), 0)
    room.look(3)
    assert room.told().not_good == ()


def test_the_topic_is_told_when_it_changes_every_two_seconds_at_most_and_again_after_an_outage(room: Room) -> None:
    ear = room.broker.connect()
    ear.subscribe("facility/v1/s/quality/current")
    for second in range(20):
        room.look(1, *[doubt(A)] * (second % 2))
    room.look(60, doubt(A))
    heard = 0
    while ear.receive(0.0) is not None:
        heard += 1
    assert 6 <= heard <= 10 + 3
    room.broker.stop(forget=True)
    room.broker.start()
    room.watch.republish()
    assert room.told().not_good[0].key == A


def test_the_topic_of_a_large_site_without_any_sensor_fits_into_a_message(large: Room) -> None:
    keys = [sensor.key for sensor in sensors(LARGE)]
    large.look(1, *(doubt(key, stands_in="the sum of its caps, and its hosts", value=35.123456789) for key in keys))
    told = large.told()
    assert (len(told.not_good), told.left_out) == (LISTED, len(keys) - LISTED)
    assert len(msgspec.json.encode(told)) < 64 * 1024


def test_alarms_of_sensors_with_long_names_keep_ids_of_their_own() -> None:
    names = {slug(f"lost {'h' * 60}/pool/{'p' * 60}/it_power_kw-{i}") for i in range(10)}
    assert len(names) == 10
    assert max(map(len, names)) <= 64


def test_what_was_awaited_only_is_no_cause() -> None:
    assert list(causes(Groups(SITE), {A: doubt(A, "awaited")}, {})) == []


def test_sensors_that_come_in_one_batch_are_known_together(room: Room) -> None:
    from facility.telemetry import Telemetry

    telemetry = Telemetry(SITE)
    for point in ("pool/a/it_power_kw", "pool/b/it_power_kw", "hall/h/air_temperature_c", "pool/a/unknown"):
        values = {"pool/a/it_power_kw": 1.0, "hall/h/air_temperature_c": 24.0, point: 24.0}
        payload = msgspec.json.encode({"values": values})
        telemetry.accept(Message("facility/v1/s/tele/h/batch/gw-1", payload), NOW)
    assert telemetry.batches == {"facility/v1/s/tele/h/batch/gw-1": {A, B, HALL}}
