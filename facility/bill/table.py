"""Table: a bill's lines as columns, for CSV and Parquet. Money is in whole cents; what it was unrounded stands beside it in Parquet."""

from __future__ import annotations

import csv
import io
from typing import Any

from facility.bill.billed import FIGURES, Billed
from facility.bill.reckon import ITEMS

WHO = ("tenant", "kind", "workload", "contract", "pool")


def columns(bill: Billed) -> dict[str, list[Any]]:
    """The lines of all accounts, by column; the site's own have no tenant."""
    currency = bill.site.currency.lower()
    lines = [line for account in bill.accounts for line in account.lines]
    found: dict[str, list[Any]] = {name: [getattr(line, name) for line, _ in lines] for name in WHO}
    found |= {name: [entry.figures[name] for _, entry in lines] for name in FIGURES}
    found |= {f"{item}_{currency}": [bill.money(entry.units[item]) for _, entry in lines] for item in ITEMS}
    found[f"total_{currency}"] = [bill.money(entry.total) for _, entry in lines]
    found[f"unrounded_{currency}"] = [entry.unrounded for _, entry in lines]
    return found


def as_csv(bill: Billed) -> bytes:
    """A row for each line."""
    told = columns(bill)
    told.pop(f"unrounded_{bill.site.currency.lower()}")
    money = {name for name in told if name.endswith(f"_{bill.site.currency.lower()}")}
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(told)
    texts = [[f"{value:.{bill.digits}f}" for value in values] if name in money else values for name, values in told.items()]
    writer.writerows(zip(*texts, strict=True))
    return stream.getvalue().encode()


def as_parquet(bill: Billed) -> bytes:
    """The same with what money was unrounded."""
    import pyarrow as pa
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns(bill)), sink)
    return bytes(sink.getvalue().to_pybytes())
