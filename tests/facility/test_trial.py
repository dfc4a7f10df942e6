"""A trial judges as the desk does: whatever is commanded, in whatever order, the answers and what stands afterwards are the same."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from facility.bus.messages import OverrideClear, OverrideSet
from facility.journal.journal import Journal
from facility.overrides.desk import OverrideDesk
from facility.overrides.proposal import Proposal
from facility.overrides.trial import Trial
from tests.facility.test_overrides import JOBS, NOON, SITE

MINUTE = timedelta(minutes=1)
TARGETS = st.sampled_from(["site", "hall/north", "pool/north/a", "pool/north/b", "pool/south/c", "job/j1", "grid/main", "hall/nowhere"])
COMMANDS = st.lists(
    st.tuples(
        TARGETS,
        st.sampled_from(["cap_w", "import_limit_kw", "hold", "release", "run", "stop", "clear"]),
        st.sampled_from([150.0, 300.0, 500.0, 2000.0]),
        st.sampled_from([5, 8]),
        st.sampled_from([0, 0, 30]),
        st.sampled_from(["anna", "bob"]),
        st.integers(0, 7),
    ),
    max_size=8,
)


def limits(proposal: Proposal) -> tuple[float | None, str]:
    return (450.0, "the feeder carries no more") if proposal.kind == "cap_w" else (None, "")


def seen(standing: Sequence[Proposal]) -> list[Proposal]:
    return sorted(standing, key=lambda proposal: proposal.id)


@given(COMMANDS)
def test_it_answers_as_the_desk_and_leaves_the_same_standing(commands: list[tuple[str, str, float, int, int, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal") as journal:
        desk = OverrideDesk(SITE, journal, jobs=lambda: JOBS)
        trial = Trial(SITE, (), JOBS, NOON, lambda proposal, _standing: limits(proposal))
        for i, (target, kind, value, priority, later, by, which) in enumerate(commands):
            if kind == "clear":
                if any(p.id == f"{which}" for p in desk.standing(NOON)) != any(p.id == f"{which}" for p in trial.standing):
                    continue
                one = desk.clear(target, OverrideClear(id=f"{which}", by=by), NOON)
                other = trial.clear(target, f"{which}", by)
                if one.status == "cleared" and "does not act any more" in one.reason:
                    continue  # the desk remembers ids that ended
            else:
                request = OverrideSet(
                    id=f"{i}", kind=kind, value=value if kind.endswith(("_w", "_kw")) else None,  # type: ignore[arg-type]
                    priority=priority, start=NOON + later * MINUTE, by=by,
                )  # fmt: skip
                one, other = desk.set(target, request, now=NOON, limits=limits), trial.set(target, request)
            assert one == other
        ours, theirs = seen(trial.standing), seen(desk.standing(NOON))
        assert [p.id for p in ours] == [p.id for p in theirs]
        for here, there in zip(ours, theirs, strict=True):
            assert replace(here, end=there.end) == there
            assert here.end <= there.end  # one that is replaced later ends then, which the desk does when it is time


def test_one_that_begins_later_takes_the_place_of_another_only_then() -> None:
    trial = Trial(SITE, (), JOBS, NOON)
    for name, start in (("now", NOON), ("later", NOON + 30 * MINUTE)):
        assert trial.set("site", OverrideSet(id=name, kind="hold", start=start, ttl_s=3600, by="anna")).status == "accepted"
    standing = trial.standing
    trial.clear("site", "later", "anna")
    assert {p.id: p.end for p in trial.standing} == {"now": NOON + 60 * MINUTE}
    assert {p.id: p.end for p in standing} == {"now": NOON + 30 * MINUTE, "later": NOON + 90 * MINUTE}
