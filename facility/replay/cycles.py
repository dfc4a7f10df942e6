"""Cycles computed again: the plan, by solving what was asked, and that what was sent is its first step."""

from __future__ import annotations

from typing import Final

import msgspec

from facility import __version__
from facility.daemon.question import UNHEARD, answer
from facility.daemon.recording.kept import Finder, KeptCycle, solver_version
from facility.decide import Undecided
from facility.journal.cycles import CycleRecord
from facility.replay.difference import Difference, difference
from models.solving.attempt import SolverOf

OUT_OF_TIME: Final = "no certified plan within"
"""How the reason of a solve begins that its budget ended."""


def kept_in(record: CycleRecord) -> KeptCycle | None:
    """What a cycle was made from; None where an older version recorded it, which did not say all of it."""
    try:
        return msgspec.json.decode(record.inputs, type=KeptCycle)
    except msgspec.ValidationError:
        return None


def why_not(kept: KeptCycle, *, whichever: bool) -> str:
    """Why a plan cannot be expected to come out the same again; empty where it can. `whichever`: made by whichever version."""
    made, here = f"facility {kept.facility}, highspy {kept.solver}", f"facility {__version__}, highspy {solver_version()}"
    if kept.answer.reason == UNHEARD:
        return "the broker did not answer, so what was planned was not followed"
    if kept.answer.reason.startswith("the planner failed"):
        return "the planner failed, and nothing says that it does again"
    if kept.answer.reason.startswith(OUT_OF_TIME):
        return "its time was over, which no machine repeats"
    return f"it was made by {made}, and this is {here}" if made != here and not whichever else ""


def solved_again(where: str, kept: KeptCycle, finder: Finder, solver_of: SolverOf) -> tuple[str, Difference | None]:
    """Why the answer could not be repeated, where it could not; else where it is not what was recorded."""
    recorded = finder.answer(kept.answer, kept.edges)
    computed = answer(finder.question(kept), solver_of)
    if isinstance(computed, Undecided) and computed.reason.startswith(OUT_OF_TIME):
        return "it took too long here", None
    if isinstance(recorded, Undecided) or isinstance(computed, Undecided):
        reasons = [told.reason if isinstance(told, Undecided) else "a plan" for told in (recorded, computed)]
        return "", difference(where, "plan", *reasons)
    told = [(it.decision, sorted(it.broken), sorted(it.stopped), it.import_kw) for it in (recorded, computed)]
    return "", difference(where, "plan", *told)
