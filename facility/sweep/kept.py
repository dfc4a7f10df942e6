"""Kept: the plans that a sweep has made, one line of JSON each, so that it goes on where it ended.

A line is under the digest of all that its plan was made from: the request, the version of this program, the bytes of every file. What was made from
anything else is not found, and not touched. A case that has no plan is tried again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from facility.errors import Fault, InputError
from facility.sweep.outcome import Outcome
from facility.sweep.question import Question, as_written

FILE = "plans.jsonl"


def digests(question: Question) -> tuple[str, ...]:
    """What each case's plan is made from, in brief."""
    made_from = hashlib.sha256(_version().encode())
    for file in question.files:
        made_from.update(hashlib.sha256(_bytes(file)).digest())
    common = made_from.hexdigest()
    return tuple(
        hashlib.sha256((common + json.dumps(as_written(question.asked(case)), sort_keys=True)).encode()).hexdigest() for case in question.cases
    )


class Kept:
    """The lines of one folder; to be used in a `with`. What a process that died wrote of its last line is left out."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self.found: Mapping[str, Outcome] = _read(self._file)
        try:
            whole = self._file.exists() and not self._file.read_bytes().endswith(b"\n")
            self._stream = self._file.open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(Fault(f"--out {folder}", f"cannot be written: {error.strerror}", "name a folder that you may write")) from None
        if whole:
            self._stream.write("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    def keep(self, digest: str, made: Outcome) -> None:
        """Write a plan down; what is no plan is not."""
        if made.made:
            self._stream.write(json.dumps({"made_from": digest, **asdict(made)}, allow_nan=False) + "\n")
            self._stream.flush()


def _read(file: Path) -> dict[str, Outcome]:
    found = dict[str, Outcome]()
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            told: dict[str, Any] = json.loads(line)
            digest = told.pop("made_from")
            found[digest] = Outcome(**{**told, "faults": ()})
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _version() -> str:
    try:
        return version("facility")
    except PackageNotFoundError:
        return ""
