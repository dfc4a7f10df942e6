"""Sweep: all cases of a question, made by a crew or a cluster, those that were made before taken from where they are kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from facility.errors import InputError
from facility.request import Request
from facility.sweep.axes import Case
from facility.sweep.crew import Crew
from facility.sweep.kept import Kept, digests
from facility.sweep.outcome import Outcome
from facility.sweep.question import Question

Tell = Callable[[Outcome], None]


@dataclass(frozen=True)
class Swept:
    """Every case with what came of it, in the order of the cases; `taken` of them had been made before."""

    question: Question
    outcomes: tuple[Outcome, ...]
    taken: int

    @property
    def rows(self) -> Iterator[tuple[Case, Outcome]]:
        """The cases with what came of them."""
        return zip(self.question.cases, self.outcomes, strict=True)

    @property
    def best(self) -> int | None:
        """Where the plan stands that keeps every limit at the least objective, which counts the work not done; None where none keeps them."""
        fit = [i for i, each in enumerate(self.outcomes) if each.made and not each.figures["breaches"]]
        return min(fit, key=lambda i: self.outcomes[i].figures["objective"] or 0.0, default=None)


def sweep(question: Question, tell: Tell, *, processes: int, address: str | None = None, folder: Path | None = None) -> Swept:
    """Make every case in `processes` processes, or on the cluster at `address`; `tell` hears of each as it is there.

    What is made is kept in `folder`, and taken from there the next time. InputError where no case can be made because of one and the
    same fault of the input.
    """
    made: list[Outcome | None] = [None] * len(question.cases)
    with ExitStack() as stack:
        kept = None if folder is None else stack.enter_context(Kept(folder))
        made_from = digests(question)
        if kept is not None:
            made = [kept.found.get(digest) for digest in made_from]
        for one in filter(None, made):
            tell(one)
        taken = sum(one is not None for one in made)
        left = [i for i, one in enumerate(made) if one is None]
        requests = [question.asked(question.cases[i]) for i in left]
        for i, one in stack.enter_context(closing(_outcomes(requests, processes, address))):
            made[left[i]] = one
            if kept is not None:
                kept.keep(made_from[left[i]], one)
            tell(one)
    outcomes = tuple(one for one in made if one is not None)
    faults = {one.faults for one in outcomes}
    if len(faults) == 1 and (same := faults.pop()):
        raise InputError(*same)
    return Swept(question, outcomes, taken)


def _outcomes(requests: Sequence[Request], processes: int, address: str | None) -> Generator[tuple[int, Outcome]]:
    count = min(processes, len(requests))
    if not requests:
        return
    if address is not None:
        from facility.sweep import cluster

        yield from cluster.outcomes(requests, address, count)
        return
    with Crew(count) as crew:
        yield from crew.outcomes(requests)
