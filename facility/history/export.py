"""A history as a file: CSV or Parquet with the columns point, time (UTC), value and quality; a gap has no value."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from facility.errors import Fault, InputError
from facility.history.reading import Value

COLUMNS: Final = ("point", "time", "value", "quality")
AT_ONCE: Final = 100_000


def export(values: Iterable[Value], file: Path) -> int:
    """Write values into `file`, Parquet or CSV by its ending, whole or not at all; tells how many. Raises InputError."""
    if file.suffix not in {".csv", ".parquet"}:
        raise InputError(Fault("--out", f"{str(file)!r} ends in neither .csv nor .parquet", "name a file that does"))
    partial = file.with_name(f"{file.name}.part")
    try:
        rows = (_parquet if file.suffix == ".parquet" else _csv)(values, partial)
        partial.replace(file)
    except OSError as error:
        raise InputError(Fault("--out", f"{file} cannot be written ({error})", "name a file in a folder that can be")) from error
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _csv(values: Iterable[Value], file: Path) -> int:
    rows = 0
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for point, at_ms, value, quality in values:
            writer.writerow((point, iso(at_ms), "" if value is None else repr(value), quality))
            rows += 1
    return rows


def _parquet(values: Iterable[Value], file: Path) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = (pa.dictionary(pa.int32(), pa.string()), pa.timestamp("ms", "UTC"), pa.float64(), pa.dictionary(pa.int32(), pa.string()))
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    rows = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for part in _parts(values):
            columns = [pa.array(column, kind) for column, kind in zip(zip(*part, strict=True), kinds, strict=True)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            rows += len(part)
    return rows


def _parts(values: Iterable[Value]) -> Iterator[list[Value]]:
    rest = iter(values)
    while part := list(itertools.islice(rest, AT_ONCE)):
        yield part


def iso(at_ms: int) -> str:
    """An instant as text, UTC, to the ms.

    >>> iso(1_787_382_000_250)
    '2026-08-22T07:00:00.250Z'
    """
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
