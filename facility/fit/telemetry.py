"""Telemetry: what was recorded, as columns of numbers over time.

Two forms are read. Long, as `facility history --out` writes it: `point, time, value, quality`, of which only what was good is taken.
Wide: a column `time` or `timestamp_utc`, or none, and a column for each quantity, of other names where `names` says so.

| quantity, a column                                     | unit          | for                          |
|--------------------------------------------------------|---------------|------------------------------|
| `cap_w`                                                | W             | operating points             |
| `power_w`, of one GPU                                  | W             | operating points, idle draw  |
| `throughput`, of one GPU                               | any, the same | operating points             |
| `curve`, the kind of work                              | -             | operating points             |
| `run`, whose throughput is counted in its own unit     | -             | operating points             |
| `util_pct`                                             | %             | idle draw                    |
| a sensor's key, such as `site/cooling/chiller/power_kw` | the sensor's | cooling plants and halls     |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facility.errors import Fault, InputError
from facility.inputs.table import localise, nearest, numbers, parse_times, read_table, refused, text
from facility.verdict import Verdict
from models.horizon import Floats

if TYPE_CHECKING:
    import pandas as pd

LONG = {"point", "time", "value", "quality"}
TIMES = ("time", "timestamp_utc")


@dataclass(frozen=True)
class Track:
    """One quantity: its values, and when each was measured, s since 1970, rising; NaN throughout where nobody says when."""

    at_s: Floats
    value: Floats


@dataclass(frozen=True)
class Telemetry:
    """What files say: `tracks` by quantity; `rows` are those of wide files that have no sensor's key, as columns of equal length."""

    files: tuple[str, ...]
    tracks: Mapping[str, Track]
    rows: Mapping[str, Floats]
    curves: NDArray[np.str_]
    """The kind of work of each of `rows`, as an id; empty text where nobody says."""
    runs: NDArray[np.str_]
    """The run of each of `rows`; empty text where nobody says."""

    def column(self, name: str) -> Floats | None:
        """A column of `rows`; None where no file has it."""
        return self.rows.get(name)


ROWS = ("cap_w", "power_w", "throughput", "util_pct")
WORDS = ("curve", "run")
NO_ID = re.compile(r"[^a-z0-9]+")


def read_telemetry(files: Sequence[str], names: Mapping[str, str], timezone: str | None) -> Telemetry:
    """Read the files; `names` says how they call our quantities. InputError names file, row and column of what cannot be read."""
    tracks: dict[str, list[Track]] = {}
    rows: dict[str, list[Floats]] = {name: [] for name in ROWS}
    curves: list[NDArray[np.str_]] = []
    runs: list[NDArray[np.str_]] = []
    for file in files:
        frame = _renamed(file, read_table(file), names)
        if LONG.issubset(frame.columns):
            for name, part in frame[_good(frame)].groupby("point", observed=True):
                _add(tracks, str(name), _seconds(file, part["time"], timezone), numbers(part["value"]))
            continue
        at_s = next((_seconds(file, frame[name], timezone) for name in TIMES if name in frame.columns), None)
        for name in frame.columns:
            if "/" in name and at_s is not None:
                _add(tracks, name, at_s, numbers(frame[name]))
        if any(name in frame.columns for name in ROWS):
            for name in ROWS:
                rows[name].append(_cells(file, frame, name))
            curves.append(np.array([NO_ID.sub("-", said.lower()).strip("-") for said in _said(frame, "curve")], dtype=np.str_))
            runs.append(np.array(_said(frame, "run"), dtype=np.str_))
        elif not any("/" in name for name in frame.columns) or at_s is None:
            remedy = "name its columns as ours are, or say --column OURS=THEIRS: " + ", ".join((*ROWS, "hall/asset_type/asset/point"))
            raise refused(f"{file}, row 1", f"has no column that says anything ({', '.join(map(str, frame.columns[:8]))})", remedy)
    joined = {name: _joined(parts) for name, parts in tracks.items()}
    whole = {name: np.concatenate(parts) for name, parts in rows.items() if parts and not all(np.isnan(part).all() for part in parts)}
    said = (np.concatenate(parts) if parts else np.empty(0, dtype=np.str_) for parts in (curves, runs))
    return Telemetry(tuple(files), joined, whole, *said)


def _renamed(file: str, frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Give columns our names; one that no file has is a fault of who named it."""
    known = {theirs: ours for ours, theirs in names.items()}
    missing = [theirs for theirs in known if theirs not in frame.columns]
    if missing and len(missing) == len(known):
        remedy = nearest(missing[0], [str(name) for name in frame.columns])
        raise InputError(Fault(f"--column {known[missing[0]]}={missing[0]}", f"{file} has no such column", remedy))
    ours = [name for theirs, name in known.items() if theirs in frame.columns and name in frame.columns and name != theirs]
    return frame.drop(columns=ours).rename(columns=known)  # what is named goes before what bears the name


def _good(frame: pd.DataFrame) -> NDArray[np.bool_]:
    said = text(frame["quality"]).str.lower()
    return np.asarray(said.isin([Verdict.GOOD.value, "", "1", "192"]) & np.isfinite(numbers(frame["value"])))


def _seconds(file: str, column: pd.Series, timezone: str | None) -> Floats:
    times = parse_times(file, column)
    if not times.aware and not times.faults:
        if timezone is None:
            raise refused(f"{file}, column {column.name}", "times have no offset", "say whose clock they show: --timezone ZONE")
        times = localise(file, column, times.value, timezone, in_order=True)
    if times.faults:
        raise InputError(*times.faults[:20])
    at_s = times.value.astype("datetime64[us]").astype(np.int64) / 1e6
    return np.where(np.isnat(times.value), np.nan, at_s)


def _cells(file: str, frame: pd.DataFrame, name: str) -> Floats:
    """The numbers of a column; NaN where it is empty, or not there. A cell that is neither is a fault."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    value = numbers(frame[name])
    said = text(frame[name])
    if (wrong := np.flatnonzero(~np.isfinite(value) & ~said.str.lower().isin(["", "nan"]).to_numpy())).size:
        at = int(wrong[0])
        raise refused(f"{file}, row {frame.index[at]}, column {name}", f"{said.iloc[at]} is not a number", "mend it, or leave it empty")
    return value


def _said(frame: pd.DataFrame, name: str) -> list[str]:
    return text(frame[name]).tolist() if name in frame.columns else [""] * len(frame)


def _add(tracks: dict[str, list[Track]], name: str, at_s: Floats, value: Floats) -> None:
    known = np.isfinite(at_s) & np.isfinite(value)
    if known.any():
        tracks.setdefault(name, []).append(Track(at_s[known], value[known]))


def _joined(parts: Sequence[Track]) -> Track:
    at_s, value = np.concatenate([part.at_s for part in parts]), np.concatenate([part.value for part in parts])
    order = np.argsort(at_s, kind="stable")
    return Track(at_s[order], value[order])
