"""Demand files: how many GPUs services need, a column `CONTRACT_gpus` for each contract that the file speaks of."""

from __future__ import annotations

from datetime import datetime

from facility.inputs.series import Quantity, Series, read_series
from facility.inputs.table import nearest, read_table, refused
from facility.site import Site

SUFFIX = "_gpus"


def read_demand(path: str, site: Site, *, start: datetime, end: datetime, timezone: str | None) -> dict[str, Series]:
    """Read the GPUs that contracts need over `[start, end)`, by contract; other columns are left alone.

    Raises InputError for a column of no contract with GPUs, for a file with none, and for what `read_series` refuses.
    """
    firm = [name for name, contract in site.contracts.items() if contract.gpus]
    columns = [str(name) for name in read_table(path).columns if str(name).endswith(SUFFIX)]
    if not columns:
        remedy = f"name a column after a contract, such as {firm[0] if firm else 'CONTRACT'}{SUFFIX}"
        raise refused(f"{path}, row 1", f"has no column that ends in {SUFFIX}", remedy)
    found: dict[str, Series] = {}
    for column in columns:
        contract = column.removesuffix(SUFFIX)
        if contract not in firm:
            said = f"column {column}: the site has no contract {contract!r} with GPUs ({nearest(contract, firm)})"
            raise refused(f"{path}, row 1", said, "name the column after one, or leave it out")
        wanted = Quantity("demand", column, column, "gpus", 0, site.contracts[contract].gpus)
        found[contract] = read_series(f"{path}:{column}", wanted, start=start, end=end, timezone=timezone, currency=site.currency)
    return found
