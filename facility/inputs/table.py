"""Tables a planner hands in: CSV or Parquet, read as they are, and the instants written in them.

A row is counted as an editor shows it: the header is row 1, the first row of data is row 2 (in Parquet too).
Nothing is filled in here: what cannot be read is a `Fault` that names file, row and column.
"""

from __future__ import annotations

import csv
import difflib
import io
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from facility.errors import Fault, InputError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TIME = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?"
OFFSET = r".*[T ].*(?:Z|[+-]\d{2}(?::?\d{2})?)"
ISO_REMEDY = "write ISO 8601, such as 2023-07-02T13:00:00+02:00"


def read_table(path: str) -> pd.DataFrame:
    """Read the file: columns of text (CSV) or of their own type (Parquet), indexed by row number; blank lines are dropped.

    Raises InputError, in one sentence, for whatever is not a readable table with a header and at least one row.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise refused(path, f"cannot be read: {(error.strerror or str(error)).lower()}", "give a CSV or Parquet file") from None
    except ValueError as error:
        raise refused(repr(path), f"is no file name: {error}", "give a CSV or Parquet file") from None
    parquet = data.startswith(b"PAR1") or Path(path).suffix.lower() in {".parquet", ".pq"}
    frame = _parquet(path, data) if parquet else _csv(path, data)
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise refused(f"{path}, row 1", f"column {', '.join(twice)} is there twice", "give each column a name of its own")
    if frame.empty:
        raise refused(path, "has a header and no rows", "give a file with rows")
    return frame


def _csv(path: str, data: bytes) -> pd.DataFrame:
    import pandas as pd

    if not data.strip():
        raise refused(path, "is empty", "give a file with a header and rows")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise refused(path, "is neither UTF-8 text nor Parquet", "give a CSV file in UTF-8, or a Parquet file")
    try:
        names = [name.strip() for name in next(csv.reader(io.StringIO(text)), [])]
    except csv.Error as error:
        raise refused(f"{path}, row 1", f"is no header: {error}", "begin with a header") from None
    if not any(names):
        raise refused(path, "begins with a blank line", "begin with a header")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text), header=None, skiprows=1, names=range(len(names)), index_col=False,
                dtype=str, keep_default_na=False, skip_blank_lines=False,
            )  # fmt: skip
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame({at: [] for at in range(len(names))}, dtype=str)
    except pd.errors.ParserWarning:
        raise refused(f"{path}, row 2", "has more fields than the header", "quote fields that contain commas") from None
    except pd.errors.ParserError as error:
        what = str(error).rsplit("C error: ", 1)[-1].strip()
        raise refused(path, f"is not regular CSV: {what}", "quote fields that contain commas") from None
    frame = frame.fillna("")
    frame.columns = pd.Index(names)
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    return frame.loc[(frame != "").any(axis=1)]


def _parquet(path: str, data: bytes) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_parquet(io.BytesIO(data), engine="pyarrow")
        for at in range(frame.shape[1]):
            frame.iloc[:, at].to_numpy()  # text is decoded only when it is looked at
    except Exception:
        raise refused(path, "is not readable as Parquet", "write the file again, or give a CSV file") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas stores an index last; on paper it is the first column
        frame = frame.reset_index()
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    return frame


def refused(where: str, found: str, remedy: str) -> InputError:
    """Return the error of a single fault."""
    return InputError(Fault(where, found, remedy))


def place(path: str, row: int, column: str) -> str:
    """Say where a cell stands."""
    return f"{path}, row {row}, column {column}"


def nearest(name: str, names: Collection[str]) -> str:
    """Say which names may have been meant, or all there are."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return f"nearest: {', '.join(near)}" if near else f"it has: {', '.join(names) or 'none'}"


def text(column: pd.Series) -> pd.Series:
    """Return the cells as stripped text; "" where there is nothing."""
    return column.astype("str").str.strip().fillna("")


def numbers(column: pd.Series) -> NDArray[np.float64]:
    """Return the cells as numbers; NaN where there is no number."""
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


@dataclass(frozen=True)
class Times:
    """Instants of one column: UTC where `aware`, else as the writer's clock showed them. NaT where the cell is empty."""

    value: NDArray[np.datetime64]
    aware: bool
    faults: tuple[Fault, ...] = ()


def parse_times(path: str, column: pd.Series) -> Times:
    """Read ISO 8601 times, all with an offset or all without one; unreadable and mixed ones are faults."""
    import pandas as pd

    name = str(column.name)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return Times(column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]"), aware=True)
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return Times(column.to_numpy().astype("datetime64[us]"), aware=False)
    cells = text(column)
    offset = cells.str.fullmatch(OFFSET).to_numpy(dtype=bool)
    shaped = cells.str.fullmatch(rf"{TIME}(?:Z|[+-]\d{{2}}(?::?\d{{2}})?)?").to_numpy(dtype=bool)
    parsed = pd.to_datetime(cells.where(shaped, None), format="ISO8601", utc=True, errors="coerce")
    value = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    filled = (cells != "").to_numpy()
    faults = [
        Fault(place(path, int(column.index[at]), name), f"{cells.iloc[at]!r} is not a time", ISO_REMEDY)
        for at in map(int, np.flatnonzero(np.isnat(value) & filled))
    ]
    aware = bool(offset[filled][0]) if filled.any() else True
    if (odd := np.flatnonzero((offset != aware) & filled & ~np.isnat(value))).size:
        found = f"{cells.iloc[odd[0]]!r} has {'no' if aware else 'an'} offset, unlike the rows above"
        faults.append(Fault(place(path, int(column.index[odd[0]]), name), found, "write every time with its offset, or none"))
    return Times(value, aware, tuple(faults))


def zone(timezone: str, said_by: str = "--timezone") -> ZoneInfo:
    """Return the IANA zone of that name; InputError where there is none."""
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise refused(said_by, f"{timezone!r} is not an IANA time zone", "give one such as Europe/Berlin") from None


def localise(path: str, column: pd.Series, local: NDArray[np.datetime64], timezone: str, *, in_order: bool) -> Times:
    """Turn wall-clock times of `timezone` into UTC.

    An hour that the clock skips is a fault. One that it shows twice is told apart by the rows' order where `in_order` and
    both passes are there, else it is a fault.
    """
    import pandas as pd

    index, clock, known = pd.DatetimeIndex(local), zone(timezone), ~np.isnat(local)
    first, second = (
        index.tz_localize(clock, ambiguous=np.full(len(local), dst), nonexistent="NaT")
        .tz_convert("UTC")
        .tz_localize(None)
        .to_numpy()
        for dst in (True, False)
    )
    utc, twice = first.copy(), np.flatnonzero(known & (first != second) & ~np.isnat(first))
    never = np.flatnonzero(known & np.isnat(first))
    guessed: list[int] = []
    for run in np.split(twice, np.flatnonzero(np.diff(twice) > 1) + 1):
        back = np.flatnonzero(np.diff(local[run]) <= np.timedelta64(0)) + 1
        if in_order and len(back) == 1:
            utc[run[back[0] :]] = second[run[back[0] :]]
        else:
            guessed.extend(run[:1] if in_order else run)

    def blame(at: int, found: str) -> Fault:
        return Fault(place(path, int(column.index[at]), str(column.name)), f"{index[at]} {found} in {timezone}", ISO_REMEDY)

    faults = [blame(at, "does not exist") for at in map(int, never)] + [blame(at, "came twice") for at in map(int, guessed)]
    return Times(utc.astype("datetime64[us]"), aware=True, faults=tuple(faults))
