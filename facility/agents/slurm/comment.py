"""A job's comment: the words of its user, and behind them in brackets our own mark.

    facility work_h=4.5 deadline=2026-07-16T06:00+02:00 pause=requeue [facility begin=1784109600 theirs=1784106000]

The mark is how we know again, after any restart, what of a job is ours: a begin time is ours where it is the mark's. It stands in the comment
because that alone can be written on every way to Slurm.

| in the mark | means                                                                       |
|-------------|-----------------------------------------------------------------------------|
| `begin`     | the begin time that we set, seconds since 1970                              |
| `theirs`    | the one that its user had asked for, if any                                 |
| `suspended` | we suspended it, until then                                                 |
| `done_s`    | how long it ran before we had it wait again                                 |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from facility.agents.jobs.wishes import Wishes, read_wishes

MOST_S: Final = 4_102_444_800


@dataclass(frozen=True)
class Mark:
    """What we noted with a job; None where there is nothing to note."""

    begin: datetime | None = None
    theirs: datetime | None = None
    suspended: datetime | None = None
    done_s: int = 0


@dataclass(frozen=True)
class Comment:
    """What stands in a comment: the user's words as they are, what they wish, and our mark."""

    words: str
    label: str
    wishes: Wishes
    mark: Mark

    def marked(self, mark: Mark) -> str:
        """The comment with another mark."""
        noted = {"begin": mark.begin, "theirs": mark.theirs, "suspended": mark.suspended}
        parts = [f"{name}={round(at.timestamp())}" for name, at in noted.items() if at is not None]
        parts += [f"done_s={mark.done_s}"] if mark.done_s else []
        return f"{self.words} [{self.label} {' '.join(parts)}]" if parts else self.words


def read_comment(text: str, label: str) -> Comment | None:
    """Read a comment; None where it does not have the word `label`, so that the job is none of ours."""
    own = re.search(rf"\s*\[{re.escape(label)}((?: [a-z_]+=\d{{1,12}})*)\]\s*$", text)
    words = text if own is None else text[: own.start()]
    said = dict(_word(word) for word in words.split())
    if said.get(label) != "":
        return None
    mark = Mark() if own is None else _mark(dict(_word(word) for word in own[1].split()))
    return Comment(words, label, read_wishes(said), mark)


def _word(word: str) -> tuple[str, str]:
    key, _, value = word.strip(",;").partition("=")
    return key, value.strip("\"'")


def _mark(noted: Mapping[str, str]) -> Mark:
    begin, their, suspended = (_instant(noted[name]) if name in noted else None for name in ("begin", "theirs", "suspended"))
    return Mark(begin, their, suspended, int(noted.get("done_s", "0")))


def _instant(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if int(seconds) < MOST_S else None
