"""The history in both places that it may lie in, SQLite and a real PostgreSQL: the same questions, the same answers."""

from __future__ import annotations

import csv
import json
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import psycopg
import pytest
from pyarrow import parquet

from facility.clock import ManualClock, SystemClock, milliseconds
from facility.commands.history import Span, run_history
from facility.config import load_site
from facility.errors import InputError
from facility.history import reading, tables
from facility.history import recorder as recorder_room
from facility.history.database import Database
from facility.history.export import export, iso
from facility.history.place import default_place, open_database, open_history
from facility.history.reading import Reader, Summary, Value
from facility.history.recorder import Recorder
from facility.history.retention import DAY_MS, Retention
from facility.history.store import Flat, History
from facility.journal.store import StoreBusyError, StoreFault
from facility.site import Retention as Kept
from tests import postgres

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
T0 = int(NOON.timestamp() * 1000)
MINUTE, HOUR = 60_000, 3_600_000
SITES = (f"site-{n}" for n in count())

Place = Callable[[], tuple[str, str]]
"""A new place of history, and the site that it is of."""


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    if postgres.find("initdb") is None:
        pytest.skip("no PostgreSQL here")
    with closing(postgres.Server()) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    site = next(SITES)
    if request.param == "sqlite":
        return default_place(site, tmp_path), site
    return request.getfixturevalue("server").url, site


@pytest.fixture
def history(place: tuple[str, str]) -> Iterator[History]:
    with closing(open_history(*place)) as made:
        yield made


@pytest.fixture
def database(place: tuple[str, str]) -> Iterator[Database]:
    with closing(open_database(*place, read_only=True)) as made:
        yield made


def readings(*rows: tuple[int, str, float | None, str]) -> Flat:
    return [entry for row in rows for entry in row]


def everything(database: Database) -> list[Value]:
    reader = Reader(database)
    return list(reader.values(reader.points(), T0 - 400 * DAY_MS, T0 + 400 * DAY_MS))


def aged(history: History, now_ms: int, kept: Kept | None = None) -> int:
    """Age it until nothing is old; tells in how many slices."""
    retention, slices = Retention(history, kept or Kept()), 0
    while retention.slice(now_ms):
        slices += 1
    return slices


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- what goes in comes out ----------------------------------------------------------------------------------------------


def test_what_is_written_is_read_by_time_with_its_verdict(history: History, database: Database) -> None:
    history.write(readings((T0 + 5, "h/b", 2.5, "good"), (T0, "h/a", None, "quality"), (T0, "h/b", 1e9, "range")))
    history.write(readings((T0 + 9, "h/c", -1.0, "good")))
    assert everything(database) == [
        Value("h/a", T0, None, "quality"), Value("h/b", T0, 1e9, "range"), Value("h/b", T0 + 5, 2.5, "good"), Value("h/c", T0 + 9, -1.0, "good"),
    ]  # fmt: skip


def test_of_two_readings_of_one_instant_the_later_holds_unless_only_the_earlier_is_believed(
    history: History, database: Database
) -> None:
    history.write(readings((T0, "a", 1.0, "good"), (T0, "a", 2.0, "good"), (T0, "a", 3.0, "range"), (T0, "b", 4.0, "range")))
    assert [v.value for v in everything(database)] == [2.0, 4.0]
    history.write(readings((T0, "a", 5.0, "old"), (T0, "b", 6.0, "good")))
    assert [v.value for v in everything(database)] == [2.0, 6.0]


def test_a_transaction_of_many_sizes_loses_nothing(history: History, database: Database) -> None:
    for size in (1, 499, 500, 501, 1250):
        history.write(readings(*((T0 + size * 10_000 + i, f"p{i % 7}", float(i), "good") for i in range(size))))
    assert len(everything(database)) == 1 + 499 + 500 + 501 + 1250


def test_what_is_dense_and_what_is_sparse_are_read_in_parts(history: History, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", 10)
    dense = [(T0 + i, "a", float(i), "good") for i in range(500)]
    sparse = [(T0 + i * DAY_MS, "a", float(i), "good") for i in range(1, 50)]
    history.write(readings(*dense, *sparse))
    assert [(v.at_ms, v.value) for v in everything(database)] == [(at_ms, value) for at_ms, _, value, _ in (*dense, *sparse)]


def test_points_keep_their_numbers_over_a_restart(place: tuple[str, str]) -> None:
    for start in range(3):
        with closing(open_history(*place)) as history:
            history.write(readings((T0 + start, "old", float(start), "good"), (T0 + start, f"new-{start}", 9.0, "good")))
    with closing(open_database(*place, read_only=True)) as database:
        assert [(v.point, v.value) for v in everything(database) if v.point == "old"] == [("old", 0.0), ("old", 1.0), ("old", 2.0)]
        assert Reader(database).points("new-*") == ("new-0", "new-1", "new-2")


def test_what_fails_leaves_nothing_behind_not_even_the_names(history: History, database: Database) -> None:
    with pytest.raises((StoreFault, ValueError, sqlite3.Error, OverflowError)):
        history.write(readings((T0, "a", 1.0, "good"), (2**70, "b", 1.0, "good")))
    history.write(readings((T0, "b", 2.0, "good")))
    assert everything(database) == [Value("b", T0, 2.0, "good")]


def test_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path, server: postgres.Server) -> None:
    path, site = tmp_path / "h.sqlite", next(SITES)
    for place in (str(path), server.url):
        with closing(open_history(place, site)) as history:
            history.write(readings((T0, "a", 1.0, "good")))
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    with psycopg.connect(server.url, autocommit=True) as db:
        db.execute(f"UPDATE facility_{site.replace('-', '_')}.version SET n = 99")
    with pytest.raises(InputError, match=r"version 99, newer than 1.*use the newer facility"):
        open_history(str(path), site)
    later = open_history(server.url, site)  # it is connected when it is first needed
    with pytest.raises(InputError, match=r"version 99, newer than 1.*use the newer facility"):
        later.write(readings((T0, "a", 1.0, "good")))
    assert list(tmp_path.glob("*.corrupt-*")) == []


# --- it grows old --------------------------------------------------------------------------------------------------------


def test_an_old_reading_is_in_a_mean_and_nothing_is_counted_twice(history: History, database: Database) -> None:
    rows = [(T0 + i * 1000, point, float(i), "good" if i % 10 else "range") for i in range(3600) for point in ("a", "b")]
    history.write(readings(*rows))
    reader = Reader(database)
    fresh = reader.summaries(["a"], T0, T0 + HOUR, MINUTE)
    good = [float(i) for i in range(3600) if i % 10]
    assert fresh == [Summary("a", 3240, 360, 1.0, sum(good) / 3240, 3599.0, 3599.0, T0 + 3_599_000, 0, 60)]
    assert aged(history, T0 + 7 * DAY_MS + HOUR // 2) > 1
    half = reader.summaries(["a"], T0, T0 + HOUR, MINUTE)
    assert half == fresh
    assert len(everything(database)) == 2 * (30 + 1800)
    aged(history, T0 + 7 * DAY_MS + HOUR)
    assert [v for v in everything(database) if v.point == "a"][1] == Value("a", T0 + MINUTE, pytest.approx(90.0), "good")
    aged(history, T0 + 90 * DAY_MS + HOUR)
    assert len(everything(database)) == 2 * 4
    (old,) = reader.summaries(["a"], T0, T0 + HOUR, 15 * MINUTE)
    assert (old.good, old.bad, old.low, old.high, old.missing) == (3240, 360, 1.0, 3599.0, 0)
    assert old.mean == pytest.approx(fresh[0].mean)
    aged(history, T0 + 1826 * DAY_MS + HOUR)
    assert everything(database) == []


def test_a_late_reading_joins_the_mean_that_its_minute_has_already(history: History, database: Database) -> None:
    now_ms = T0 + 8 * DAY_MS
    history.write(readings((T0, "a", 2.0, "good"), (T0 + 1, "a", None, "quality")))
    aged(history, now_ms)
    history.write(readings((T0 + 30_000, "a", 6.0, "good"), (T0 + 40_000, "b", 1.0, "range")))
    aged(history, now_ms)
    assert everything(database) == [Value("a", T0, 4.0, "good"), Value("b", T0, None, "missing")]
    (both,) = Reader(database).summaries(["a"], T0, T0 + MINUTE, MINUTE)
    assert (both.good, both.bad, both.low, both.high) == (2, 1, 2.0, 6.0)


def test_rows_of_one_instant_age_together_however_many_they_are(history: History, database: Database) -> None:
    history.write(readings(*((T0, f"p{i}", 1.0, "good") for i in range(300)), (T0 + 1, "p0", 3.0, "good")))
    assert history.condense(0, T0 + 1, 100)
    assert not history.condense(0, T0 + 1, 100)
    assert len(everything(database)) == 301
    assert history.condense(0, T0 + MINUTE, 100)
    assert len(everything(database)) == 300


def test_a_slice_takes_as_many_rows_as_fit_its_time() -> None:
    asked: list[int] = []
    clock_s = 0.0

    class Slow:
        def condense(self, level: int, before_ms: int, most: int) -> bool:
            nonlocal clock_s
            clock_s += most * 1e-4  # 10,000 rows a second: 200 fit
            asked.append(most)
            return True

    retention = Retention(Slow(), Kept(), lambda: clock_s)  # type: ignore[arg-type]
    for _ in range(20):
        retention.slice(T0)
    assert asked[0] == 1000
    assert asked[-1] == pytest.approx(200, abs=2)


# --- questions -----------------------------------------------------------------------------------------------------------


def test_a_gap_is_a_gap(history: History, database: Database) -> None:
    history.write(readings((T0, "a", 1.0, "good"), (T0 + 3 * MINUTE, "a", 5.0, "good"), (T0 + MINUTE, "a", 9.0, "range")))
    reader = Reader(database)
    found = list(reader.means(["a"], T0, T0 + 4 * MINUTE, MINUTE))
    assert [(v.value, v.quality) for v in found] == [(1.0, "good"), (None, "missing"), (None, "missing"), (5.0, "good")]
    (summary,) = reader.summaries(["a"], T0, T0 + 4 * MINUTE, MINUTE)
    assert (summary.missing, summary.slots, summary.good, summary.bad) == (2, 4, 2, 1)


def test_a_point_that_is_silent_in_the_span_is_told_too(history: History, database: Database) -> None:
    history.write(readings((T0, "a", 1.0, "good"), (T0 - HOUR, "b", 1.0, "good")))
    told = Reader(database).summaries(["a", "b"], T0, T0 + 5 * HOUR, HOUR)
    assert told[1] == Summary("b", 0, 0, None, None, None, None, None, 5, 5)


def test_what_is_old_has_the_resolution_it_has(history: History, database: Database) -> None:
    history.write(readings((T0, "a", 1.0, "good"), (T0 + 50 * DAY_MS, "a", 1.0, "good"), (T0 + 99 * DAY_MS, "a", 1.0, "good")))
    aged(history, T0 + 100 * DAY_MS)
    reader = Reader(database)
    ends = [T0, T0 + 50 * DAY_MS, T0 + 99 * DAY_MS]
    assert [reader.resolution_ms(end, end + HOUR, 10_000) for end in ends] == [15 * MINUTE, MINUTE, 10_000]


def test_a_file_holds_what_was_asked_for_with_its_gaps(history: History, database: Database, tmp_path: Path) -> None:
    history.write(readings((T0, "a", 1.5, "good"), (T0 + 1, "a", None, "quality"), (T0 + 2, "b", 0.1, "good")))
    reader = Reader(database)
    values = list(reader.values(reader.points(), T0, T0 + HOUR))
    assert export(values, tmp_path / "f.csv") == export(values, tmp_path / "f.parquet") == 3
    with (tmp_path / "f.csv").open(encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["point", "time", "value", "quality"]
    assert rows[1:3] == [["a", "2026-07-01T12:00:00.000Z", "1.5", "good"], ["a", "2026-07-01T12:00:00.001Z", "", "quality"]]
    table = parquet.read_table(tmp_path / "f.parquet").to_pylist()
    assert table[2]["time"] == NOON.replace(microsecond=2000)
    assert [(row["point"], row["value"], row["quality"]) for row in table] == [("a", 1.5, "good"), ("a", None, "quality"), ("b", 0.1, "good")]
    with pytest.raises(InputError, match=r"neither \.csv nor \.parquet"):
        export(values, tmp_path / "f.txt")


def test_others_read_while_one_writes_and_a_second_writer_is_told(place: tuple[str, str], history: History) -> None:
    history.write(readings((T0, "a", 1.0, "good")))
    program = """
import sys
from facility.history.place import open_database
from facility.history.reading import Reader
print([v.value for v in Reader(open_database(*sys.argv[1:], read_only=True)).values(["a"], 0, 2 * 10**12)])
"""
    readers = [subprocess.Popen([sys.executable, "-c", program, *place], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for n in range(1, 50):
        history.write(readings((T0 + n, "a", float(n), "good")))
    assert [reader.communicate(timeout=20)[0][:4] for reader in readers] == ["[1.0", "[1.0"]
    with pytest.raises((StoreBusyError, StoreFault), match=r"another process|writes this store"):
        open_history(*place).write(readings((T0, "a", 1.0, "good")))


def test_there_must_be_something_to_read(place: tuple[str, str]) -> None:
    with pytest.raises((InputError, StoreFault), match=r"nothing to read here|no history"):
        Reader(open_database(*place, read_only=True))


# --- the recorder: nobody waits for it -----------------------------------------------------------------------------------


def noted(recorder: Recorder, rows: int, begin: int = 0) -> None:
    for i in range(begin, begin + rows):
        recorder.note("a", T0 + i, float(i), "good")
    recorder.hand_over()


def test_what_is_handed_over_is_written_within_a_second_and_the_rest_at_the_end(place: tuple[str, str]) -> None:
    recorder = Recorder(open_history(*place), Kept(), ManualClock(NOON))
    noted(recorder, 100)
    until(lambda: recorder.written == 100, 1.5)
    recorder.note("a", T0 + 100, 1.0, "good")
    recorder.close()
    with closing(open_database(*place, read_only=True)) as database:
        assert len(everything(database)) == 101
    assert (recorder.written, recorder.dropped, recorder.trouble) == (101, 0, "")


def test_what_is_too_much_is_dropped_and_told_and_nobody_waited(tmp_path: Path) -> None:
    history, gate = open_history(str(tmp_path / "h.sqlite"), "s"), threading.Event()
    write = history.write
    history.write = lambda rows: (gate.wait(20), write(rows))[1]  # type: ignore[method-assign, func-returns-value]
    recorder = Recorder(history, Kept(), ManualClock(NOON), most_waiting=1000)
    began = time.monotonic()
    for n in range(5):
        noted(recorder, 400, 400 * n)
    assert time.monotonic() - began < 0.5
    assert recorder.dropped == 1200
    assert "1200 readings were not recorded" in recorder.trouble
    gate.set()
    recorder.close()
    assert recorder.written == 800


def test_a_database_that_does_not_answer_does_not_keep_the_process_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder_room, "CLOSING_S", 0.2)
    history, gate = open_history(str(tmp_path / "h.sqlite"), "s"), threading.Event()
    history.write = lambda _rows: gate.wait(20)  # type: ignore[method-assign, assignment, return-value]
    recorder = Recorder(history, Kept(), ManualClock(NOON))
    noted(recorder, 7)
    recorder.close()
    assert "7 readings are lost" in caplog.text
    gate.set()


def test_old_readings_are_aged_while_new_ones_come(place: tuple[str, str]) -> None:
    clock = ManualClock(NOON)
    recorder = Recorder(open_history(*place), Kept(), clock)
    noted(recorder, 1000)
    until(lambda: recorder.written == 1000)
    clock.advance(8 * 86_400)
    with closing(open_database(*place, read_only=True)) as database:
        until(lambda: len(everything(database)) == 1, 5)
    recorder.close()


def test_a_full_disk_costs_no_reading_once_there_is_room_again(tmp_path: Path) -> None:
    recorder = Recorder(open_history(str(tmp_path / "h.sqlite"), "s"), Kept(), ManualClock(NOON))
    noted(recorder, 10)
    until(lambda: recorder.written == 10)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "h.sqlite-wal").stat().st_size + 4096, before[1]))
        noted(recorder, 20_000, 10)
        until(lambda: bool(recorder.trouble))
        assert recorder.written == 10
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    until(lambda: not recorder.trouble)
    recorder.close()
    assert (recorder.written, recorder.dropped) == (20_010, 0)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_is_away_or_dies_costs_no_reading_that_it_had_not_taken(server: postgres.Server, how: signal.Signals) -> None:
    site = next(SITES)
    recorder = Recorder(open_history(server.url, site), Kept(), ManualClock(NOON))
    noted(recorder, 10)
    until(lambda: recorder.written == 10)
    server.stop(how)
    if how == signal.SIGQUIT:  # it is the upkeep that sees it first
        until(lambda: "PostgreSQL" in recorder.trouble)
    noted(recorder, 10, 10)
    until(lambda: "PostgreSQL" in recorder.trouble)
    server.start()
    until(lambda: not recorder.trouble and recorder.written == 20)
    recorder.close()
    with closing(open_database(server.url, site, read_only=True)) as database:
        found = [v.value for v in everything(database)]
    assert found[-10:] == [float(i) for i in range(10, 20)]
    assert how == signal.SIGQUIT or len(found) == 20  # a crash may take the last second with it


@pytest.mark.parametrize("damage", ["garbage", "torn", "page"])
def test_a_damaged_file_is_put_aside_and_recording_goes_on(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "h.sqlite"
    with closing(open_history(str(path), "s")) as history:
        history.write(readings(*((T0 + i, f"p{i % 50}", float(i), "good") for i in range(5000))))
    sound = path.read_bytes()
    path.write_bytes({
        "garbage": b"no database" * 500, "torn": sound[: len(sound) // 2], "page": sound[:4096] + b"\xff" * (len(sound) - 4096),
    }[damage])  # fmt: skip
    recorder = Recorder(open_history(str(path), "s"), Kept(), ManualClock(NOON))
    noted(recorder, 10, 10_000)
    until(lambda: recorder.written == 10)
    recorder.close()
    with closing(open_database(str(path), "s", read_only=True)) as database:
        assert len(everything(database)) == 10
    assert len(list(tmp_path.glob("h.sqlite.corrupt-*"))) >= 1


def test_a_killed_process_loses_no_more_than_its_last_second(tmp_path: Path) -> None:
    program = """
import sys, time
from facility.clock import SystemClock
from facility.history import Recorder, open_history
from facility.site import Retention
recorder = Recorder(open_history(sys.argv[1], "s"), Retention(), SystemClock())
n = 0
while True:
    recorder.note("a", int(time.time() * 1000), float(n), "good")
    recorder.hand_over()
    n += 1
    time.sleep(0.002)
"""
    child = subprocess.Popen([sys.executable, "-c", program, tmp_path / "h.sqlite"])
    time.sleep(1.6)
    killed_ms = int(time.time() * 1000)
    child.send_signal(signal.SIGKILL)
    child.wait()
    with closing(open_database(str(tmp_path / "h.sqlite"), "s", read_only=True)) as database:
        found = list(Reader(database).values(["a"], 0, killed_ms + HOUR))
    assert killed_ms - 1000 < found[-1].at_ms


def test_the_verdict_of_a_reading_that_is_believed_has_the_number_that_the_tables_say(history: History, database: Database) -> None:
    history.write(readings((T0, "a", 1.0, "range"), (T0, "b", 1.0, tables.GOOD)))
    assert database.read("SELECT n FROM verdict WHERE name = ?", tables.GOOD) == [(0,)]


# --- the command line ----------------------------------------------------------------------------------------------------


def test_the_last_of_it_is_until_now_or_the_newest_reading_of_a_clock_that_is_ahead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, ahead_ms = str(tmp_path / "h.sqlite"), milliseconds(SystemClock().now()) + 3 * HOUR
    with closing(open_history(place, "demo")) as history:
        history.write(readings((ahead_ms - HOUR // 2, "a", 1.0, "good"), (ahead_ms, "a", 3.0, "good")))
    assert run_history("site_configs/demo.yaml", (), place, "*", Span(last="1h"), None, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["to"] == iso(ahead_ms + 1)
    assert [(point["good"], point["mean"]) for point in told["points"]] == [(2, 2.0)]


@pytest.mark.parametrize(("words", "says"), [
    (("--last", "1h", "--from", "2026-07-01"), "stands beside --from"),
    (("--from", "2026-07-02", "--to", "2026-07-01"), "is not before --to"),
    (("--points", "nothing/*"), "no point matches"),
    (("--out", "f.txt"), "neither .csv nor .parquet"),
    (("--history", "missing.sqlite"), "nothing to read here"),
    (("--history", "postgresql://nobody@127.0.0.1:1/none"), "PostgreSQL"),
    (("--from", "1971-01-01", "--every", "1s"), "intervals"),
])  # fmt: skip
def test_what_cannot_be_asked_is_told(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    with closing(open_history(str(tmp_path / "h.sqlite"), "demo")) as history:
        history.write(readings((T0, "a", 1.0, "good")))
    site = load_site("site_configs/demo.yaml")
    given = dict(zip(words[::2], words[1::2], strict=True))
    span = Span(given.get("--from"), given.get("--to"), given.get("--last"), given.get("--every"))
    place, out = given.get("--history", str(tmp_path / "h.sqlite")), given.get("--out")
    with pytest.raises(InputError, match=re.escape(says)):
        run_history("site_configs/demo.yaml", (), place, given.get("--points", "*"), span, out and tmp_path / out, as_json=True)
    assert site.history == Kept()
