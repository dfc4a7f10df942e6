"""Mistakes about what is kept and believed: the journal, readings, and the queues of the bus."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

JOURNAL = "tests/facility/test_journal.py::"
TELEMETRY = "tests/facility/test_telemetry.py::"
TRACK = "tests/facility/test_track.py::"
QUALITY = "tests/facility/test_quality.py::"
BUS = "tests/facility/test_bus.py::"

MUTANTS = (
    Mutant(
        "numbers that a crash left over are used again",
        "facility/journal/counters.py",
        'return count(db, "seq", SEQ_BLOCK,',
        'return count(db, "seq", 1,',
        (JOURNAL + "test_sequence_numbers_rise_across_reservations_and_starts",),
    ),
    Mutant(
        "two starts have one epoch",
        "facility/journal/counters.py",
        'return count(db, "epoch", 1,',
        'return count(db, "epoch", 0,',
        (JOURNAL + "test_epochs_rise_with_every_start",),
    ),
    Mutant(
        "an override that ended is back after a restart",
        "facility/journal/overrides.py",
        "FROM override WHERE ended_ms IS NULL ORDER BY n",
        "FROM override ORDER BY n",
        (JOURNAL + "test_an_ended_override_stays_ended_and_its_id_stays_known",),
    ),
    Mutant(
        "a row of the record that was changed passes for what was written",
        "facility/journal/chain.py",
        "if linked(head, found, row) != digest:",
        "if digest is None:",
        ("tests/facility/test_chain.py::test_a_row_that_is_changed_lost_or_put_in_is_where_the_chain_breaks",),
    ),
    Mutant(
        "a copy brings back what was cleared since it was made",
        "facility/journal/backup.py",
        "ended = [name for name in standing if name not in old.standing]",
        "ended: list[str] = []",
        ("tests/facility/test_backup.py::test_where_the_old_journal_is_lost_every_override_ends_and_is_named",),
    ),
    Mutant(
        "without a disk no order has a number",
        "facility/journal/counters.py",
        "                with suppress(StoreFault):\n",
        "                if True:\n",
        (JOURNAL + "test_numbers_go_on_while_the_disk_fails_and_above_them_afterwards",),
    ),
    Mutant(
        "the guard's cuts are not in the record",
        "facility/daemon/recording/logbook.py",
        "cuts=tuple(kept_cut(cut) for cut in ruling.cuts),",
        "cuts=(),",
        ("tests/facility/test_replay.py::test_everything_that_was_sent_is_computed_again_to_the_same_bytes_while_the_daemon_runs",),
    ),
    Mutant(
        "half of what belongs together is stored",
        "facility/journal/store.py",
        '                self._db.execute("BEGIN IMMEDIATE")\n                yield self._db\n                self._db.execute("COMMIT")\n',
        "                yield self._db\n",
        (JOURNAL + "test_an_override_and_its_answer_are_stored_together_or_not_at_all",),
    ),
    Mutant(
        "two processes write one journal",
        "facility/journal/lock.py",
        "fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        (JOURNAL + "test_a_second_writer_is_refused_and_told_who_writes",),
    ),
    Mutant(
        "a stale reading is good",
        "facility/telemetry/belief.py",
        "if at is None or now - at > patience:",
        "if at is None:",
        (TELEMETRY + "test_a_reading_is_stale_after_three_periods_and_15_seconds_at_least",),
    ),
    Mutant(
        "a sensor that stands still counts as measured",
        "facility/telemetry/belief.py",
        'Belief(track.used, track.high, Verdict.SUSPECT, "stuck", says, measured=False)',
        'Belief(track.used, track.high, Verdict.SUSPECT, "stuck", says)',
        (QUALITY + "test_a_thermometer_that_stands_still_is_as_a_silent_one_from_when_it_is_found_out",),
    ),
    Mutant(
        "a plan uses a spike",
        "facility/telemetry/track.py",
        "return max(min(a, b), min(max(a, b), c))",
        "return a + 0 * (b + c)",
        (TRACK + "test_a_spike_is_seen_by_the_guard_at_once_and_never_by_a_plan",),
    ),
    Mutant(
        "the guard does not see a spike",
        "facility/telemetry/track.py",
        "return self.sensor.conservative(self.newest, self.used)",
        "return self.used",
        (TRACK + "test_a_spike_is_seen_by_the_guard_at_once_and_never_by_a_plan",),
    ),
    Mutant(
        "what lost its meaning during an outage is sent after it",
        "facility/bus/queues.py",
        "return tuple(message for message in kept.values() if not message.expired(now))",
        "return tuple(kept.values())",
        (BUS + "test_after_an_outage_only_the_newest_of_each_topic_is_sent_and_nothing_expired",),
    ),
    Mutant(
        "an older order is sent after a newer one",
        "facility/bus/queues.py",
        "        self._newest.pop(message.topic, None)\n        self._newest[message.topic] = message\n",
        "        self._newest.setdefault(message.topic, message)\n",
        (BUS + "test_after_an_outage_only_the_newest_of_each_topic_is_sent_and_nothing_expired",),
    ),
    Mutant(
        "a flood of readings delays a command",
        "facility/bus/queues.py",
        "message = (self._commands or self._telemetry).popleft()",
        "message = (self._telemetry or self._commands).popleft()",
        (BUS + "test_a_command_overtakes_a_flood_of_telemetry_and_the_oldest_telemetry_is_lost",),
    ),
    Mutant(
        "commands that are too many push out older ones",
        "facility/bus/queues.py",
        "self._drop(self._commands.pop())",
        "self._drop(self._commands.popleft())",
        (BUS + "test_of_too_many_commands_the_newest_is_refused",),
    ),
)
