"""Mistakes about how nodes obey: which order holds, what a GPU may have by it, when limits rise, and what a pool of nodes says."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

STANDING = "tests/facility/agents/gpu/test_standing.py::"
SHARE = "tests/facility/agents/gpu/test_share.py::"
OBEYING = "tests/facility/agents/gpu/test_obeying.py::"
NODES = "tests/facility/test_nodes.py::"
POINT = "tests/facility/agents/test_point.py::"
FLEET = "tests/facility/agents/gpu/test_redfish.py::"

MUTANTS = (
    Mutant(
        "an order that comes late replaces a newer one",
        "facility/agents/gpu/standing.py",
        "(order.epoch, order.seq) <= (self.order.epoch, self.order.seq)",
        "order.epoch < self.order.epoch",
        (STANDING + "test_what_is_not_newer_is_dropped",),
    ),
    Mutant(
        "a clock that is set back makes an order last",
        "facility/agents/gpu/standing.py",
        "at.elapsed_s >= self._ends_s or at.now",
        "at.now",
        (STANDING + "test_a_wall_clock_that_is_set_back_makes_no_order_last_longer",),
    ),
    Mutant(
        "a node of many takes the highest cap that may be meant",
        "facility/agents/gpu/share.py",
        "lowest = min([order.cap_w,",
        "lowest = max([order.cap_w,",
        (SHARE + "test_a_node_of_many_holds_the_lowest_cap_that_may_be_meant_and_says_so",),
    ),
    Mutant(
        "a job has its cap on every GPU that it names, however many it was given",
        "facility/agents/gpu/share.py",
        "if gpus and len(gpus) == counted.get(job, 0):",
        "if gpus and job in counted:",
        (SHARE + "test_a_job_that_names_more_or_fewer_gpus_than_it_was_given_tells_nothing",),
    ),
    Mutant(
        "when orders end limits rise to the fallback",
        "facility/agents/gpu/obeying.py",
        "card.ceiling_w = min(self._before(card), fallback_w)",
        "card.ceiling_w = fallback_w",
        (OBEYING + "test_when_orders_end_the_lower_of_fallback_and_what_was_enforced_holds_and_does_not_rise",),
    ),
    Mutant(
        "a lower limit waits as a higher one does",
        "facility/agents/gpu/obeying.py",
        "lower.append((card, allowed_w))",
        "higher.append((card, allowed_w))",
        (OBEYING + "test_limits_fall_at_once_and_rise_some_seconds_later",),
    ),
    Mutant(
        "all nodes rise together",
        "facility/agents/gpu/obeying.py",
        "at.elapsed_s + self._rng.uniform(*RAISE_AFTER_S)",
        "at.elapsed_s + RAISE_AFTER_S[0]",
        (OBEYING + "test_nodes_do_not_rise_together",),
    ),
    Mutant(
        "a limit that is read back higher counts as set",
        "facility/agents/gpu/obeying.py",
        "if reading.limit_w > write.watts:",
        "if reading.limit_w < 0:",
        (OBEYING + "test_a_limit_that_is_set_and_read_back_higher_is_refused_too",),
    ),
    Mutant(
        "who leaves raises limits to the fallback",
        "facility/agents/gpu/obeying.py",
        "left_w = _settable(min(limit_w, self._before(card), fallback_w), card.gpu)",
        "left_w = _settable(fallback_w, card.gpu)",
        (OBEYING + "test_what_is_left_behind_is_as_was_asked",),
    ),
    Mutant(
        "a node that fell silent has no cap any more",
        "facility/telemetry/nodes.py",
        "*(group.cap_w for group in report.groups)]) for report in every),",
        "*(group.cap_w for group in report.groups)]) for report in speaking or every),",
        (NODES + "test_a_node_that_falls_silent_counts_as_gone_at_its_last_cap_and_holds_up_no_order",),
    ),
    Mutant(
        "a pool confirms an order when its first node does",
        "facility/telemetry/nodes.py",
        "epoch, seq = min(orders)",
        "epoch, seq = max(orders)",
        (NODES + "test_of_two_nodes_the_highest_cap_counts_and_draw_and_gpus_add_up",),
    ),
    Mutant(
        "of several limits of a GPU the one that we set counts",
        "facility/agents/gpu/redfish/fleet.py",
        "min(lowest_w, limit_w)",
        "set_w or limit_w",
        (FLEET + "test_the_lowest_of_several_limits_is_what_is_enforced",),
    ),
    Mutant(
        "what was heard before a set-point was handed back shows that that was taken",
        "facility/agents/building/point.py",
        "self._handed, self._told = (had, 1, now), None",
        "self._handed = had, 1, now",
        (POINT + "test_what_was_heard_before_it_was_handed_back_does_not_show_that_that_was_taken",),
    ),
    Mutant(
        "a set-point whose gateway is away is handed back five times and no more",
        "facility/agents/building/point.py",
        "if times >= HANDED and not away:",
        "if times >= HANDED:",
        (POINT + "test_as_long_as_its_gateway_is_away_it_is_handed_back_again",),
    ),
    Mutant(
        "what does not heed is held against the newest order alone, which is never late",
        "facility/daemon/telling/heeding.py",
        "while len(sent) > 1 and self._late(sent[1][0], now):",
        "while len(sent) > 1:",
        ("tests/facility/test_heeding.py::test_what_does_not_act_on_orders_that_are_late_is_told_until_it_does",),
    ),
)
