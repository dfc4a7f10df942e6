"""What was decided and sent follows from what the journal says was known, to the same bytes; what was altered does not.

On a bus in memory with the real solver; the site is that of `test_daemon`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from facility.bus.messages import BatteryDesired, encode
from facility.bus.topics import Topics
from facility.cli import app
from facility.daemon.guard.cuts import Cut
from facility.daemon.guard.given import Given
from facility.daemon.guard.places import AtWorst, Carrier, Grid, Hall, Place
from facility.daemon.question import UNHEARD, Question
from facility.daemon.recording.kept import KeptAnswer, KeptCycle, KeptForecast, KeptRental
from facility.daemon.recording.kept_cuts import KeptCut, KeptGiven, KeptPlace, cut_of, given_of, kept_cut, kept_given
from facility.daemon.recording.logbook import KeptOrder, KeptRuling
from facility.daemon.ruling import Ruling
from facility.daemon.sending.orders import Stamp
from facility.daemon.situation import Situation
from facility.decide import Decided
from facility.decision import BatteryOrder, Decision, PoolCaps
from facility.forecast import Forecast
from facility.journal import chain
from facility.journal.cycles import packed, unpacked
from facility.journal.journal import Journal
from facility.journal.pieces import named
from facility.rental.rental import Rental
from facility.replay.cycles import kept_in, why_not
from facility.replay.sendings import Ruled, orders_again
from tests.facility.test_account import VERSION_1
from tests.facility.test_actuate import SITE as CHARGED
from tests.facility.test_daemon import NOW, SITE, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A daemon through most of its life: plans, commands, a manual mode, a meter above the limit, a restart, fallback caps."""
    house = House(tmp_path / "journal.sqlite")
    tele = "tele/site/meter/main/import_kw"

    def metered(kw: float) -> None:
        house.clock.advance(20)
        house.say(tele, {"value": kw, "timestamp": int(house.clock.now().timestamp() * 1000)})
        house.daemon.upkeep.guard_s -= 1
        house.settle()

    house.say("job/j/spec", {"submit": NOW, "gpus": 2, "work_gpu_h": 4, "deadline": "2026-07-02T00:00:00Z", "pool": "p"})
    house.daemon.cycle()
    house.order("pool/h/p", "cap_w", 250, id="x-1")
    house.clock.advance(60)
    house.daemon.cycle()
    house.order("site", "manual", id="x-2")
    house.clock.advance(60)
    house.say("override/site/clear", {"id": "x-2", "by": "ann"})
    metered(3.0)
    metered(4.4)
    metered(4.4)
    house.daemon.cycle()
    house.kill()
    house.open()
    house.daemon.start()
    house.clock.advance(300)
    house.daemon.cycle()
    house.clock.advance(2000)
    house.settle()
    yield house
    house.kill()


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["replay", str(path), *options])


def told(path: Path, *options: str) -> Any:
    return json.loads(run(path, "--json", *options).stdout)


def rechain(path: Path, table: str, n: int, **columns: Any) -> None:
    """Alter a row and compute the whole chain anew, as one may who can write the file."""
    with closing(sqlite3.connect(path)) as db:
        for column, value in columns.items():
            db.execute(f"UPDATE {table} SET {column} = ? WHERE n = ?", (value, n))
        before = chain.ZERO
        for row in db.execute(f"SELECT n, {chain.CHAINED[table]} FROM {table} ORDER BY n").fetchall():
            before = chain.linked(before, row[0], row[1:])
            db.execute(f"UPDATE {table} SET hash = ? WHERE n = ?", (before, row[0]))
        db.execute("UPDATE chain SET newest_hash = ? WHERE name = ?", (before, table))
        db.commit()


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def test_everything_that_was_sent_is_computed_again_to_the_same_bytes_while_the_daemon_runs(house: House) -> None:
    found = told(house.path)
    assert found["differences"] == []
    assert (found["cycles"], found["identical"]) == (4, 4)
    assert found["solved"] == 4
    assert found["orders"] >= 8
    kept = [json.loads(unpacked(ruling)) for (ruling,) in rows(house.path, "SELECT ruling FROM sending") if ruling]
    assert {ruling["origin"] for ruling in kept} == {"plan", "goes_on", "fallback"}
    assert {ruling["manner"] for ruling in kept} >= {"ruled", "cut"}
    said = run(house.path)
    assert said.exit_code == 0
    assert "4 cycles, 4 identical" in said.stdout


def test_every_order_that_was_heard_is_in_the_record(house: House) -> None:
    published = {payload for payload in house.broker.retained.values() if b"valid_until" in payload and b'"seq"' in payload}
    recorded = {bytes(order["payload"]) for (messages,) in rows(house.path, "SELECT messages FROM sending")
                for order in msgspec.json.decode(unpacked(messages), type=list[dict[str, msgspec.Raw]])}  # fmt: skip
    assert published
    assert published <= recorded


def test_whatever_a_decision_may_depend_on_has_a_place_in_the_record() -> None:
    def names(*kinds: type) -> set[str]:
        return {field.name for kind in kinds for field in fields(kind)}

    assert names(Question, Situation) - {"made"} <= names(KeptCycle) | {"site"}
    assert names(Forecast) == names(KeptForecast)
    assert names(Rental) == names(KeptRental)
    assert names(Decided) - {"edges"} <= names(KeptAnswer)
    assert names(Ruling) <= names(KeptRuling)
    assert (names(Cut), names(Given)) == (names(KeptCut), names(KeptGiven))
    assert names(Carrier, AtWorst, Hall, Grid) - {"site", "name"} <= names(KeptPlace, Carrier, Hall)


CARRIER = Carrier("feeder main", ("main",), 5.0, {"p": 1.02}, {"p": 0.5}, frozenset({"p"}))


@pytest.mark.parametrize("place", [Grid(SITE), CARRIER, AtWorst(CARRIER, 4.9, {"p": 3.0}), Hall("hall h", {"p": 0.7})])
def test_what_the_guard_holds_down_is_kept_whatever_the_place(place: Place) -> None:
    cut = Cut(place, 0.1, 0.2, (PoolCaps("p", 250),), frozenset({"j"}), frozenset(), "why")
    given = Given(place, 4.5, (frozenset({"p"}), frozenset()), frozenset({"j"}), "why")
    told = msgspec.json.encode((kept_cut(cut), kept_given(given)))
    kept = msgspec.json.decode(told, type=tuple[KeptCut, KeptGiven])
    assert (cut_of(kept[0], SITE), given_of(kept[1], SITE)) == (cut, given)


@pytest.mark.parametrize(
    ("answer", "made_by", "says"),
    [
        (KeptAnswer(reason=UNHEARD), "0.1.0", "the broker did not answer"),
        (KeptAnswer(reason="the planner failed: OSError: no"), "0.1.0", "the planner failed"),
        (KeptAnswer(reason="no certified plan within 20 s: it took too long, after 20.0 s"), "0.1.0", "its time was over"),
        (KeptAnswer("piece"), "0.0.9", "it was made by facility 0.0.9"),
    ],
)
def test_what_cannot_come_out_the_same_again_is_told_and_not_solved(house: House, answer: KeptAnswer, made_by: str, says: str) -> None:
    kept = kept_in(house.journal.cycles(1)[0])
    assert kept is not None
    assert why_not(kept, whichever=False) == ""
    assert says in why_not(replace(kept, answer=answer, facility=made_by), whichever=False)
    assert why_not(replace(kept, facility="0.0.9"), whichever=True) == ""


def test_cycles_of_an_older_store_are_counted_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
    Journal(path).close()
    said = run(path)
    assert said.exit_code == 0
    assert "3 cycles, 0 identical, 3 of an older version" in said.stdout


def test_only_the_newest_cycles_or_those_of_a_time_are_computed_again_and_none_solved_unless_asked(house: House) -> None:
    newest = told(house.path, "--cycles", "1", "--no-solve")
    assert (newest["cycles"], newest["solved"]) == (1, 0)
    assert newest["unsolved"] == {"it was not asked for": 1}
    assert told(house.path, "--from", "2026-07-01T12:01Z", "--to", "2026-07-01T12:02Z")["cycles"] == 1


def test_a_row_that_was_changed_breaks_the_chain(house: House) -> None:
    with closing(sqlite3.connect(house.path)) as db:
        db.execute("UPDATE sending SET at_ms = at_ms + 1 WHERE n = 2")
        db.commit()
    said = run(house.path, "--no-solve")
    assert said.exit_code == 1
    assert "the chain of sendings breaks at row 2" in said.stdout


def test_a_decision_that_was_altered_with_its_hashes_does_not_follow_from_its_inputs(house: House) -> None:
    (ruling,) = (json.loads(unpacked(it)) for (it,) in rows(house.path, "SELECT ruling FROM sending WHERE n = 1"))
    with closing(sqlite3.connect(house.path)) as db:
        (bytes_,) = db.execute("SELECT bytes FROM piece WHERE name = ?", (ruling["decision"],)).fetchone()
        decision = json.loads(unpacked(bytes_))
        decision["pools"][0]["cap_w"] += 50
        altered = msgspec.json.encode(decision)
        db.execute("INSERT INTO piece VALUES (?, 1, ?)", (named(altered), packed(altered)))
        db.commit()
    rechain(house.path, "sending", 1, ruling=packed(msgspec.json.encode(ruling | {"decision": named(altered)})))
    said = run(house.path, "--no-solve")
    assert said.exit_code == 1
    assert "breaks" not in said.stdout
    assert "decision.pools[0].cap_w was recorded as" in said.stdout


def test_an_order_that_was_altered_with_its_hashes_does_not_follow_from_its_decision(house: House) -> None:
    n, messages = next((n, unpacked(told)) for n, told in rows(house.path, "SELECT n, messages FROM sending") if b'"cap_w":' in unpacked(told))
    orders = json.loads(messages)
    order = next(order for order in orders if "cap_w" in order["payload"])
    order["payload"]["cap_w"] += 10
    rechain(house.path, "sending", n, messages=packed(msgspec.json.encode(orders)))
    assert [it["field"] for it in told(house.path, "--no-solve")["differences"]] == [f"{order['topic']}.cap_w"]


@pytest.mark.parametrize(
    ("power_kw", "comes_to"),
    [(2.0, (False, True)), (0.0, (True, True)), (1.5, (True, True)), (2.5, (False, False)), (-1.0, (False, False))],
)
def test_a_battery_that_charges_less_as_yet_is_a_step_on_the_way(power_kw: float, comes_to: tuple[bool, bool]) -> None:
    """Whether the order is a step, and whether it is computed again to the same bytes."""
    decided = Decision(NOW, NOW + timedelta(minutes=15), (PoolCaps("p", 200), PoolCaps("q", 200)), batteries=(BatteryOrder("b", 2.0),))
    order = BatteryDesired(power_kw=power_kw, **Stamp(7, NOW, decided.until, None).fields())
    kept = KeptOrder("facility/v1/s/battery/b/desired", msgspec.Raw(encode(order)))
    ((step, found),) = orders_again("here", (kept,), Ruled(decided, CHARGED, None), Topics(CHARGED.bus.root, CHARGED.id))
    assert (step, found is None) == comes_to


def test_a_plan_that_was_altered_does_not_follow_from_what_was_asked(house: House) -> None:
    ((inputs,),) = rows(house.path, "SELECT inputs FROM cycle WHERE n = 1")
    kept = json.loads(unpacked(inputs))
    kept["forecast"]["price_per_mwh"] = [-price for price in kept["forecast"]["price_per_mwh"]]
    kept["snapshot"]["jobs"][0]["gpus"] = 1
    rechain(house.path, "cycle", 1, inputs=packed(msgspec.json.encode(kept)))
    found = told(house.path)
    assert found["identical"] == 3
    assert {it["field"].partition("[")[0] for it in found["differences"]} == {"plan"}


def test_a_lost_piece_is_told_and_the_rest_computed(house: House) -> None:
    with closing(sqlite3.connect(house.path)) as db:
        (ruling,) = (json.loads(unpacked(it)) for (it,) in rows(house.path, "SELECT ruling FROM sending WHERE n = 1"))
        db.execute("DELETE FROM piece WHERE name = ?", (ruling["here"]["snapshot"],))
        db.commit()
    found = told(house.path, "--no-solve")
    assert found["differences"]
    assert all("is missing" in it["computed"] for it in found["differences"])
    assert found["sendings"] > 3
