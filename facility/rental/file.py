"""Contracts as a file: CSV or Parquet, a row each, columns by the names of the site file's keys.

    contract,tenant,kind,gpu_model,gpus,curve,start,end,tier,floor_speed,price_per_gpu_h
    orbit-train,nordlab,reserved,a100,64,pretrain-7b,2026-08-01T00:00+02:00,2026-09-01T00:00+02:00,T2,0.5,1.4

`contract, tenant, kind, gpus, start` and `end` at least, and `pool` or `gpu_model`, of which the pool with the most free GPUs is taken, or that
where a rental of the name stands already; a cell that is empty says nothing. Twenty-four numbers in one cell are separated by semicolons. A
column of another name is an error, for it may be a floor that was promised. Each row must fit beside the site's contracts and the other rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from facility.errors import Fault, InputError
from facility.inputs.table import localise, nearest, parse_times, place, read_table, text
from facility.rental.fit import free_gpus, misfits, of_another_model, other_gpus, pools_of, roomiest
from facility.rental.rental import Rental
from facility.site import Contract, Site
from facility.site.tenancy import RENTED

if TYPE_CHECKING:
    import pandas as pd

NEEDED: Final = ("contract", "tenant", "kind", "gpus", "start", "end")
KNOWN: Final = (*NEEDED, "gpu_model", *(key for key in RENTED if key not in NEEDED))
LISTS: Final = ("demand_by_hour_gpus",)
ID: Final = r"[a-z0-9][a-z0-9-]*"
MOST_FAULTS: Final = 20


def read_contracts(
    path: str, site: Site, timezone: str | None, by: str = "file", standing: Sequence[Rental] = (), *, complete: bool = False
) -> tuple[Rental, ...]:
    """Read the rentals of `path`, in its order, of which those of a GPU model find their pool beside what is `standing`.

    Where the file is `complete`, what stands and is not named in it makes room. InputError names file, row and column of up to twenty faults.
    """
    frame = read_table(path)
    names = [str(name) for name in frame.columns]
    header, needs = f"{path}, row 1", f"a file of contracts needs {', '.join(NEEDED)}"
    faults = [Fault(header, f"has no column {name} ({nearest(name, names)})", needs) for name in NEEDED if name not in names]
    faults += [Fault(header, f"column {name} is none of a contract", nearest(name, KNOWN)) for name in names if name not in KNOWN]
    if faults:
        raise InputError(*faults)
    starts, ends = (_instants(path, frame[name], timezone) for name in ("start", "end"))
    cells = {name: text(frame[name]).tolist() for name in names if name not in {"start", "end"}}
    rows = [{name: column[at] for name, column in cells.items() if column[at] != ""} for at in range(len(frame))]
    stands = {it.contract: it for it in standing}
    own = [stands.get(row.get("contract", "")) for row in rows]
    beside = () if complete else tuple(it for it in standing if it.contract not in cells["contract"])
    found: dict[int, Rental] = {}
    wrong: dict[int, list[Fault]] = {}
    for at in sorted(range(len(rows)), key=lambda at: _takes(rows[at], own[at])):
        rental = _rental(site, [*found.values()], rows[at], starts[at], ends[at], by, beside, own[at])
        if isinstance(rental, Rental):
            found[at] = rental
        else:
            wrong[at] = [Fault(place(path, int(frame.index[at]), column), what, remedy) for column, what, remedy in rental]
    if wrong:
        raise InputError(*[fault for at in sorted(wrong) for fault in wrong[at]][:MOST_FAULTS])
    return tuple(found[at] for at in range(len(rows)))


def rental_of(site: Site, standing: Sequence[Rental], said: Mapping[str, str], start: datetime, end: datetime, by: str) -> Rental:
    """The rental that somebody says key by key, all of it text, beside what is `standing`. InputError tells what is wrong with each."""
    name = said.get("contract", "")
    own = next((it for it in standing if it.contract == name), None)
    found = _rental(site, (), said, start, end, by, [it for it in standing if it is not own], own)
    if isinstance(found, Rental):
        return found
    raise InputError(*(Fault(column, what, remedy) for column, what, remedy in found))


def _takes(said: Mapping[str, str], own: Rental | None) -> int:
    """How much room a row takes beside what stands under its name: 0 none, 1 more, 2 all of it. In that order rows find their pools."""
    if own is None:
        return 2
    gpus = said.get("gpus", "")
    return int(not gpus.isdecimal() or int(gpus) > own.terms.gpus)


def _rental(
    site: Site,
    others: Sequence[Rental],
    said: Mapping[str, str],
    start: datetime | None,
    end: datetime | None,
    by: str,
    standing: Sequence[Rental],
    own: Rental | None,
) -> Rental | list[tuple[str, str, str]]:
    """The rental of a row, or column, finding and remedy of each fault; `others` are of other rows, `own` stands under its name."""
    faults = list(_spans(start, end))
    name = said.get("contract", "")
    if re.fullmatch(ID, name) is None:
        faults.append(("contract", f"{name!r} is no name of a contract", f"use the form {ID}"))
    if any(other.contract == name for other in others):
        faults.append(("contract", f"{name!r} is there twice", "give each contract a name of its own"))
    terms: dict[str, Any] = {key: value.split(";") if key in LISTS else value for key, value in said.items() if key not in {"contract", "gpu_model"}}
    if "pool" not in said and "gpu_model" not in said:
        faults.append(("pool", "neither a pool nor a gpu_model", "name one of them"))
    if (other := of_another_model(site, said.get("pool"), said.get("gpu_model"))) is not None:
        faults.append(("gpu_model", other, "leave one of the two out"))
    if faults or start is None or end is None:
        return faults
    if "pool" not in said:
        placed = _placed(site, others, said, Rental("", name, Contract(tenant="t", kind="reserved"), start, end, by), standing, own)
        if isinstance(placed, tuple):
            return [placed]
        terms["pool"] = placed
    try:
        rental = Rental("", name, Contract.model_validate(terms), start, end, by)
    except ValidationError as error:
        return [(str(fault["loc"][0]) if fault["loc"] else "contract", *_told(fault)) for fault in error.errors(include_url=False)]
    return [("contract", found, "mend the row") for found in misfits(site, others, rental, ())] or rental


def _spans(start: datetime | None, end: datetime | None) -> Iterator[tuple[str, str, str]]:
    if start is None:
        yield "start", "no time", "say when it begins"
    if end is None:
        yield "end", "no time", "say when it ends"
    if start is not None and end is not None and end <= start:
        yield "end", f"{end:%Y-%m-%d %H:%M} UTC is not after its start", "mend one of the two"


def _placed(
    site: Site, others: Sequence[Rental], said: Mapping[str, str], rental: Rental, standing: Sequence[Rental], own: Rental | None
) -> str | tuple[str, str, str]:
    """The pool of the GPU model that is asked for, that where it stands before any other; or what is wrong with that."""
    model, gpus = said["gpu_model"], said.get("gpus", "")
    if not gpus.isdecimal():
        return "gpus", f"{gpus!r} is no number of GPUs", "give a whole number"
    beside, curve, there = [*others, *standing], said.get("curve"), own.terms.pool if own is not None else None
    if there in pools_of(site, model, curve) and free_gpus(site, beside, rental, there, rental.start) >= int(gpus):
        return there
    found = roomiest(site, beside, rental, model, int(gpus), curve)
    if found is None:
        return "gpu_model", f"the site has no pool of {model} with that kind of work", other_gpus(site, model)
    if found[1] < int(gpus):
        return "gpus", f"{gpus} GPUs of {model} are free in no pool all that time", f"{found[0]} has {found[1]}"
    return found[0]


def _told(fault: Any) -> tuple[str, str]:
    return f"{fault['input']!r:.60}: {fault['msg'].removeprefix('Value error, ')}", "see `facility check --schema` for what a contract may say"


def _instants(path: str, column: pd.Series, timezone: str | None) -> list[datetime | None]:
    """The instants of a column, UTC; None where a cell is empty."""
    import numpy as np

    times = parse_times(path, column)
    if not times.faults and not times.aware:
        if timezone is None:
            raise InputError(Fault(f"{path}, column {column.name}", "its times have no offset", "give their zone with --timezone"))
        times = localise(path, column, times.value, timezone, in_order=False)
    if times.faults:
        raise InputError(*times.faults[:MOST_FAULTS])
    return [None if np.isnat(value) else value.item().replace(tzinfo=UTC) for value in times.value]
