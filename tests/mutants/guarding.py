"""Mistakes of the guard: when caps give way, by how much, and when they may rise again."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

GUARD = "tests/facility/test_guard.py::"
AT_GRID = "tests/facility/test_guard_at_grid.py::"
GUARDED = "tests/facility/test_guarded.py::"

MUTANTS = (
    Mutant(
        "caps give way above 102 % of a rating",
        "facility/daemon/guard/readings.py",
        "share.cut_share * rating_kw, share.release_share",
        "1.02 * rating_kw, share.release_share",
        (GUARD + "test_above_98_percent_the_pools_below_a_feeder_give_way_to_95_percent_and_no_other",),
    ),
    Mutant(
        "what gave way rises again at once",
        "facility/daemon/guard/guard.py",
        'if self._lasting.lasts(f"{name} released", now, calm_s, holds=reading.value <= reading.release_below):',
        "if reading.value <= reading.release_below:",
        (GUARD + "test_it_is_over_when_the_feeder_was_below_90_percent_for_a_minute_without_a_break",),
    ),
    Mutant(
        "what gave way rises again just below the cut",
        "facility/daemon/guard/guard.py",
        "now, calm_s, holds=reading.value <= reading.release_below):",
        "now, calm_s, holds=True):",
        (GUARD + "test_it_is_over_when_the_feeder_was_below_90_percent_for_a_minute_without_a_break",),
    ),
    Mutant(
        "the guard raises caps",
        "facility/daemon/guard/guard.py",
        "target_kw, most_kw = first_kw - over_kw,",
        "target_kw, most_kw = first_kw + over_kw,",
        (GUARD + "test_above_98_percent_the_pools_below_a_feeder_give_way_to_95_percent_and_no_other",),
    ),
    Mutant(
        "pools that people command never give way",
        "facility/daemon/guard/guard.py",
        "stages = (obeying - last, obeying & last, place.pools - obeying)",
        "stages = (obeying - last, place.pools - obeying)",
        (GUARD + "test_caps_that_people_command_give_way_last_and_then_do",),
    ),
    Mutant(
        "while lower caps are to show, more than was answered is no news",
        "facility/daemon/guard/guard.py",
        "if seen is None or reading.value <= seen + reading.news:",
        "if True:",
        (GUARD + "test_lower_caps_have_15_seconds_to_show_but_more_than_was_answered_is_news_at_once",),
    ),
    Mutant(
        "jobs go on where the lowest caps are not enough",
        "facility/daemon/guard/guard.py",
        "waiting |= jobs_in(here.snapshot, place.pools, less)",
        "waiting |= frozenset()",
        (GUARD + "test_where_the_lowest_caps_are_not_enough_jobs_wait_and_go_on_when_it_is_over",),
    ),
    Mutant(
        "what people send passes above a cut",
        "facility/daemon/guard/cuts.py",
        "return no_higher(decision, [caps for caps in self.kept if caps.pool not in self.commanded - last])",
        "return decision",
        (GUARD + "test_caps_are_kept_one_by_one_for_a_minute_then_a_plan_shares_out_anew_below_the_aim",),
    ),
    Mutant(
        "a plan does not know of a feeder that has too much",
        "facility/daemon/guard/cuts.py",
        "carries, at_worst = 1 - max(cut.excess_kw, 0.0) / limit_kw, 1 - cut.unseen_kw / limit_kw",
        "carries, at_worst = 1.0, 1.0",
        (GUARD + "test_the_plan_is_made_for_a_feeder_that_carries_less",),
    ),
    Mutant(
        "a hall's rise is not looked ahead at",
        "facility/daemon/guard/readings.py",
        "ahead_c, most_c = measured_c + rise * self._constants.look_ahead_s, thermal.allowable_max_c",
        "ahead_c, most_c = measured_c, thermal.allowable_max_c",
        (GUARD + "test_a_rise_of_1_k_in_10_s_is_met_6_k_before_the_end_with_the_lowest_caps_of_that_hall_and_then_jobs",),
    ),
    Mutant(
        "a pool that draws more than its caps allow is believed",
        "facility/daemon/guard/defiance.py",
        "if self._lasting.lasts(name, here.now, while_s, holds=over):",
        "if False:",
        (GUARD + "test_a_pool_that_draws_more_than_its_caps_allow_for_15_seconds_is_told_and_reckoned_with",),
    ),
    Mutant(
        "of a pool whose meter is read seldom as little is awaited as of any other",
        "facility/daemon/guard/defiance.py",
        "while_s = max(READINGS * snapshot.pool_every_s.get(name, PERIOD_S), LASTS_S)",
        "while_s = LASTS_S",
        (GUARD + "test_of_a_meter_that_is_read_once_a_minute_three_minutes_are_awaited",),
    ),
    Mutant(
        "a feeder that is gone carries its load",
        "facility/daemon/guard/tree.py",
        "return frozenset(name for name in quiet if taken_over(name))",
        "return frozenset()",
        (GUARD + "test_a_feeder_that_is_gone_is_told_and_its_group_carries_its_load_until_it_is_back",),
    ),
    Mutant(
        "what gave way at the grid comes back whole, whatever room there is",
        "facility/daemon/guard/guard.py",
        "if lowers(eased.bounded(whole, here), whole):",
        "if False:",
        (AT_GRID + "test_after_a_minute_of_room_as_much_comes_back_as_the_meter_has_room_for",),
    ),
    Mutant(
        "a battery charges at once whatever the meter at the grid shows",
        "facility/daemon/guard/guard.py",
        "if more_kw > 0 and reckoned(begun) > most_kw:",
        "if False:",
        (AT_GRID + "test_a_battery_waits_where_the_meter_has_no_room_yet_for_what_a_plan_has_it_charge_and_then_does",),
    ),
    Mutant(
        "where the meter is lost nothing gives way",
        "facility/daemon/guard/readings.py",
        "if dark := kw is None and meter_lost(self._site, here.snapshot):",
        "if dark := False:",
        (GUARD + "test_where_the_meter_is_lost_the_sum_of_caps_is_brought_within_the_limit_and_is_never_calm",),
    ),
)
