"""Mistakes of the second opinion: what it would let through."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FEEDERS = "tests/facility/verify/test_feeders.py::"
FORM = "tests/facility/verify/test_form.py::"
HEAT = "tests/facility/verify/test_heat.py::"
ENVELOPE = "tests/facility/verify/test_envelope.py::"
SUPPLY = "tests/facility/verify/test_supply.py::"
TENANCY = "tests/facility/verify/test_tenancy.py::"

MUTANTS = (
    Mutant(
        "the margin of a feeder is forgotten",
        "facility/verify/loads.py",
        "feeder.rating_kw * min(share, feeder.worst_case_margin)",
        "feeder.rating_kw * share",
        (FEEDERS + "test_a_limit_of_the_site_holds_at_the_derived_amount_and_fires_just_below",),
    ),
    Mutant(
        "a group is judged without its smallest feeder, not its largest",
        "facility/verify/loads.py",
        "sum(rating) - max(rating), sum(worst) - max(worst)",
        "sum(rating) - min(rating), sum(worst) - min(worst)",
        (FEEDERS + "test_without_the_largest_feeder_of_a_group_the_others_carry_the_worst_case_whatever_message_is_lost",),
    ),
    Mutant(
        "the loss of a feeder is ignored",
        "facility/verify/loads.py",
        "if feeder.redundancy_group is not None:",
        "if False:",
        (FEEDERS + "test_without_the_largest_feeder_of_a_group_the_others_carry_what_is_expected",),
    ),
    Mutant(
        "a group carries the largest of its feeders' loads instead of their sum",
        "facility/verify/loads.py",
        "return sum(loads[feeder] for feeder in self.feeders)",
        "return max(loads[feeder] for feeder in self.feeders)",
        (FEEDERS + "test_the_others_of_a_group_carry_the_sum_of_its_loads",),
    ),
    Mutant(
        "what flows back through a feeder gains by its losses",
        "facility/verify/loads.py",
        "site.feeders[feeder_id].loss_share * abs(passes_kw)",
        "site.feeders[feeder_id].loss_share * passes_kw",
        (FEEDERS + "test_what_flows_back_through_a_feeder_loses_too",),
    ),
    Mutant(
        "feeders below are forgotten",
        "facility/verify/loads.py",
        "passes_kw = net[feeder_id] + sum(into(child) for child in below[feeder_id])",
        "passes_kw = net[feeder_id] + 0 * sum(into(child) for child in below[feeder_id])",
        (FEEDERS + "test_the_decision_derived_by_hand_is_accepted_and_its_feeders_carry_what_was_derived",),
    ),
    Mutant(
        "of two messages the lower caps count at worst",
        "facility/verify/draw.py",
        "for cap_w, gpus in sorted(caps, reverse=True):",
        "for cap_w, gpus in sorted(caps):",
        (FEEDERS + "test_a_lost_message_leaves_the_old_cap_and_the_mixture_must_fit",),
    ),
    Mutant(
        "hosts draw nothing at worst",
        "facility/verify/draw.py",
        "total_w, left = pool.gpus * pool.host_run_w, pool.gpus",
        "total_w, left = 0.0, pool.gpus",
        (ENVELOPE + "test_whole_pool_caps_fit_up_to_the_margin",),
    ),
    Mutant(
        "no message is ever lost",
        "facility/verify/feeders.py",
        "if not fired and it.load_kw(mixed) > it.load_kw(before) + SLACK:",
        "if not fired and it.load_kw(alone) > it.load_kw(before) + SLACK:",
        (FEEDERS + "test_a_lost_message_leaves_the_old_cap_and_the_mixture_must_fit",),
    ),
    Mutant(
        "a decrease is refused for the height it starts from",
        "facility/verify/feeders.py",
        "if not fired and it.load_kw(mixed) > it.load_kw(before) + SLACK:",
        "if not fired:",
        (FEEDERS + "test_a_decrease_is_not_refused_for_the_height_it_starts_from",),
    ),
    Mutant(
        "a battery that discharges is relied on at worst",
        "facility/verify/feeders.py",
        "charge_kw = {order.battery: max(order.power_kw, 0.0) for order in decision.batteries}",
        "charge_kw = {order.battery: order.power_kw for order in decision.batteries}",
        (SUPPLY + "test_a_charging_battery_loads_its_feeder_and_a_discharging_one_helps_only_what_is_expected",),
    ),
    Mutant(
        "the grid's limit is not looked at",
        "facility/verify/feeders.py",
        'yield from over(Violation("grid.limit", site.grid.feed, import_kw, "kW", limit_kw, says, "grid"))',
        'yield from over(Violation("grid.limit", site.grid.feed, 0.0, "kW", limit_kw, says, "grid"))',
        (FEEDERS + "test_a_limit_of_the_site_holds_at_the_derived_amount_and_fires_just_below",),
    ),
    Mutant(
        "a hall that is too hot may be given more power",
        "facility/verify/heat.py",
        "if sum(it_kw[pool] for pool in pools) > was_kw + SLACK:",
        "if False:",
        (HEAT + "test_a_hall_above_its_allowable_band_gets_no_more_power",),
    ),
    Mutant(
        "a plant may be asked to remove anything",
        "facility/verify/heat.py",
        'yield from over(Violation("cooling.removes_heat", plant_id, heat_kw,',
        'yield from over(Violation("cooling.removes_heat", plant_id, 0.0,',
        (FEEDERS + "test_a_limit_of_the_site_holds_at_the_derived_amount_and_fires_just_below",),
    ),
    Mutant(
        "a battery gives its ride-through away",
        "facility/verify/stores.py",
        'yield from under(Violation("battery.ride_through", name, kept_kwh, "kWh", needed_kwh, says, "plant"))',
        'yield from under(Violation("battery.ride_through", name, kept_kwh, "kWh", 0.0, says, "plant"))',
        (SUPPLY + "test_a_battery_is_not_discharged_into_what_carries_the_worst_case_for_its_ride_through",),
    ),
    Mutant(
        "a rental's floor is not checked",
        "facility/verify/tenancy.py",
        'yield from under(Violation("firm.floor", name, speed, "1", contract.least_speed, says, "contract"))',
        "yield from ()",
        (FEEDERS + "test_a_limit_of_the_site_holds_at_the_derived_amount_and_fires_just_below",),
    ),
    Mutant(
        "a job may run a second before it is submitted",
        "facility/verify/jobs.py",
        "if gpus and early_s > 0:",
        "if gpus and early_s > 1:",
        (TENANCY + "test_a_job_runs_from_its_submission_and_also_when_it_is_late",),
    ),
    Mutant(
        "a cap above the settable range passes",
        "facility/verify/form.py",
        "elif not model.min_cap_w <= cap_w <= model.max_cap_w:",
        "elif not model.min_cap_w <= cap_w:",
        (FORM + "test_caps_hold_at_both_ends_of_the_settable_range_and_fire_one_watt_outside",),
    ),
    Mutant(
        "what is no number passes",
        "facility/verify/violation.py",
        "not isinstance(value, bool) and math.isfinite(value)",
        "not isinstance(value, bool) and not math.isinf(value)",
        (FORM + "test_what_is_no_finite_number_is_a_violation_wherever_it_stands",),
    ),
    Mutant(
        "an amount that is no number is within every limit",
        "facility/verify/violation.py",
        "if found.amount is not None and found.allowed is not None and found.amount <= found.allowed + SLACK:",
        "if found.amount is None or found.allowed is None or found.amount <= found.allowed + SLACK:",
        (FORM + "test_an_amount_that_is_no_number_is_within_no_limit",),
    ),
    Mutant(
        "a pool may be left out",
        "facility/verify/form.py",
        "if sent[pool] != expected:",
        "if sent[pool] > expected:",
        (FORM + "test_every_pool_is_sent_exactly_one_message",),
    ),
    Mutant(
        "fallback caps may fill a whole feeder",
        "facility/verify/envelope.py",
        "FALLBACK_SHARE = 0.8",
        "FALLBACK_SHARE = 1.0",
        (ENVELOPE + "test_fallback_caps_fill_80_percent_of_the_tightest_feeder",),
    ),
    Mutant(
        "fallback caps are for the coldest hour",
        "facility/verify/envelope.py",
        "supplied(site), max(site.weather.outdoor_by_hour_c)",
        "supplied(site), min(site.weather.outdoor_by_hour_c)",
        (ENVELOPE + "test_fallback_caps_are_for_the_hottest_hour_of_the_design_day",),
    ),
)
