"""Series files: what is read is what stands there, and what would have to be guessed is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facility.errors import InputError
from facility.inputs.series import CARBON, OUTDOOR, PRICE, SOLAR, Quantity, Series, read_series

DAY = datetime(2023, 7, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> str:
        (tmp_path / "file.csv").write_text(text, encoding="utf-8")
        return str(tmp_path / "file.csv")

    return write


def read(
    argument: str,
    quantity: Quantity = PRICE,
    *,
    start: datetime = DAY,
    end: datetime = DAY + 24 * HOUR,
    timezone: str | None = None,
    currency: str = "EUR",
) -> Series:
    return read_series(argument, quantity, start=start, end=end, timezone=timezone, currency=currency)


def hourly(hours: int = 24, start: datetime = DAY, step: timedelta = HOUR) -> list[str]:
    return [f"{(start + at * step).strftime('%Y-%m-%dT%H:%M:%SZ')},{at}" for at in range(hours)]


def csv(rows: list[str], header: str = "time,price_eur_per_mwh") -> str:
    return "\n".join([header, *rows]) + "\n"


def refusal(argument: str, **how: object) -> str:
    with pytest.raises(InputError) as caught:
        read(argument, **how)  # type: ignore[arg-type]
    return str(caught.value)


def steps(*hours: float) -> NDArray[np.datetime64]:
    return np.array([np.datetime64("2023-07-02T00:00", "us") + np.timedelta64(int(hour * 3600), "s") for hour in hours])


def by_hour(start: NDArray[np.datetime64], value: NDArray[np.float64]) -> Series:
    begin = start.astype("datetime64[s]")
    return Series("by hand", "eur_per_mwh", begin, (begin.astype(np.int64) + 3600).astype("datetime64[s]"), value)


# --- means


def test_steps_shorter_and_longer_than_the_rows_weigh_by_time(write: Write) -> None:
    series = read(write(csv(hourly())))
    assert series.means(steps(0, 0.25, 1, 3, 5.5)).tolist() == [0.0, 0.0, 1.5, (3 + 4 + 0.5 * 5) / 2.5]
    assert series.mean(DAY + HOUR / 2, DAY + 2 * HOUR) == pytest.approx((0.5 * 0 + 1) / 1.5)


def test_a_step_within_one_row_has_that_very_value() -> None:
    start = np.arange("2023-01-01", "2024-01-01", dtype="datetime64[h]")
    series = by_hour(start, np.full(len(start), 47.65))
    assert set(series.means(np.arange("2023-01-01", "2024-01-01", dtype="datetime64[m]")[::7])) == {47.65}


def test_a_mean_outside_or_across_a_hole_is_refused(write: Write) -> None:
    series = read(write(csv(hourly())))
    for edges in (steps(-1, 1), steps(23, 25)):
        with pytest.raises(InputError, match="no value at"):
            series.means(edges)
    holed = Series("holed", "c", series.start[[0, 5]], series.end[[0, 5]], series.value[[0, 5]])
    with pytest.raises(InputError, match="no value at 2023-07-02T01:00:00Z"):
        holed.mean(DAY, DAY + 6 * HOUR)


@given(st.lists(st.integers(0, 48), min_size=2, unique=True), st.lists(st.floats(-500, 900), min_size=24, max_size=24))
def test_means_conserve_the_integral(halves: list[int], values: list[float]) -> None:
    series = by_hour(steps(*range(24)), np.array(values))
    edges = steps(*(half / 2 for half in sorted(halves)))
    weighed = series.means(edges) @ (np.diff(edges) / np.timedelta64(1, "h"))
    by_hand = sum(values[half // 2] / 2 for half in range(min(halves), max(halves)))
    assert weighed == pytest.approx(by_hand, abs=1e-8)


# --- which column


def test_the_column_of_the_very_name_wins_and_others_are_not_looked_at(write: Write) -> None:
    rows = [f"{row.split(',')[0]},7,junk,{row.split(',')[1]}" for row in hourly()]
    series = read(write(csv(rows, "timestamp_utc,other_eur_per_mwh,note,price_eur_per_mwh")))
    assert series.value[5] == 5.0
    assert series.unit == "eur_per_mwh"
    assert series.name.endswith("file.csv:price_eur_per_mwh")


def test_the_only_column_in_the_unit_is_taken(write: Write) -> None:
    assert read(write(csv(hourly(), "time,avg_ci_g_per_kwh")), CARBON).value[3] == 3.0


def test_several_columns_in_the_unit_are_listed_with_the_way_to_pick_one(write: Write) -> None:
    path = write(csv([row + ",1" for row in hourly()], "time,direct_g_per_kwh,lca_g_per_kwh"))
    said = refusal(path, quantity=CARBON)
    assert "direct_g_per_kwh, lca_g_per_kwh" in said
    assert f"{path}:direct_g_per_kwh" in said
    assert read(path + ":lca_g_per_kwh", CARBON).value[3] == 1.0


def test_a_column_without_a_unit_is_taken_only_when_picked(write: Write) -> None:
    path = write(csv(hourly(), "time,forecast_p50"))
    assert "no column price_eur_per_mwh" in refusal(path)
    assert read(path + ":forecast_p50").value[3] == 3.0


@pytest.mark.parametrize(
    ("column", "quantity"),
    [
        ("price_usd_per_mwh", PRICE), ("price_eur_per_kwh", PRICE), ("temp_f", OUTDOOR),
        ("temp_c", PRICE), ("carbon_kg_per_mwh", CARBON),
    ],
)  # fmt: skip
def test_a_foreign_unit_is_refused_picked_or_not(write: Write, column: str, quantity: Quantity) -> None:
    path = write(csv(hourly(), f"time,{column}"))
    assert "is not the site's" in refusal(f"{path}:{column}", quantity=quantity)
    refusal(path, quantity=quantity)


def test_the_suns_column_may_be_named_for_its_unit_alone(write: Write) -> None:
    rows = [row.split(",")[0] + ",0.5" for row in hourly()]
    assert read(write(csv(rows, "time,kw_per_kwp")), quantity=SOLAR).value[3] == 0.5


def test_a_wet_temperature_is_never_taken_for_a_dry_one(write: Write) -> None:
    assert "no column temp_c" in refusal(write(csv(hourly(), "time,wet_bulb_c")), quantity=OUTDOOR)


def test_a_first_column_that_is_not_time_is_refused_naming_what_is_allowed(write: Write) -> None:
    said = refusal(write(csv(hourly(), "date,price_eur_per_mwh")))
    assert "'date'" in said
    assert "`time` or `timestamp_utc`" in said


def test_a_column_that_is_not_there_is_answered_with_the_nearest(write: Write) -> None:
    assert "nearest: price_eur_per_mwh" in refusal(write(csv(hourly())) + ":price_eur_mwh")


# --- instants


def test_offsets_are_turned_into_utc(write: Write) -> None:
    rows = [f"2023-07-02T{hour:02d}:00:00+02:00,{hour}" for hour in range(24)]
    series = read(write(csv(rows)), start=DAY - 2 * HOUR, end=DAY + 22 * HOUR)
    assert series.start[0] == np.datetime64("2023-07-01T22:00:00")


def test_naive_times_need_a_zone_and_one_that_exists(write: Write) -> None:
    path = write(csv([row.replace("Z", "") for row in hourly()]))
    assert "--timezone" in refusal(path)
    assert "'Mars/Base'" in refusal(path, timezone="Mars/Base")
    assert read(path, timezone="UTC").start[0] == np.datetime64("2023-07-02")


def test_a_naive_column_named_utc_is_not_read_by_another_clock(write: Write) -> None:
    path = write(csv([row.replace("Z", "") for row in hourly()], "timestamp_utc,price_eur_per_mwh"))
    assert "its name says UTC" in refusal(path, timezone="Europe/Berlin")
    assert read(path, timezone="UTC").value[5] == 5.0


def test_a_mix_of_naive_and_aware_times_is_refused_with_its_row(write: Write) -> None:
    rows = hourly()
    rows[4] = rows[4].replace("Z", "")
    assert "row 6, column time: '2023-07-02T04:00:00' has no offset" in refusal(write(csv(rows)), timezone="UTC")


def local_rows(first: datetime, last: datetime, minutes: int = 60) -> list[str]:
    berlin, rows = ZoneInfo("Europe/Berlin"), list[str]()
    while first < last:
        rows.append(f"{first.astimezone(berlin).strftime('%Y-%m-%d %H:%M')},{len(rows)}")
        first += timedelta(minutes=minutes)
    return rows


@pytest.mark.parametrize("minutes", [15, 60])
@pytest.mark.parametrize(("day", "hours"), [("2023-10-29", 25), ("2023-03-26", 23), ("2023-07-02", 24)])
def test_local_days_of_23_24_and_25_hours_come_out_whole(write: Write, day: str, hours: int, minutes: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    end = start + hours * HOUR
    series = read(write(csv(local_rows(start, end, minutes))), start=start, end=end, timezone="Europe/Berlin")
    assert series.value.tolist() == list(range(hours * 60 // minutes))
    assert (series.end[:-1] == series.start[1:]).all()
    assert series.end[-1] == np.datetime64(end.replace(tzinfo=None))


def test_an_autumn_hour_that_is_there_once_is_refused(write: Write) -> None:
    start = datetime(2023, 10, 28, 22, tzinfo=UTC)
    rows = local_rows(start, start + 25 * HOUR)
    del rows[3]
    said = refusal(write(csv(rows)), start=start, end=start + 25 * HOUR, timezone="Europe/Berlin")
    assert "row 4, column time: 2023-10-29 02:00:00 came twice" in said


def test_a_spring_hour_that_does_not_exist_is_refused(write: Write) -> None:
    rows = [f"2023-03-26T{hour:02d}:00,1" for hour in range(24)]
    assert "row 4, column time: 2023-03-26 02:00:00 does not exist" in refusal(write(csv(rows)), timezone="Europe/Berlin")


# --- what is missing


def test_the_last_row_lasts_as_long_as_the_one_before_it(write: Write) -> None:
    assert read(write(csv(hourly()))).mean(DAY + 23.5 * HOUR, DAY + 24 * HOUR) == 23.0


def test_a_file_of_another_day_says_what_it_covers(write: Write) -> None:
    said = refusal(write(csv(hourly())), start=DAY + HOUR, end=DAY + 25 * HOUR)
    assert "covers 2023-07-02T00:00:00Z to 2023-07-03T00:00:00Z" in said
    assert "2023-07-02T01:00:00Z to 2023-07-03T01:00:00Z" in said


@pytest.mark.parametrize("gone", [[7], [7, 8, 9], [7, 9, 11, 13, 15], [1], [1, 3], [22]])
def test_a_missing_row_is_an_error_inside_the_span_and_nowhere_else(write: Write, gone: list[int]) -> None:
    path = write(csv([row for at, row in enumerate(hourly(72)) if at not in gone]))
    assert f"row {gone[0] + 2}, column time: no row between" in refusal(path)
    assert read(path, start=DAY + 24 * HOUR, end=DAY + 72 * HOUR).mean(DAY + 24 * HOUR, DAY + 25 * HOUR) == 24.0


def test_a_file_may_turn_from_hours_to_quarters_but_not_lose_a_row_there(write: Write) -> None:
    rows = hourly(240) + hourly(96, DAY + 240 * HOUR, HOUR / 4)
    how = {"start": DAY + 230 * HOUR, "end": DAY + 264 * HOUR}
    assert len(read(write(csv(rows)), **how).value) == 10 + 96  # type: ignore[arg-type]
    for at in (239, 240, 241, 250, 300):
        assert f"row {at + 2}, column time" in refusal(write(csv(rows[:at] + rows[at + 1 :])), **how)
    hour_of_quarters = rows[:280] + rows[283:]
    assert "rows are 15 min apart" in refusal(write(csv(hour_of_quarters)), **how)


def test_an_hour_now_and_then_among_quarters_is_a_gap_however_long(write: Write) -> None:
    quarters = hourly(192, step=HOUR / 4)
    thinned = quarters[:32] + quarters[32:96:4] + quarters[96:]
    assert "row 35, column time" in refusal(write(csv(thinned)))


@pytest.mark.parametrize(("cell", "said"), [("", "no value"), ("NaN", "nan"), ("inf", "inf"), ("n/a", "n/a"), ("1,5", "fields")])
def test_what_is_no_number_is_refused_in_the_span_only(write: Write, cell: str, said: str) -> None:
    rows = hourly(48)
    rows[30] = rows[30].split(",")[0] + "," + cell
    path = write(csv(rows))
    if "," not in cell:
        assert read(path).value[23] == 23.0
    answer = refusal(path, end=DAY + 48 * HOUR)
    assert said in answer.lower()
    assert "32" in answer


def test_a_day_of_empty_values_is_one_fault(write: Write) -> None:
    rows = [row.split(",")[0] + "," for row in hourly(24)]
    assert "row 2, column price_eur_per_mwh: no value (23 more such rows up to row 25)" in refusal(write(csv(rows)))


@pytest.mark.parametrize(("quantity", "column", "value"), [(PRICE, "price_eur_per_mwh", 47_000), (OUTDOOR, "temp_c", 294.1)])
def test_values_beyond_belief_are_refused_with_a_hint_on_units(
    write: Write, quantity: Quantity, column: str, value: float
) -> None:
    rows = hourly()
    rows[3] = rows[3].split(",")[0] + f",{value}"
    said = refusal(write(csv(rows, f"time,{column}")), quantity=quantity)
    assert f"row 5, column {column}: {value} is not believable" in said
    assert "is it really in" in said


def test_duplicates_and_disorder_are_refused_anywhere_in_the_file(write: Write) -> None:
    rows = hourly(72)
    assert "row 63, column time: 2023-07-04T12:00:00Z is there twice" in refusal(write(csv(rows[:61] + rows[60:])))
    assert "row 63, column time: 2023-07-04T12:00:00Z comes after" in refusal(
        write(csv([*rows[:60], rows[61], rows[60], *rows[62:]]))
    )


def test_rows_are_counted_as_an_editor_does_blank_lines_included(write: Write) -> None:
    rows = hourly()
    rows[6] = "yesterday,6"
    assert "row 10, column time: 'yesterday' is not a time" in refusal(write(csv([*rows[:2], "", "", *rows[2:], "", ""])))
    rows[6] = ",6"
    assert "row 8, column time: no time" in refusal(write(csv(rows)))


# --- what is no table


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"), (b" \n\n", "is empty"), (b"\x00\xff\x13PK", "neither UTF-8 text nor Parquet"), (b"\xff\xfe\xfd", "neither UTF-8"),
        (b"PAR1 and then nothing", "not readable as Parquet"), (b"time,price_eur_per_mwh\n", "no rows"), (b"\n1,2\n", "blank line"),
        (b"time,price_eur_per_mwh\n2023-07-02T00:00Z,1\n", "only one row"), (b"time\n2023-07-02\n", "no column price_eur_per_mwh"),
        (b"time,a,a\n1,2,3\n", "column a is there twice"), (b"time,price_eur_per_mwh\n1,2,3\n", "more fields than the header"),
        (b"time;price_eur_per_mwh\n2023-07-02;1\n", "first column is 'time;price_eur_per_mwh'"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told_in_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    answer = refusal(str(path))
    assert said in answer
    assert "\n" not in answer


def test_missing_files_and_directories_are_told_in_one_sentence(tmp_path: Path) -> None:
    assert "no such file" in refusal(f"{tmp_path}/none.csv:price")
    assert "is a directory" in refusal(str(tmp_path))


def test_parquet_reads_as_csv_does_its_index_being_the_first_column(tmp_path: Path) -> None:
    times = pd.date_range(DAY, periods=24, freq="h", unit="s")
    frame = pd.DataFrame({"price_eur_per_mwh": np.arange(24.0)}, index=pd.Index(times, name="time"))
    path = str(tmp_path / "file.parquet")
    for table in (frame, frame.reset_index(), frame.reset_index().astype({"time": "str"})):
        table.to_parquet(path)
        assert read(path).mean(DAY + 5 * HOUR, DAY + 7 * HOUR) == 5.5
    frame.iloc[4] = np.nan
    frame.to_parquet(path)
    assert "row 6, column price_eur_per_mwh: no value" in refusal(path)
    frame.tz_localize(None).to_parquet(path)
    assert "--timezone" in refusal(path)


def test_three_years_of_hours_are_read_quickly(write: Write) -> None:
    path = write(csv(hourly(26_304)))
    read(path)
    began = perf_counter()
    read(path)
    assert perf_counter() - began < 0.3
