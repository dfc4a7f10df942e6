"""What `facility status` tells from what is on the bus, and which target a person means."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from facility.bus.interface import Message
from facility.bus.messages import OverrideResult, PlanCurrent
from facility.commands.override import _told
from facility.commands.status import Seen, as_fields, as_lines, gather, next_limit
from facility.commands.targets import complete
from facility.config import load_site
from facility.daemon import upkeep
from facility.errors import InputError
from tests.facility.test_daemon import NOW, ROOT, House

METER = "site/meter/main/import_kw"
DEMO = load_site("site_configs/demo.yaml")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(upkeep, "GUARD_S", 0.0)
    made = House(tmp_path / "journal.sqlite")
    yield made
    made.kill()


def seen(house: House, *more: Message) -> Seen:
    """What a visitor hears: everything retained, and the heartbeat that comes while it listens."""
    visitor = house.broker.connect()
    visitor.subscribe(f"{ROOT}/#", 1)
    house.daemon.rooms.pulse.beat(house.daemon.upkeep.status(house.clock.now()))
    for message in more:
        house.ear.publish(message)
    found: list[Message] = []
    while (message := visitor.receive(0.0)) is not None:
        found.append(message)
    visitor.close()
    return gather(house.site, found)


def test_a_status_tells_mode_reason_caps_overrides_rentals_alarms_and_the_plan(house: House) -> None:
    house.order("pool/h/p", "cap_w", 250, reason="busbar warm")
    start, end = NOW.isoformat(), (NOW + timedelta(hours=2)).isoformat()
    rent = {"id": "r-1", "by": "desk", "tenant": "t", "kind": "spot", "pool": "p", "gpus": 3, "curve": "train", "start": start, "end": end}
    house.say("contract/burst/set", rent)
    house.say("grid/main/limit", {"points": [{"start": (NOW + timedelta(hours=1)).isoformat(), "end": end, "value": 2.0}]})
    house.say("signal/weather", {"points": []})
    house.daemon.cycle()
    house.clock.advance(60)
    told = seen(house, Message(f"{ROOT}/tele/site/meter/main/import_kw", b"2.1"))
    daemon = told.daemon()
    assert daemon is not None
    assert told.plan is not None
    why = "cap 250 W on pool/h/p by ann (priority 8) from 2026-07-01 12:00 until 2026-07-01 12:10 UTC: busbar warm"
    others = "; ".join(f"{key} is substituted since 12:00: not heard yet" for key in ("h/pool/p/it_power_kw", "site/feeder/main/power_kw", METER))
    hint = "see who sends it: times, gaps, unit and range; an empty message withdraws it"
    assert list(as_lines(house.site, daemon, told)) == [
        f"s: NORMAL since 12:00, cycle 1: {daemon.reason}",
        f"import: metered 2.1 kW, planned {told.plan.steps[0].import_kw:.1f} kW, limit 4 kW",
        "next limit: 2 kW from 13:00",
        f"plan {told.plan.plan_id}: 60 s old, until 02 Jul 12:00",
        f"sensors: 3 substituted, 1 missing of 4: site/weather/outdoor/temperature_c is missing since 12:00: not heard yet; {others}",
        f"pool p: 250 W for c (6 GPUs), 250 W for burst (3 GPUs), 250 W else, until 12:15; {why}",
        "contract burst: 3 GPUs of p for t (spot) from 12:00 until 14:00",
        "in force on pool/h/p: a cap of 250 W by ann until 12:10",
        f"warning signal-weather since 12:00: refused: it has no points; what was told before holds (signal/weather); {hint}",
    ]
    fields = as_fields(house.site, daemon, told)
    assert (fields["alive"], fields["mode"], fields["plan_age_s"], fields["caps_w"], fields["metered_kw"]) == (True, "NORMAL", 60, {"p": 250}, 2.1)
    assert fields["next_limit"] == {"kw": 2.0, "from": "2026-07-01T13:00:00Z"}
    assert [override["by"] for override in fields["overrides"]["pool/h/p"]] == ["ann"]
    assert [alarm["id"] for alarm in fields["alarms"]] == ["signal-weather"]
    assert list(fields["contracts"]) == ["burst"]
    assert (fields["sensors"]["counts"]["missing"], fields["sensors"]["not_good"][0]["key"]) == (1, "site/weather/outdoor/temperature_c")


def test_what_is_over_is_not_told(house: House) -> None:
    house.order("pool/h/p", "cap_w", 250)
    empty = [Message(f"{ROOT}/override/pool/h/p/state", b""), Message(f"{ROOT}/alarm/x", b"{"), Message(f"{ROOT}/plan/current", b"")]
    told = seen(house, *empty)
    assert (told.overrides, told.alarms, told.plan) == ({}, {}, None)


def test_one_that_waits_to_take_over_is_told_as_such_and_never_taken_for_the_daemon(house: House) -> None:
    house.daemon.cycle()
    waits = {"instance": "spare", "mode": "standby", "heartbeat": int((NOW + timedelta(minutes=1)).timestamp() * 1000)}
    told = seen(house, Message(f"{ROOT}/svc/spare/status", msgspec.json.encode(waits)))
    daemon = told.daemon()
    assert daemon is not None
    assert (daemon.instance, daemon.mode, told.spares()) == ("daemon", "NORMAL", ("spare",))
    lines = list(as_lines(house.site, daemon, told))
    assert "standby: spare waits to take over" in lines
    assert not [line for line in lines if "stop one of the two" in line]
    assert as_fields(house.site, daemon, told)["standby"] == ["spare"]
    assert house.retained("alarm/two-daemons") is None


def test_a_spare_without_a_daemon_is_told_as_what_it_is(house: House) -> None:
    told = gather(house.site, [Message(f"{ROOT}/svc/spare/status", b'{"instance": "spare", "mode": "standby"}')])
    daemon = told.daemon()
    assert daemon is not None
    assert daemon.mode == "standby"


def test_a_daemon_that_is_gone_and_one_too_many_are_told(house: House) -> None:
    house.daemon.cycle()
    told = seen(house)
    told.beating.add("other")
    daemon = told.daemon()
    assert daemon is not None
    assert "another daemon runs here: other; stop one of the two" in list(as_lines(house.site, daemon, told))
    told.beating.clear()
    assert any(line.startswith("no heartbeat in 2.5 s") for line in as_lines(house.site, daemon, told))
    assert as_fields(house.site, daemon, told)["alive"] is False
    assert Seen().daemon() is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("site", "site"),
        ("h1-a", "pool/h1/h1-a"),
        ("pool/h1-a", "pool/h1/h1-a"),
        ("pool/h1/h1-a", "pool/h1/h1-a"),
        ("h2", "hall/h2"),
        ("main", "grid/main"),
        ("job/whatever", "job/whatever"),
    ],
)
def test_a_target_is_completed(typed: str, meant: str) -> None:
    assert complete(DEMO, typed, "override") == meant


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("h1-c", "did you mean pool/h1/h1-b or pool/h1/h1-a"),
        ("pool/h1/h1a", "did you mean pool/h1/h1-a"),
        ("zzz", "one of site, hall/h1"),
    ],
)
def test_a_target_that_is_none_is_told_with_what_may_have_been_meant(typed: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        complete(DEMO, typed, "override")
    assert caught.value.faults[0].remedy.startswith(remedy)


def test_a_name_of_two_things_must_be_whole() -> None:
    twins = DEMO.model_copy(update={"halls": {**DEMO.halls, "main": DEMO.halls["h1"]}})
    with pytest.raises(InputError, match="may be hall/main or grid/main"):
        complete(twins, "main", "override")


@pytest.mark.parametrize(
    ("status", "until", "code"),
    [("accepted", NOW, 0), ("clamped", NOW, 0), ("cleared", None, 0), ("duplicate", NOW, 0),
     ("duplicate", None, 1), ("rejected", None, 1), ("expired", None, 1)],
)  # fmt: skip
def test_the_exit_code_says_whether_the_command_acts(status: str, until: object, code: int) -> None:
    assert _told(OverrideResult(id="a", status=status, until=until), as_json=True) == code  # type: ignore[arg-type]


def test_the_next_limit_begins_where_the_site_files_window_does_though_the_plans_steps_are_hours() -> None:
    """16:25 to 17:25 in Berlin is one step, in which 770 kW hold from 17:00 on."""
    start = datetime(2026, 7, 15, 12, 25, tzinfo=UTC)
    steps = [{"time": (start + timedelta(hours=i)).isoformat(), "hours": 1, "import_kw": 600, "it_kw": 500, "import_limit_kw": 810 if i < 2 else 770}
             for i in range(4)]  # fmt: skip
    plan = msgspec.convert({"plan_id": "p", "issued_at": start, "site": "demo", "currency": "EUR", "mode": "NORMAL", "steps": steps}, PlanCurrent)
    assert next_limit(DEMO, plan, start) == (770, datetime(2026, 7, 15, 15, tzinfo=UTC))
    assert next_limit(DEMO, plan, start + timedelta(hours=2)) is None
    assert next_limit(DEMO, None, start) is None
