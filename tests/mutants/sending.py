"""Mistakes about what is sent: what may be in force, what goes on without a plan, and what is not measured."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ACTUATE = "tests/facility/test_actuate.py::"
BLIND = "tests/facility/test_blind.py::"
STANDBY = "tests/facility/test_standby.py::"
OVERRULE = "tests/facility/test_overrule.py::"
DAEMON = "tests/facility/test_daemon.py::"
GATE = "tests/facility/test_gate.py::"
ENDS = "tests/facility/test_cycle_ends.py::"
GOVERNED = "tests/facility/test_governed.py::"

MUTANTS = (
    Mutant(
        "where messages mix, each GPU has the lower cap",
        "facility/invariants/ceiling.py",
        "found[workload] = _highest_first((max(a, b), gpus)",
        "found[workload] = _highest_first((min(a, b), gpus)",
        (ACTUATE + "test_a_ceiling_is_above_both_messages_and_a_lower_part_raises_neither",),
    ),
    Mutant(
        "the part that lowers raises too",
        "facility/invariants/ceiling.py",
        "reached_w = way.low_w + int(share * (way.high_w - way.low_w))",
        "reached_w = way.high_w",
        (ACTUATE + "test_a_ceiling_is_above_both_messages_and_a_lower_part_raises_neither",),
    ),
    Mutant(
        "while a hall is not measured its caps follow the plan upward",
        "facility/daemon/lid.py",
        "self._had = {name: self._had.get(name) or caps.get(name) or fallback[name] for name in held}",
        "self._had = {name: caps.get(name) or self._had.get(name) or fallback[name] for name in held if False}",
        (BLIND + "test_the_pools_of_a_hall_that_falls_silent_keep_their_caps_then_fall_back_and_others_go_on",),
    ),
    Mutant(
        "a hall whose temperature nobody knows keeps its caps",
        "facility/daemon/lid.py",
        "if name not in self._unknown:",
        "if True:",
        (BLIND + "test_a_hall_that_may_have_reached_its_allowable_end_gets_the_fallback_at_once_without_a_plan",),
    ),
    Mutant(
        "with the power at the grid lost caps rise",
        "facility/daemon/lid.py",
        "if dark or pool.hall in halls}",
        "if pool.hall in halls}",
        (BLIND + "test_with_the_power_at_the_grid_lost_no_cap_rises_though_the_limit_would_allow_it",),
    ),
    Mutant(
        "a plan that goes on empties the battery below its ride-through",
        "facility/daemon/standby.py",
        "power_kw=max(-max(gives_kwh - kept_kwh, 0.0) / hours, min(room_kw, order.power_kw))",
        "power_kw=max(-max(gives_kwh, 0.0) / hours, min(room_kw, order.power_kw))",
        (STANDBY + "test_a_battery_that_is_held_gives_what_leaves_a_ride_through",),
    ),
    Mutant(
        "a lid on one workload lets a new one above it",
        "facility/daemon/standby.py",
        "cap_w=min(group.cap_w, had.get(group.workload, highest))",
        "cap_w=min(group.cap_w, had.get(group.workload, group.cap_w))",
        (STANDBY + "test_what_bounds_a_pool_bounds_work_that_is_new_there_too",),
    ),
    Mutant(
        "stop lowers no cap",
        "facility/daemon/overrule.py",
        "cap_w = lowest if stopped else group.cap_w if wish is None else round(wish)",
        "cap_w = group.cap_w if wish is None else round(wish)",
        (OVERRULE + "test_stop_holds_every_job_and_sets_every_gpu_to_its_lowest_cap",),
    ),
    Mutant(
        "a lower limit of the grid sheds nothing",
        "facility/daemon/overrule.py",
        "return import_kw(site, candidate, snapshot, outdoor_c) <= limit_kw",
        "return import_kw(site, candidate, snapshot, outdoor_c) <= site.grid.import_limit_kw",
        (OVERRULE + "test_an_import_limit_sheds_from_every_cap_alike_just_as_far_as_it_must",),
    ),
    Mutant(
        "a command on a pool gives way before all others",
        "facility/daemon/overrule.py",
        "<= limit_kw\n\n    return give_way(site, decision, fits, (site.pools.keys() - last, last))",
        "<= limit_kw\n\n    return give_way(site, decision, fits, (last, site.pools.keys() - last))",
        (OVERRULE + "test_pools_whose_cap_somebody_commanded_give_way_last",),
    ),
    Mutant(
        "an increase does not wait for what gave way to be read back",
        "facility/daemon/actuate.py",
        "and now < decision.until and not self._unsafe(decision, site, snapshot, outdoor_c):",
        "and now < decision.until:",
        (ACTUATE + "test_an_increase_waits_until_the_pool_that_gives_way_has_reported",),
    ),
    Mutant(
        "of what may be in force, what was sent last is taken to be all",
        "facility/daemon/actuate.py",
        "caps.pool: ceiling(self.in_force.most(caps.pool), caps_of(caps, self._site.pools[caps.pool].gpus)) for caps in decision.pools",
        "caps.pool: caps_of(caps, self._site.pools[caps.pool].gpus) for caps in decision.pools",
        (ACTUATE + "test_an_increase_waits_until_the_pool_that_gives_way_has_reported",),
    ),
    Mutant(
        "jobs run before caps have gone down",
        "facility/daemon/actuate.py",
        'self._jobs(decision, "hold", now)\n',
        'self._jobs(decision, "run", now)\n',
        (ACTUATE + "test_holds_go_first_and_runs_last_and_every_number_is_greater_than_the_one_before",),
    ),
    Mutant(
        "messages repeat a number",
        "facility/daemon/actuate.py",
        "self.seq = self._journal.next_seq()",
        "self.seq = self.seq or self._journal.next_seq()",
        (ACTUATE + "test_holds_go_first_and_runs_last_and_every_number_is_greater_than_the_one_before",),
    ),
    Mutant(
        "after a reconnect what has lapsed is said again",
        "facility/daemon/actuate.py",
        "            if valid_until > now:\n                self._bus.publish(Message(topic, payload",
        "            if topic:\n                self._bus.publish(Message(topic, payload",
        (ACTUATE + "test_after_a_reconnect_only_what_still_holds_is_said_again",),
    ),
    Mutant(
        "an order without an end",
        "facility/daemon/actuate.py",
        "return Stamp(self._epoch, now, self._decision.until, self._plan_id or None)",
        "return Stamp(self._epoch, now, self._decision.until.replace(year=9999), self._plan_id or None)",
        (DAEMON + "test_a_cycle_publishes_caps_jobs_and_the_plan",),
    ),
    Mutant(
        "the fallback is whatever was sent",
        "facility/daemon/actuate.py",
        "order = caps_order(caps, self._fallback_w[caps.pool], self._stamp(now))",
        "order = caps_order(caps, caps.cap_w, self._stamp(now))",
        (ACTUATE + "test_every_cap_says_what_silence_falls_back_to_whatever_it_is_itself",),
    ),
    Mutant(
        "a report of another process's order confirms ours",
        "facility/daemon/in_force.py",
        "if last is None or report.epoch != self._epoch or report.seq is None or report.seq < last:",
        "if last is None or report.seq is None or report.seq < last:",
        (ACTUATE + "test_a_report_of_an_older_message_or_of_another_epoch_confirms_nothing",),
    ),
    Mutant(
        "a report of higher caps than were sent confirms them",
        "facility/daemon/in_force.py",
        "if too_high := _above(newest.caps, report):",
        "if (too_high := _above(newest.caps, report)) and report.seq is None:",
        (ACTUATE + "test_a_report_of_higher_caps_than_were_sent_confirms_nothing_and_counts_as_in_force",),
    ),
    Mutant(
        "what lapsed is forgotten altogether",
        "facility/daemon/in_force.py",
        "if len(kept) < len(old):",
        "if False:",
        (ACTUATE + "test_what_lapsed_counts_no_higher_than_the_fallback",),
    ),
    Mutant(
        "of a pool that nobody heard of the lowest cap is assumed",
        "facility/daemon/in_force.py",
        "PoolCaps(pool, site.gpu_models[p.gpu_model].max_cap_w)",
        "PoolCaps(pool, site.gpu_models[p.gpu_model].min_cap_w)",
        (ACTUATE + "test_after_a_restart_reports_of_earlier_orders_end_the_assumption_of_the_worst_but_retained_ones_do_not",),
    ),
    Mutant(
        "the gate lets pass what was never accepted",
        "facility/invariants/plant.py",
        "    if not rises(sent, most):\n        return ()\n",
        "    if sent or most:\n        return ()\n",
        (GATE + "test_i5_nothing_goes_out_that_was_not_accepted",),
    ),
    Mutant(
        "the gate forgets what went out before",
        "facility/daemon/book.py",
        "self._loads_kw = self._with(pool, sum_w(ceiling(most, caps_of(caps, gpus))) - sum_w(most))",
        "self._loads_kw = self._with(pool, 0)",
        (GATE + "test_i1_of_two_increases_the_second_must_fit_beside_the_first",),
    ),
    Mutant(
        "the gate does not know what is not measured",
        "facility/daemon/book.py",
        "if pool in self._had and pool not in self._free:",
        "if False:",
        (GATE + "test_i4_where_the_meter_is_lost_no_cap_rises_but_what_is_commanded",),
    ),
    Mutant(
        "a number that is not greater passes the gate",
        "facility/invariants/integrity.py",
        "if last is None or stamp > last:",
        "if last is None or stamp >= last or stamp:",
        (GATE + "test_i14_numbers_only_grow_over_all_topics_but_the_same_bytes_may_be_said_again",),
    ),
    Mutant(
        "an order may hold for ever",
        "facility/invariants/plant.py",
        'return above(6, asset, "it holds for longer than anything may", left_s, ttl_s + 1.0, "s")',
        "return ()",
        (GATE + "test_i6_an_order_ends_and_silence_falls_back_to_what_fits",),
    ),
    Mutant(
        "what breaks an invariant is sent all the same",
        "facility/daemon/gate.py",
        "return sent or not broken",
        "return True",
        (GATE + "test_i3_a_set_point_out_of_range_is_not_sent",),
    ),
    Mutant(
        "a plan that endangers the plant is followed",
        "facility/daemon/governor.py",
        'if v.tier == "plant" or (v.tier == "grid" and v.rule not in found.broken)',
        'if (v.tier == "grid" and v.rule not in found.broken)',
        (ENDS + "test_a_cycle_ends_in_one_way_with_a_reason_and_is_written_down",),
    ),
    Mutant(
        "a plan that breaks the grid's limit without saying so is followed",
        "facility/daemon/governor.py",
        ' or (v.tier == "grid" and v.rule not in found.broken)',
        "",
        (GOVERNED + "test_a_plan_that_breaks_the_grids_limit_is_sent_where_it_says_so_only",),
    ),
    Mutant(
        "the last plan goes on for ever",
        "facility/daemon/governor.py",
        "if self._base is None or here.now >= self._base.until:",
        "if self._base is None:",
        (DAEMON + "test_without_a_new_plan_the_last_one_is_held_as_long_as_its_caps_last_and_no_longer",),
    ),
    Mutant(
        "a plan that comes too late is followed",
        "facility/daemon/governor.py",
        "elif here.now >= found.decision.until:",
        "elif False:",
        (ENDS + "test_a_cycle_ends_in_one_way_with_a_reason_and_is_written_down",),
    ),
    Mutant(
        "a command that endangers the plant is obeyed",
        "facility/daemon/governor.py",
        "            if decision is None or worse:\n",
        "            if decision is None:\n",
        (GOVERNED + "test_what_goes_on_after_a_command_must_fit_or_safe_caps_are_sent",),
    ),
    Mutant(
        "a plan is followed while nobody hears it",
        "facility/daemon/governor.py",
        '        if self.outcome.mode == "NORMAL":\n            self._go_on(here, reason)\n',
        '        if self.outcome.mode == "SAFE":\n            self._go_on(here, reason)\n',
        (DAEMON + "test_while_nothing_shows_that_the_broker_hears_no_plan_is_followed_and_then_one_is_made_at_once",),
    ),
    Mutant(
        "a cap jumps when an operator lets go",
        "facility/daemon/governor.py",
        "self._base = replace(self.in_force, until=here.now + self._ttl)",
        "self._base = None",
        (DAEMON + "test_stop_acts_from_any_state_and_lets_go_without_a_jump",),
    ),
)
