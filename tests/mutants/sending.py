"""Mistakes about what is sent: what may be in force, what goes on without a plan, and what is not measured."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ACTUATE = "tests/facility/test_actuate.py::"
BLIND = "tests/facility/test_blind.py::"
STANDBY = "tests/facility/test_standby.py::"
OVERRULE = "tests/facility/test_overrule.py::"

MUTANTS = (
    Mutant(
        "where messages mix, each GPU has the lower cap",
        "facility/daemon/ceiling.py",
        "found[workload] = [max(pair) for pair in zip(mine, theirs, strict=False)]",
        "found[workload] = [min(pair) for pair in zip(mine, theirs, strict=False)]",
        (ACTUATE + "test_a_ceiling_is_above_both_messages_and_a_lower_part_raises_neither",),
    ),
    Mutant(
        "the part that lowers raises too",
        "facility/daemon/ceiling.py",
        "counts[workload, min(cap_w, mine[i] if i < len(mine) else floor_w)] += 1",
        "counts[workload, cap_w] += 1",
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
        "for giving in (site.pools.keys() - last, last):",
        "for giving in (last, site.pools.keys() - last):",
        (OVERRULE + "test_pools_whose_cap_somebody_commanded_give_way_last",),
    ),
)
