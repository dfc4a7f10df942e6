"""Serve: the process in which questions are thought over, one after the other. It ends when its other end closes."""

from __future__ import annotations

import logging
import os
from contextlib import suppress

from facility.daemon.answering.thinking.inquiry import Answer, Inquiry, Unanswered
from facility.daemon.answering.thinking.mind import Mind
from models.solving.serve import serve

YIELDS = 2
"""How much nicer it is than the daemon and its solver, which go first where processors are short; much more, and who asks waits for everybody."""

Call = tuple[Inquiry, float] | None
"""A question and how many seconds there are for it; None only asks whether anybody is there."""


def main(descriptor: int) -> None:
    """Answer over the socket `descriptor` until its other end closes."""
    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    with suppress(OSError):
        os.nice(YIELDS)
    mind = Mind()

    def answer(call: Call) -> Answer | Unanswered | None:
        return None if call is None else mind.answer(*call)

    serve(descriptor, answer)
