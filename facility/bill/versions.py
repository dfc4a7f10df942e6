"""Versions: every bill that ever was, in a folder. A later one corrects an earlier one and never touches it.

    DIR/bill-2026-07.v1.json  .csv  .parquet  .html         the bill; .html is the site's page
    DIR/bill-2026-07.v1.TENANT.html                         a tenant's page
    DIR/bills.jsonl                                         a line for each version: its files with their SHA-256, and that of the line before

A version is there once its line is: what a process that died left beside it is written over. Of those who write a folder at once each waits for
the one before. Who can write the folder can compute all of it anew; what shows that is a hash that was written down elsewhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from facility.bill.billed import Billed
from facility.errors import Fault, InputError

LEDGER: Final = "bills.jsonl"
ZERO: Final = "0" * 64
LATE: Final = "what was measured, told or asked for has changed since"

Files = Mapping[str, bytes]
"""What a version is written as, by the end of each file's name."""


@dataclass(frozen=True)
class Version:
    """A version, why it was made and by whom, and what it changes for each tenant since the one before."""

    number: int
    reason: str = ""
    by: str = ""
    differences: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class Written:
    """The version that stands, and the files that were written now; none where nothing has changed."""

    version: Version
    files: tuple[Path, ...]


def write(folder: Path, bill: Billed, made: Callable[[Version], Files], *, reason: str, by: str) -> Written:
    """Write `bill` as its next version, as what is `made` of it, unless the newest says the same. InputError for a folder that cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LEDGER).open("ab") as ledger:
            fcntl.flock(ledger, fcntl.LOCK_EX)
            return _write(folder, ledger, bill, made, reason, by)
    except OSError as error:
        raise InputError(Fault(f"--out {folder}", f"cannot be written: {error.strerror}", "name a folder that you may write")) from error


def _write(folder: Path, ledger: IO[bytes], bill: Billed, made: Callable[[Version], Files], reason: str, by: str) -> Written:
    """See above; `ledger` is the folder's, open and ours alone."""
    document = bill.document()
    content = _digest(_json(document))
    lines = read(folder)
    mine = [line for line in lines if line["bill"] == bill.period.name]
    if mine and mine[-1]["content"] == content:
        return Written(Version(mine[-1]["version"], mine[-1]["reason"], mine[-1]["by"]), ())
    version = Version(1)
    if mine:
        before = json.loads((folder / f"{_stem(bill, mine[-1]['version'])}.json").read_text(encoding="utf-8"))
        version = Version(mine[-1]["version"] + 1, reason or LATE, by, differences(before, document))
    correction = {"of": version.number - 1, "reason": version.reason, "by": version.by, "differences": list(version.differences)} if mine else None
    told = {"version": version.number, "correction": correction, **document}
    files = {"json": (json.dumps(told, indent=2, allow_nan=False) + "\n").encode(), **made(version)}
    paths = {folder / f"{_stem(bill, version.number)}.{end}": content_ for end, content_ in files.items()}
    for path, content_ in paths.items():
        _put(path, content_)
    line = {
        "bill": bill.period.name, "version": version.number, "status": document["status"], "total": document["whole"]["total"],
        "currency": bill.site.currency, "reason": version.reason, "by": version.by, "content": content,
        "files": {path.name: _digest(content_) for path, content_ in paths.items()}, "before": _digest(_json(lines[-1])) if lines else ZERO,
    }  # fmt: skip
    ledger.truncate(sum(len(_json(known)) + 1 for known in lines))
    ledger.write(_json(line) + b"\n")
    ledger.flush()
    os.fsync(ledger.fileno())
    return Written(version, tuple(paths))


def read(folder: Path) -> list[dict[str, Any]]:
    """The lines of a folder's ledger. InputError where one, or a file that it names, is not as it was written."""
    place = folder / LEDGER
    if not place.exists():
        return []
    lines: list[dict[str, Any]] = []
    before = ZERO
    for n, text in enumerate(place.read_bytes().split(b"\n")[:-1], 1):  # what has no end was never written
        try:
            line = json.loads(text)
        except ValueError:
            line = {}
        if not isinstance(line, dict) or line.get("before") != before or _json(line) != text:
            raise InputError(Fault(f"{place}, line {n}", "is not as it was written, or the line before is not", "restore the folder from a copy"))
        before = _digest(text)
        lines.append(line)
    changed = [name for line in lines for name, digest in line["files"].items() if _of(folder / name) != digest]
    if changed:
        raise InputError(*(Fault(str(folder / name), "is not as it was written", "restore it from a copy") for name in changed))
    return lines


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What changes for each account from one document to the next, where anything does: energy, kWh, and the total."""
    was, is_ = ({each["tenant"] or "": each for each in told["accounts"]} for told in (before, now))
    found = []
    for tenant in sorted(was.keys() | is_.keys(), key=lambda name: (name == "", name)):
        old, new = was.get(tenant, {}), is_.get(tenant, {})
        moved = round(new.get("total", 0.0) - old.get("total", 0.0), 6)
        kwh = new.get("energy_kwh", 0.0) - old.get("energy_kwh", 0.0)
        if moved or kwh:
            name = (new or old)["name"]
            totals = {"before": old.get("total", 0.0), "now": new.get("total", 0.0)}
            found.append({"tenant": tenant, "name": name, **totals, "difference": moved, "energy_kwh_difference": kwh})
    return found


def _stem(bill: Billed, version: int) -> str:
    return f"bill-{bill.period.name}.v{version}"


def _json(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _of(path: Path) -> str:
    return _digest(path.read_bytes()) if path.exists() else ""


def _put(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
