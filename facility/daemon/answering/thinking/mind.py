"""Mind: questions answered one after the other. The plan that was asked about last is kept, for whoever asks again before the next one."""

from __future__ import annotations

import pickle
import time

from facility.bus.messages import QuoteResult, WhatIfResult, WhyResult
from facility.daemon.answering.thinking.changes import tried
from facility.daemon.answering.thinking.inquiry import Answer, HowMuch, Inquiry, Unanswered, WhatIf, Why
from facility.daemon.answering.thinking.preview import preview
from facility.daemon.answering.thinking.pricing import quoted
from facility.daemon.answering.thinking.reasons import reasons
from facility.daemon.question import Question, solve, under
from facility.decide import Undecided
from facility.errors import InputError
from facility.planner import Planned
from models.solving.attempt import SolverOf
from models.solving.solver import Solver

SOLVES = 8
"""Among how many solves the time for why is divided: the plan, the one without any change, four remedies, two deadlines."""


class Mind:
    """`solved` counts the plans that were made."""

    def __init__(self, solver_of: SolverOf = Solver) -> None:
        self._solver_of = solver_of
        self._kept: tuple[bytes, Planned] | None = None
        self.solved = 0

    def answer(self, inquiry: Inquiry, within_s: float) -> Answer | Unanswered:
        """The answer, or why there is none."""
        began = time.monotonic()
        until = began + within_s
        try:
            match inquiry:
                case WhatIf():
                    return self._preview(inquiry, began, until)
                case Why():
                    return self._why(inquiry, began, until)
                case HowMuch():
                    return self._how_much(inquiry, began, until)
        except InputError as error:
            kind = QuoteResult if isinstance(inquiry, HowMuch) else WhyResult
            return kind(id=inquiry.id, status="refused", says="; ".join(f"{fault.found} ({fault.remedy})" for fault in error.faults)[:1000])
        except MemoryError:
            raise
        except Exception as error:
            return Unanswered(inquiry.id, f"{type(error).__name__}: {error}", late=time.monotonic() > until)

    def _preview(self, inquiry: WhatIf, began: float, until: float) -> WhatIfResult | Unanswered:
        asked, ground = inquiry.asked, inquiry.ground
        came = tried(asked, ground)
        if came.refused is not None:
            return WhatIfResult(id=asked.id, status="refused", says=came.refused[:1000], judged=came.judged)
        before = self._plan(under(inquiry.newest, ground, ground.standing), (until - time.monotonic()) / 2, keep=True)
        after = self._plan(under(inquiry.newest, ground, came.standing), until - time.monotonic(), keep=False)
        if time.monotonic() > until:
            return Unanswered(inquiry.id, "the two plans took longer", late=True)
        return preview(inquiry, came.judged, before, after, round(time.monotonic() - began, 3))

    def _why(self, inquiry: Why, began: float, until: float) -> WhyResult | Unanswered:
        about, as_it_is = inquiry.asked.about, under(inquiry.newest, inquiry.ground, inquiry.ground.standing)
        planned = self._plan(as_it_is, until - began, keep=True)
        if isinstance(planned, Undecided):
            return WhyResult(id=inquiry.id, status="refused", says=f"no plan is made: {planned.reason}"[:1000], about=about)
        return reasons(inquiry, planned, (until - time.monotonic()) / SOLVES, lambda: round(time.monotonic() - began, 3))

    def _how_much(self, inquiry: HowMuch, began: float, until: float) -> QuoteResult | Unanswered:
        found = quoted(inquiry, self._solver_of, until - time.monotonic(), lambda: round(time.monotonic() - began, 3))
        return Unanswered(inquiry.id, "the plans took longer", late=True) if time.monotonic() > until else found

    def _plan(self, question: Question, budget_s: float, *, keep: bool) -> Planned | Undecided:
        """The plan that a question comes to; the one that was kept where it is the same question."""
        name = pickle.dumps(question)
        if self._kept is not None and self._kept[0] == name:
            return self._kept[1]
        self.solved += 1
        found = solve(question, self._solver_of, max(budget_s, 0.1))
        if isinstance(found, Undecided):
            return found
        made, events = question.made, tuple(e for e in question.events if e.touches(question.edges[0], question.edges[-1]))
        planned = Planned(question.site, found, question.forecast, made.snapshot.jobs, (), (), events, made.asked)
        if keep:
            self._kept = name, planned
        return planned
