"""Mistakes about people: who decides, what is clamped, and what was acknowledged."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ARBITRATE = "tests/facility/test_arbitrate.py::"
DESK = "tests/facility/test_overrides.py::"

MUTANTS = (
    Mutant(
        "the greater priority number decides",
        "facility/overrides/arbitrate.py",
        "return proposal.priority, _MILDNESS",
        "return -proposal.priority, _MILDNESS",
        (ARBITRATE + "test_the_smaller_priority_number_decides_even_for_the_higher_cap_and_the_wider_target",),
    ),
    Mutant(
        "of two equals the higher cap decides",
        "facility/overrides/arbitrate.py",
        "if proposal.value is None else proposal.value, proposal.id",
        "if proposal.value is None else -proposal.value, proposal.id",
        (ARBITRATE + "test_of_equal_priorities_the_lower_cap_decides_whatever_the_target",),
    ),
    Mutant(
        "a cap is not clamped into the settable range",
        "facility/overrides/arbitrate.py",
        "(min(max(p.value - p.value % step, low), high), p)",
        "(p.value - p.value % step, p)",
        (ARBITRATE + "test_each_pool_clamps_a_cap_into_its_own_range",),
    ),
    Mutant(
        "anybody may raise the grid's limit",
        "facility/overrides/arbitrate.py",
        "return winner.value if winner.priority <= CRITICAL_PRIORITY else min(own_kw, winner.value)",
        "return winner.value",
        (ARBITRATE + "test_an_import_limit_lowers_and_only_critical_equipment_raises",),
    ),
    Mutant(
        "a raised limit reaches into a step that it covers in part",
        "facility/overrides/arbitrate.py",
        "for t in {start, *changes, *(minutes(start, end) if site.grid.limit_windows else ())}",
        "for t in {start, *(minutes(start, end) if site.grid.limit_windows else ())}",
        (ARBITRATE + "test_a_raised_limit_holds_only_in_steps_it_covers_whole",),
    ),
    Mutant(
        "manual stands before stop",
        "facility/overrides/arbitrate.py",
        '{"stop": "stop", "manual": "manual", "freeze": "freeze"}',
        '{"manual": "manual", "stop": "stop", "freeze": "freeze"}',
        (ARBITRATE + "test_the_mode_goes_by_priority_and_the_stricter_of_equals",),
    ),
    Mutant(
        "run stands before hold",
        "facility/overrides/arbitrate.py",
        '{"hold": "hold", "pause": "hold", "run": "run"}',
        '{"run": "run", "hold": "hold", "pause": "hold"}',
        (ARBITRATE + "test_orders_go_by_priority_and_hold_stands_before_run",),
    ),
    Mutant(
        "an override acts at its end too",
        "facility/overrides/proposal.py",
        "return self.start <= now < self.end",
        "return self.start <= now <= self.end",
        (ARBITRATE[:-2], DESK + "test_an_override_ends_at_its_end_and_is_told_once"),
    ),
    Mutant(
        "an override may last for ever",
        "facility/overrides/rules.py",
        "if end > latest:",
        "if False:",
        (DESK + "test_every_command_is_answered",),
    ),
    Mutant(
        "what has ended is taken",
        "facility/overrides/rules.py",
        "if end <= now:",
        "if False:",
        (DESK + "test_every_command_is_answered",),
    ),
    Mutant(
        "what feeders carry does not clamp",
        "facility/overrides/rules.py",
        "if limit is not None and limit < value:",
        "if False:",
        (DESK + "test_the_caller_may_limit_further_and_is_quoted",),
    ),
    Mutant(
        "an override acts before it is stored",
        "facility/overrides/desk.py",
        "        self._journal.save_override(proposal, answer, at=now)\n        self._standing[proposal.id] = proposal\n",
        "        self._standing[proposal.id] = proposal\n        self._journal.save_override(proposal, answer, at=now)\n",
        (DESK + "test_what_cannot_be_stored_is_refused_and_does_not_act",),
    ),
    Mutant(
        "an override is acknowledged and never stored",
        "facility/overrides/desk.py",
        "self._journal.save_override(proposal, answer, at=now)",
        "self._journal.save_answer(answer, at=now)",
        (DESK + "test_everything_survives_a_restart",),
    ),
    Mutant(
        "what has ended goes on acting when the clock is set back",
        "facility/overrides/desk.py",
        "elif proposal.end <= now or self._left_s(proposal) < -GRACE_S:",
        "elif self._left_s(proposal) < -GRACE_S:",
        (DESK + "test_what_ended_does_not_come_back_when_the_clock_does",),
    ),
    Mutant(
        "a command acts a day longer when the clock is set back by one",
        "facility/overrides/desk.py",
        "elif proposal.end <= now or self._left_s(proposal) < -GRACE_S:",
        "elif proposal.end <= now:",
        (DESK + "test_what_has_begun_acts_on_where_the_clock_is_set_back_and_ends_by_the_seconds_that_really_pass",),
    ),
    Mutant(
        "a command that was retained acts",
        "facility/overrides/desk.py",
        (
            "        if retained:\n"
            '            return reply(request.id, "rejected", "it arrived retained, so it may be old; send it not retained")\n'
            "        if not request.id:"
        ),
        "        if not request.id:",
        (DESK + "test_a_retained_command_is_refused_and_does_not_use_up_its_id",),
    ),
    Mutant(
        "an id that is repeated is not known again",
        "facility/overrides/desk.py",
        "if (first := self._journal.seen(request.id)) is not None:",
        "if (first := self._journal.seen(request.id)) is not None and request.id in self._standing:",
        (DESK + "test_a_repeated_id_does_not_act_after_its_end_or_after_it_was_refused",),
    ),
    Mutant(
        "anybody releases what anybody holds",
        "facility/overrides/judgement.py",
        "mine = [p for p in orders if p.target == asked.target and p.priority >= asked.priority]",
        "mine = [p for p in orders if p.target == asked.target]",
        (DESK + "test_a_release_lets_go_what_its_priority_reaches_and_names_the_rest",),
    ),
    Mutant(
        "an end that was stored by a process that died is told by nobody",
        "facility/daemon/answering/people.py",
        "        self._desk.recall(now)\n",
        "",
        ("tests/facility/test_daemon.py::test_an_end_that_a_process_stored_and_died_before_it_told_is_told_by_the_next_one_once",),
    ),
    Mutant(
        "an end is told at every start",
        "facility/journal/overrides.py",
        "action IN ('expired', 'superseded', 'cleared')",
        "action IN ('superseded', 'cleared')",
        ("tests/facility/test_daemon.py::test_an_end_that_a_process_stored_and_died_before_it_told_is_told_by_the_next_one_once",),
    ),
    Mutant(
        "an answer goes out before what it says is shown",
        "facility/daemon/answering/answers.py",
        "        if acts:\n            show()\n        self.reply(topic, encode(result), to=to)\n",
        "        self.reply(topic, encode(result), to=to)\n        if acts:\n            show()\n",
        ("tests/facility/test_daemon.py::test_what_an_answer_says_is_on_the_broker_before_the_answer",),
    ),
)
