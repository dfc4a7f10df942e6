"""Answers: the plans of a run, kept by day, so that a run that was stopped goes on where it was, to the same bytes.

A plant is deterministic and quick, a plan is neither: the same days are lived again, and only what was never answered is solved.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from facility.decide import Decided, Undecided
from facility.stability import Drawn


@dataclass(frozen=True)
class Answer:
    """What a cycle's question at `at` came to, and what its plan has drawn by workload."""

    at: datetime
    found: Decided | Undecided
    drawn: Drawn | None


class Answers:
    """Those of one controller, in `folder`; None: they are kept nowhere. `save` is to be called at the end of each day."""

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._known, self._new = folder, dict[datetime, Answer](), list[Answer]()
        for file in sorted(folder.glob("*.answers")) if folder is not None else ():
            for answer in pickle.loads(file.read_bytes()):  # noqa: S301 - written by `save`, on this machine
                self._known[answer.at] = answer

    def get(self, at: datetime) -> Answer | None:
        """The answer to the question at `at`, if it was answered."""
        return self._known.get(at)

    def put(self, answer: Answer) -> None:
        """Keep an answer."""
        self._new.append(answer)

    def save(self) -> None:
        """Write down what is new; of all but the last answer not what is only for the next one."""
        if self._folder is None or not self._new:
            return
        answers = [*(replace(answer, drawn=None) for answer in self._new[:-1]), self._new[-1]]
        file = self._folder / f"{self._new[0].at:%Y%m%dT%H%M}.answers"
        beside = file.with_suffix(".new")
        beside.write_bytes(pickle.dumps(answers))
        beside.replace(file)
        self._new = []
