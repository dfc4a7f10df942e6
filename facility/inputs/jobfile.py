"""Job files: a scheduler's accounting export as it is, turned into jobs that may wait.

Needed are `submit_time, duration_s, num_gpus`; `job_id, tenant, pool, contract, deadline, elastic, curve, pause_cost_gpu_h,
min_run_h, pools, movable` are used where they are there, other columns are not looked at. `duration_s` is taken as the time at
relative speed 1. Every job of the file ends up in `jobs` or, with its reason, in `left_out`; whatever was assumed is said in `notes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from facility.errors import Fault, InputError
from facility.inputs.jobterms import Placement, Terms, agree, allowance_h, misfit, same_model
from facility.inputs.table import localise, nearest, numbers, parse_times, place, read_table, refused, text, zone
from facility.snapshot import Job

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from facility.site import Site

NEEDED = ("submit_time", "duration_s", "num_gpus")
LONGEST_S = 1e9
MOST_GPUS = 1e7
LAST = np.datetime64("9999-12-31", "us")
MOST_FAULTS = 20
YES, NO = {"true", "1", "yes"}, {"false", "0", "no", ""}


@dataclass(frozen=True)
class LeftOut:
    """A job of the file that is no part of the plan, and why. Instants are UTC."""

    id: str
    submit: datetime
    deadline: datetime
    num_gpus: int
    work_gpu_h: float
    tenant: str | None
    reason: str


@dataclass(frozen=True)
class JobTable:
    """What a job file says: jobs by (submit, id), what was assumed, and the jobs that the plan does not see."""

    jobs: tuple[Job, ...]
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


class _Rows:
    """The cells of one file by column, and the faults found in them so far."""

    def __init__(self, path: str, frame: pd.DataFrame) -> None:
        self.path = path
        self.frame = frame
        self.faults: list[tuple[int, Fault]] = []
        self.general: list[Fault] = []

    def cells(self, column: str) -> NDArray[np.object_]:
        """Return the column's text; "" throughout where the file has no such column."""
        if column not in self.frame:
            return np.full(len(self.frame), "", dtype=object)
        return text(self.frame[column]).to_numpy(dtype=object)

    def silent(self, column: str, where: NDArray[np.bool_]) -> int:
        """Return how many of those rows do not name it."""
        return int(np.count_nonzero(self.cells(column)[where] == ""))

    def blame(self, column: str, wrong: NDArray[np.bool_] | Sequence[bool], found: Callable[[int], str], remedy: str) -> None:
        for at in np.flatnonzero(wrong):
            self.blame_one(int(at), column, found(int(at)), remedy)

    def blame_one(self, at: int, column: str, found: str, remedy: str) -> None:
        row = int(self.frame.index[at])
        self.faults.append((row, Fault(place(self.path, row, column), found, remedy)))

    def raise_faults(self) -> None:
        """Tell the first faults together, and how many more there are."""
        faults = self.general + [fault for _, fault in sorted(self.faults, key=lambda each: each[0])]
        if len(faults) > MOST_FAULTS:
            more = Fault(self.path, f"{len(faults) - MOST_FAULTS + 1} more faults", "mend the ones above first")
            faults = [*faults[: MOST_FAULTS - 1], more]
        if faults:
            raise InputError(*faults)


def read_jobs(path: str, site: Site, *, start: datetime, end: datetime, timezone: str | None, jobs_from: str | None) -> JobTable:
    """Read the jobs of `path` for a plan over `[start, end)` (aware instants).

    `timezone` is the IANA zone of times without an offset. `jobs_from` is the instant of the trace that is laid on `start`, by
    elapsed time. Raises InputError with up to 20 faults, each naming file, row and column.
    """
    frame = read_table(path)
    names = [str(name) for name in frame.columns]
    if missing := [name for name in NEEDED if name not in names]:
        remedy = "a job file needs " + ", ".join(NEEDED)
        raise InputError(*(Fault(f"{path}, row 1", f"has no column {name} ({nearest(name, names)})", remedy) for name in missing))
    rows, notes = _Rows(path, frame), list[str]()
    submit, deadline = _instants(rows, site, start=start, timezone=timezone, jobs_from=jobs_from, notes=notes)
    duration_s, gpus = _work(rows)
    ids, terms, elastic = _ids(rows), _terms(rows, site), _flags(rows, "elastic")
    pools, movable, pauses = _pools(rows, site, terms), _flags(rows, "movable"), _pauses(rows, elastic)
    rows.raise_faults()

    assumed = np.isnat(deadline)
    bound, slack_s = _waits(site, terms)
    latest = (np.minimum(duration_s + slack_s, 10 * LONGEST_S) * 1e6).round().astype("timedelta64[us]")
    deadline = np.minimum(np.where(assumed, submit + latest, deadline), LAST)
    first, last = (np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us") for at in (start, end))
    over, later = assumed & (deadline <= first), submit >= last
    kept = ~(over | later)
    waited = np.where(assumed & kept, np.maximum(first - submit, np.timedelta64(0, "us")), np.timedelta64(0, "us"))
    deadline = np.minimum(deadline + waited, LAST)
    deadline = np.where(bound & ~assumed, np.minimum(deadline, np.maximum(submit, first) + latest), deadline)
    if count := int(np.count_nonzero(bound & kept)):
        notes.append(f"jobs: {count} start no later after submit (or the plan's start) than the max_defer_h of their contract")
    if count := rows.silent("curve", kept):
        notes.append(f"jobs: {count} without a curve run as {site.jobs.curve}")
    if count := rows.silent("contract", kept):
        under = {terms[at].contract or "no contract" for at in np.flatnonzero(kept & (rows.cells("contract") == ""))}
        notes.append(f"jobs: {count} without a contract are under {', '.join(sorted(under))}")
    if count := int(np.count_nonzero(assumed & ~bound & kept)):
        notes.append(
            f"jobs: {count} without a deadline have until submit (or the plan's start) + duration + {site.jobs.slack_h:g} h"
        )
    if count := int(np.count_nonzero((submit < first) & kept)):
        notes.append(f"jobs: {count} submitted before the plan starts; no progress is known, so their whole work is left")
    if count := rows.silent("pool", kept):
        notes.append(f"jobs: {count} without a pool go to the least loaded one with their curve")
    work_gpu_h = (gpus * duration_s / 3600.0).tolist()
    submits, deadlines, sizes = submit.tolist(), deadline.tolist(), gpus.astype(np.int64).tolist()
    placement, jobs, left_out = Placement(site), list[Job](), list[LeftOut]()
    for at in sorted(range(len(ids)), key=lambda at: (submits[at], ids[at])):
        since, until = submits[at].replace(tzinfo=UTC), deadlines[at].replace(tzinfo=UTC)
        size, work, its = sizes[at], work_gpu_h[at], terms[at]
        if not kept[at]:
            reason = f"finished before the plan starts (assumed deadline {until.isoformat()})"
            reason = "submitted after the plan ends" if later[at] else reason
            left_out.append(LeftOut(ids[at], since, until, size, work, its.tenant, reason))
            continue
        pool = its.pool or placement.choose(its.curve, size, (since, until), pools[at])
        placement.add(pool, work, since)
        others = tuple(name for name in pools[at] or (same_model(site, pool) if movable[at] else ()) if name != pool)
        job = Job(ids[at], pool, its.curve, size, work, since, until, its.tenant, its.contract, elastic[at])
        jobs.append(replace(job, **pauses[at], other_pools=others))
    return JobTable(tuple(jobs), tuple(notes), tuple(left_out))


def _waits(site: Site, terms: list[Terms]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether the contract of each row bounds how long it may wait, and that or the site's slack, s."""
    allowed = [allowance_h(site, each.contract) for each in terms]
    slack_h = [site.jobs.slack_h if hours is None else hours for hours in allowed]
    return np.array([hours is not None for hours in allowed], bool), 3600.0 * np.array(slack_h, float)


def _work(rows: _Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Duration, s, and number of GPUs of each row."""
    duration_s, gpus = numbers(rows.frame["duration_s"]), numbers(rows.frame["num_gpus"])
    durations, sizes = rows.frame["duration_s"], rows.frame["num_gpus"]
    whole = (gpus >= 1) & (gpus == np.floor(gpus)) & (gpus < MOST_GPUS)
    remedy = "mend it, or leave the job out"
    rows.blame("duration_s", ~(duration_s > 0), lambda at: f"{str(durations.iloc[at])!r:.40} is not a duration above 0", remedy)
    rows.blame("duration_s", duration_s > LONGEST_S, lambda at: f"{duration_s[at]:g} s is over 30 years", "give seconds")
    rows.blame("num_gpus", ~whole, lambda at: f"{str(sizes.iloc[at])!r:.40} is not a whole number from 1", remedy)
    return duration_s, gpus


def _instants(
    rows: _Rows, site: Site, *, start: datetime, timezone: str | None, jobs_from: str | None, notes: list[str]
) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    """Submit times and deadlines (NaT where none is given) in UTC, the trace laid on `start` where asked."""
    submit = rows.frame["submit_time"]
    deadline = rows.frame["deadline"] if "deadline" in rows.frame else submit.where(submit.isna(), None).rename("deadline")
    times = [parse_times(rows.path, column) for column in (submit, deadline)]
    since, until = (each.value for each in times)
    rows.blame("submit_time", (text(submit) == "").to_numpy(), lambda _: "no time", "say when it was submitted")
    rows.blame(
        "deadline", until < since, lambda at: f"is {(since[at] - until[at]).item()} before submit_time", "mend one of the two"
    )
    rows.general.extend(fault for each in times for fault in each.faults)
    naive, origin, where = not times[0].aware, _origin(jobs_from), f"{rows.path}, column submit_time"
    on_own_clock = naive and timezone is None
    if times[1].aware == naive and not np.isnat(until).all():
        found = "has offsets, submit_time has none" if naive else "has no offsets, submit_time has"
        rows.general.append(Fault(f"{rows.path}, column deadline", found, "write both with an offset, or both without"))
    elif on_own_clock and origin is None:
        remedy = "give their zone with --timezone, or lay an instant of the trace on the start with --jobs-from"
        rows.general.append(Fault(where, "its times have no offset", remedy))
    elif on_own_clock and origin is not None and origin.tzinfo is not None:
        remedy = "give the file's zone with --timezone, or --jobs-from without an offset"
        rows.general.append(Fault(where, f"its times have no offset, --jobs-from {jobs_from} has one", remedy))
    elif naive and timezone is not None:
        for at, column in enumerate((submit, deadline)):
            times[at] = localise(rows.path, column, times[at].value, timezone, in_order=False)
            rows.general.extend(times[at].faults)
        since, until = (each.value for each in times)
    shift = np.timedelta64(0, "us")
    if origin is not None:
        if on_own_clock:
            notes.append(f"jobs: {jobs_from} is laid on the start by the trace's own clock, whose zone is not known")
        elif origin.tzinfo is None:
            if timezone is None:
                notes.append(f"jobs: --jobs-from {jobs_from} is by the clock of {site.timezone}, the site's")
            origin = origin.replace(tzinfo=zone(timezone or site.timezone))
        laid = origin.astimezone(UTC).replace(tzinfo=None) if origin.tzinfo else origin
        shift = np.datetime64(start.astimezone(UTC).replace(tzinfo=None), "us") - np.datetime64(laid, "us")
    return np.minimum(since + shift, LAST), until + shift


def _origin(jobs_from: str | None) -> datetime | None:
    try:
        return None if jobs_from is None else datetime.fromisoformat(jobs_from)
    except ValueError:
        raise refused("--jobs-from", f"{jobs_from!r} is not a date or time", "write ISO 8601, such as 2017-10-02") from None


def _ids(rows: _Rows) -> list[str]:
    """Ids as the file has them, or by row."""
    if "job_id" not in rows.frame:
        return [f"job-{number:06d}" for number in range(1, len(rows.frame) + 1)]
    ids: list[str] = rows.cells("job_id").tolist()
    unfit = [not job or any(sign in "/+#" or sign.isspace() for sign in job) for job in ids]
    rows.blame("job_id", unfit, lambda at: f"{ids[at]!r} is no id", "give one without blanks, /, + and #")
    seen: dict[str, int] = {}
    first = [seen.setdefault(job, int(row)) for job, row in zip(ids, rows.frame.index, strict=True)]
    twice = [bool(job) and int(row) != earlier for job, row, earlier in zip(ids, rows.frame.index, first, strict=True)]
    rows.blame("job_id", twice, lambda at: f"{ids[at]!r} is already the id of row {first[at]}", "give each job an id of its own")
    return ids


def _terms(rows: _Rows, site: Site) -> list[Terms]:
    """Terms of each row; rows that say the same are looked at once."""
    said = list(zip(*(rows.cells(column).tolist() for column in ("tenant", "contract", "pool", "curve")), strict=True))
    agreed = {each: agree(site, *each) for each in set(said)}
    if any(each.faults for each in agreed.values()):
        for at, each in enumerate(said):
            for column, found, remedy in agreed[each].faults:
                rows.blame_one(at, column, found, remedy)
    return [agreed[each] for each in said]


def _pools(rows: _Rows, site: Site, terms: list[Terms]) -> list[tuple[str, ...]]:
    """The pools in which each job may run, its own among them, as `pools` names them; none where it is silent."""
    named = [tuple(filter(None, (name.strip() for name in cell.split(";")))) for cell in rows.cells("pools")]
    wrong = [misfit(site, pools, each.pool, each.curve) if pools and not each.faults else None for pools, each in zip(named, terms, strict=True)]
    for at, fault in enumerate(wrong):
        if fault is not None:
            rows.blame_one(at, "pools", *fault)
    return named


def _flags(rows: _Rows, column: str) -> list[bool]:
    flags = [flag.lower() for flag in rows.cells(column)]
    odd = [flag not in YES | NO for flag in flags]
    rows.blame(column, odd, lambda at: f"{flags[at]!r} is neither true nor false", "write true or false")
    return [flag in YES for flag in flags]


def _pauses(rows: _Rows, elastic: list[bool]) -> list[dict[str, Any]]:
    """What each row says of pauses, by field of a job: GPU hours that a GPU loses in one, and hours before the first; None where silent."""
    lost, hours = _amounts(rows, "pause_cost_gpu_h", "GPU hours", MOST_GPUS), _amounts(rows, "min_run_h", "hours", LONGEST_S / 3600)
    unkept = [bool(least) and loose for least, loose in zip(hours, elastic, strict=True)]
    says = "h of an elastic job, which gives GPUs back one by one"
    rows.blame("min_run_h", unkept, lambda at: f"{hours[at]:g} {says}", "leave one of the two empty")
    return [{"pause_cost_gpu_h": each, "min_run_h": least} for each, least in zip(lost, hours, strict=True)]


def _amounts(rows: _Rows, column: str, unit: str, most: float) -> list[float | None]:
    """The numbers from 0 to `most` in a column; None where a row is silent."""
    cells = rows.cells(column)
    if column not in rows.frame:
        return [None] * len(cells)
    amounts = numbers(rows.frame[column])
    said = cells != ""
    wrong = said & ~((amounts >= 0) & (amounts < most))
    rows.blame(column, wrong, lambda at: f"{cells[at]!r:.40} is not {unit} from 0", "mend it, or leave it empty")
    return [float(each) if told else None for each, told in zip(amounts, said, strict=True)]
