"""What a node sets, and when: it falls at once, rises late, and never when nobody speaks."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from facility.agents.gpu.device import UNLIMITED_W, Gpu, Reading
from facility.agents.gpu.obeying import FIRST_RETRY_S, LAST_RETRY_S, RAISE_AFTER_S, Obeying, Write
from facility.agents.gpu.standing import Moment
from facility.agents.gpu.telling import report
from facility.bus.interface import MAX_PAYLOAD_BYTES
from facility.bus.messages import CapDesired, CapGroup, encode

START = datetime(2026, 7, 15, 10, tzinfo=UTC)
LATEST_S = RAISE_AFTER_S[1]


def gpus(count: int, **more: str) -> list[Gpu]:
    return [Gpu(f"GPU-{i}", f"n/{i}", 100, 400, 400, **more) for i in range(count)]


def at(seconds: float) -> Moment:
    return Moment(START + timedelta(seconds=seconds), seconds)


def order(seq: int, cap_w: int, *, issued: float = 0, lasts: float = 60, fallback_w: int = 150, groups=()) -> CapDesired:
    issued_at = START + timedelta(seconds=issued)
    return CapDesired(
        epoch=1, seq=seq, issued_at=issued_at, valid_until=issued_at + timedelta(seconds=lasts), cap_w=cap_w, fallback_cap_w=fallback_w, groups=groups
    )  # fmt: skip


class Node:
    """A machine that obeys, and GPUs that do as they are told; `refuses` are those that do not."""

    def __init__(self, count: int = 2, limit_w: int = 400, seed: int = 0, **more: str) -> None:
        self.obeying = Obeying(gpus(count, **more), whole=True, rng=random.Random(seed))
        self.limits_w = {f"GPU-{i}": limit_w for i in range(count)}
        self.refuses: set[str] = set()
        self.read()

    def read(self) -> list[str]:
        return [self.obeying.read(card.gpu, self.reading(card.gpu)) for card in list(self.obeying.cards.values())]

    def reading(self, gpu: Gpu) -> Reading:
        watts = self.limits_w[gpu.id]
        return Reading(watts, watts, watts * 0.9)

    def carry_out(self, seconds: float) -> tuple[Write, ...]:
        writes = self.obeying.writes(at(seconds))
        for write in writes:
            if write.gpu.id in self.refuses:
                self.obeying.refused(write.gpu, "no permission", at(seconds))
            else:
                self.limits_w[write.gpu.id] = write.watts
                self.obeying.wrote(write, self.reading(write.gpu), at(seconds))
        return writes

    @property
    def watts(self) -> list[int]:
        return list(self.limits_w.values())


def test_before_any_order_nothing_is_set() -> None:
    node = Node()
    assert node.carry_out(0) == ()
    assert node.obeying.leave("fallback") == ()


def test_limits_fall_at_once_and_rise_some_seconds_later() -> None:
    node = Node()
    node.obeying.order(order(1, 200), at(0))
    node.carry_out(0)
    assert node.watts == [200, 200]
    node.obeying.order(order(2, 300), at(1))
    assert node.carry_out(1) == ()
    wait_s = node.obeying.due_s(at(1))
    assert RAISE_AFTER_S[0] <= wait_s <= RAISE_AFTER_S[1]
    assert node.carry_out(1 + wait_s - 0.01) == ()
    node.carry_out(1 + wait_s)
    assert node.watts == [300, 300]


def test_a_rise_that_waits_goes_no_further_than_the_newest_order_and_is_not_put_off_by_it() -> None:
    node = Node(limit_w=200)
    node.obeying.order(order(1, 400), at(0))
    node.carry_out(0)
    wait_s = node.obeying.due_s(at(0))
    node.obeying.order(order(2, 250), at(0.3))
    node.carry_out(0.3)
    assert node.obeying.due_s(at(0.3)) == pytest.approx(wait_s - 0.3)
    node.carry_out(wait_s + 0.001)
    assert node.watts == [250, 250]


def test_nodes_do_not_rise_together() -> None:
    nodes = [Node(limit_w=200, seed=seed) for seed in range(20)]
    for node in nodes:
        node.obeying.order(order(1, 400), at(0))
        node.carry_out(0)
    waits = sorted(node.obeying.due_s(at(0)) for node in nodes)
    assert waits[-1] - waits[0] > 1
    assert len(set(waits)) == 20


def test_when_orders_end_the_lower_of_fallback_and_what_was_enforced_holds_and_does_not_rise() -> None:
    node = Node()
    node.obeying.order(order(1, 120, groups=(CapGroup(workload="j", gpus=1, cap_w=300),)), at(0))
    node.carry_out(0)
    assert node.watts == [300, 120]
    assert node.obeying.due_s(at(10)) == pytest.approx(50)
    node.carry_out(60)
    assert node.watts == [150, 120]
    node.limits_w["GPU-1"] = 140
    node.read()
    node.carry_out(62)
    assert node.watts == [150, 120]


def test_a_rise_still_waiting_when_the_order_ends_does_not_happen() -> None:
    node = Node(limit_w=200)
    node.obeying.order(order(1, 400, lasts=0.2), at(0))
    node.carry_out(0)
    node.carry_out(0.2)
    node.carry_out(10)
    assert node.watts == [150, 150]


def test_what_somebody_else_raises_is_set_again_and_said() -> None:
    node = Node()
    node.obeying.order(order(1, 200), at(0))
    node.carry_out(0)
    node.limits_w["GPU-1"] = 400
    assert node.read() == ["", "something else raised the limit of n/1 from 200 W to 400 W"]
    node.carry_out(2)
    assert node.watts == [200, 200]
    assert node.read() == ["", ""]


def test_what_somebody_else_lowers_stays_so_until_the_next_order() -> None:
    node = Node()
    node.obeying.order(order(1, 300), at(0))
    node.carry_out(0)
    node.limits_w["GPU-0"] = 200
    node.read()
    assert node.carry_out(30) == ()
    node.obeying.order(order(2, 300), at(31))
    node.carry_out(31)
    node.carry_out(31 + LATEST_S)
    assert node.watts == [300, 300]


def test_a_lower_limit_of_somebody_else_is_what_is_told_and_not_fought() -> None:
    node = Node(1)
    node.obeying.order(order(1, 300), at(0))
    node.carry_out(0)
    node.obeying.read(node.obeying.cards["GPU-0"].gpu, Reading(300, 220, 200.0))
    assert node.carry_out(1) == ()
    assert report(node.obeying, START, node.obeying.standing.order).enforced_cap_w == 220
    node.obeying.writes(at(60))
    assert node.obeying.cards["GPU-0"].ceiling_w == 150


def test_a_refused_limit_is_tried_again_ever_more_seldom_and_told_once() -> None:
    node = Node(1)
    gpu = node.obeying.cards["GPU-0"].gpu
    node.obeying.order(order(1, 200, lasts=10_000), at(0))
    node.obeying.writes(at(0))
    assert node.obeying.refused(gpu, "no permission", at(0)) == "n/0 does not obey: no permission"
    assert node.obeying.refused(gpu, "no permission", at(1)) == ""
    told = report(node.obeying, START, node.obeying.standing.order)
    assert (told.enforced_cap_w, told.seq) == (400, 1)
    node.refuses = {"GPU-0"}
    tries = [seconds for seconds in range(2, 300) if node.carry_out(seconds)]
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[0] == 4 * FIRST_RETRY_S
    assert gaps[-1] == LAST_RETRY_S
    node.refuses = set()
    node.carry_out(400)
    assert node.watts == [200]


def test_a_rise_that_is_refused_is_waited_for_as_long_as_it_is_not_tried() -> None:
    node = Node(1, limit_w=200)
    node.refuses = {"GPU-0"}
    node.obeying.order(order(1, 400, lasts=1000), at(0))
    node.carry_out(0)
    assert len(node.carry_out(10)) == 1
    assert node.obeying.due_s(at(10)) == pytest.approx(FIRST_RETRY_S)


def test_a_limit_that_is_set_and_read_back_higher_is_refused_too() -> None:
    node = Node(1)
    gpu = node.obeying.cards["GPU-0"].gpu
    node.obeying.order(order(1, 200), at(0))
    assert "200 W was set, 400 W is read back" in node.obeying.wrote(Write(gpu, 200), Reading(400, 400), at(0))
    assert node.obeying.writes(at(0.5)) == ()
    assert node.obeying.wrote(Write(gpu, 200), Reading(200, 200), at(1)) == "n/0 obeys again"


def test_a_rise_that_nobody_answered_counts_as_set_until_the_gpu_tells() -> None:
    node = Node(1, limit_w=200)
    gpu = node.obeying.cards["GPU-0"].gpu
    node.obeying.order(order(1, 300, lasts=1000), at(0))
    node.obeying.writes(at(0))
    assert node.obeying.writes(at(5)) == (Write(gpu, 300),)
    node.obeying.refused(gpu, "no answer", at(5), 300)
    assert report(node.obeying, START, None).enforced_cap_w == 300
    node.obeying.order(order(2, 200, lasts=1000), at(6))
    assert node.obeying.writes(at(6)) == (Write(gpu, 200),), "what was read before says nothing"
    node.limits_w["GPU-0"] = 300
    assert node.read() == [""], "nobody else has raised it"
    node.carry_out(7)
    assert report(node.obeying, START, None).enforced_cap_w == 200


def test_a_refused_rise_that_was_not_set_is_told_as_it_is_once_the_gpu_tells() -> None:
    node = Node(1, limit_w=200)
    gpu = node.obeying.cards["GPU-0"].gpu
    node.obeying.order(order(1, 300, lasts=1000), at(0))
    node.obeying.refused(gpu, "no permission", at(5), 300)
    node.read()
    assert report(node.obeying, START, None).enforced_cap_w == 200
    assert node.obeying.writes(at(5.5)) == ()


def test_another_order_and_the_end_of_one_wait_for_no_limit_that_was_refused_before() -> None:
    node = Node(1)
    node.refuses = {"GPU-0"}
    node.obeying.order(order(1, 300, lasts=1000), at(0))
    for seconds in range(300):
        node.carry_out(seconds)
    assert node.obeying.cards["GPU-0"].retry_s > 300
    node.obeying.order(order(2, 200, issued=300, lasts=1000), at(300))
    assert [write.watts for write in node.carry_out(300)] == [200]
    for seconds in range(301, 1300):
        node.carry_out(seconds)
    assert node.obeying.cards["GPU-0"].retry_s > 1300
    assert [write.watts for write in node.carry_out(1300)] == [150]


def test_a_gpu_that_does_not_tell_keeps_what_it_told_last_and_that_is_said_once() -> None:
    node = Node(1)
    gpu = node.obeying.cards["GPU-0"].gpu
    assert node.obeying.unread(gpu, "no answer") == "n/0 does not tell how it is: no answer"
    assert node.obeying.unread(gpu, "no answer") == ""
    assert report(node.obeying, START, None).enforced_cap_w == 400
    assert not node.obeying.unknown
    node.read()
    assert node.obeying.unread(gpu, "no answer") != ""


def test_gpus_that_come_later_obey_too() -> None:
    node = Node(1)
    node.obeying.order(order(1, 200), at(0))
    node.carry_out(0)
    node.obeying.welcome(gpus(2))
    assert node.obeying.unknown
    node.limits_w["GPU-1"] = 400
    node.read()
    node.carry_out(1)
    assert node.watts == [200, 200]
    assert not node.obeying.unknown


def test_a_lost_gpu_is_gone_and_obeys_when_it_is_back() -> None:
    node = Node()
    gpu = node.obeying.cards["GPU-1"].gpu
    assert node.obeying.lost(gpu) == "n/1 is lost"
    assert node.obeying.lost(gpu) == ""
    node.obeying.order(order(1, 200), at(0))
    node.carry_out(0)
    assert node.watts == [200, 400]
    told = report(node.obeying, START, node.obeying.standing.order)
    assert (told.gpus, told.gone, told.enforced_cap_w) == (("n/0",), ("n/1",), 200)
    assert "n/1 is back" in node.read()
    node.carry_out(2)
    assert node.watts == [200, 200]


def test_what_cannot_be_capped_is_told_as_enforcing_nothing_and_never_set() -> None:
    node = Node(1, cannot="a vGPU")
    node.obeying.cards["GPU-0"].reading = None
    node.obeying.order(order(1, 200), at(0))
    assert node.carry_out(0) == ()
    told = report(node.obeying, START, node.obeying.standing.order)
    assert (told.enforced_cap_w, told.draw_kw, told.seq) == (UNLIMITED_W, None, 1)


@pytest.mark.parametrize(("how", "left_w"), [("fallback", [150, 150]), ("keep", [300, 120]), ("default", [400, 400])])
def test_what_is_left_behind_is_as_was_asked(how, left_w) -> None:
    node = Node()
    node.obeying.order(order(1, 120, groups=(CapGroup(workload="j", gpus=1, cap_w=300),)), at(0))
    node.carry_out(0)
    for write in node.obeying.leave(how):
        node.limits_w[write.gpu.id] = write.watts
    assert node.watts == (left_w if how != "fallback" else [150, 120])


def test_a_report_confirms_the_order_names_gpus_by_work_and_adds_up_what_they_draw() -> None:
    node = Node(3)
    assert report(node.obeying, START, node.obeying.standing.order).seq is None
    node.obeying.order(order(7, 120, groups=(CapGroup(workload="j", gpus=2, cap_w=300),)), at(0))
    node.carry_out(0)
    told = report(node.obeying, START, node.obeying.standing.order)
    assert (told.epoch, told.seq, told.enforced_cap_w) == (1, 7, 300)
    assert told.groups == (CapGroup(workload="j", gpus=("n/0", "n/1"), cap_w=300),)
    assert told.gpus == ("n/0", "n/1", "n/2")
    assert told.draw_kw == pytest.approx(0.9 * 0.72)
    assert report(node.obeying, START, None).seq is None


@pytest.mark.parametrize(("count", "named"), [(2800, True), (3000, False)])
def test_more_gpus_than_a_message_holds_are_counted(count: int, named: bool) -> None:
    node = Node(count)
    node.obeying.order(order(1, 200, groups=(CapGroup(workload="j", gpus=count, cap_w=300),)), at(0))
    node.carry_out(0)
    told = report(node.obeying, START, node.obeying.standing.order)
    assert (told.gpus == count) is not named
    assert bool(told.groups) is named
    assert told.gone == (() if named else 0)
    assert len(encode(told)) < MAX_PAYLOAD_BYTES


@pytest.mark.parametrize("seed", range(4))
def test_ten_thousand_orders_lost_doubled_and_out_of_order_never_leave_a_limit_above_the_newest_valid_one(seed: int) -> None:
    rng, node = random.Random(seed), Node(3, seed=seed)
    names = [card.gpu.name for card in node.obeying.cards.values()]
    arriving: list[tuple[float, CapDesired]] = []
    newest: CapDesired | None = None
    obeyed = silences = 0
    seconds, before = 0.0, node.watts
    for seq in range(1, 10_001):
        seconds += rng.expovariate(2.0) if rng.random() > 0.002 else rng.uniform(20, 60)
        groups = (CapGroup(workload="j", gpus=tuple(rng.sample(names, 2)), cap_w=rng.randint(80, 420)),)
        sent = order(seq, rng.randint(100, 400), issued=seconds, lasts=rng.uniform(1, 15), fallback_w=rng.randint(100, 200), groups=groups)
        arriving += [(seconds + rng.expovariate(1.0), sent)] * rng.choices([0, 1, 2], [2, 6, 2])[0]
        arriving.sort(key=lambda pair: pair[0])
        while arriving and arriving[0][0] <= seconds:
            _, came = arriving.pop(0)
            fits = 100 <= came.groups[0].cap_w <= 400
            if fits and came.valid_until > at(seconds).now and (newest is None or came.seq > newest.seq):
                newest = came
                obeyed += 1
            node.obeying.order(came, at(seconds))
        if rng.random() < 0.01:
            node.limits_w[f"GPU-{rng.randrange(3)}"] = rng.randint(100, 400)
            node.read()
            before = node.watts
        node.carry_out(seconds)
        if newest is not None and newest.valid_until > at(seconds).now:
            named = newest.groups[0]
            for name, limit_w in zip(names, node.watts, strict=True):
                assert limit_w <= (named.cap_w if name in named.gpus else newest.cap_w)
        elif newest is not None:
            silences += 1
            assert all(now_w <= was_w and now_w <= newest.fallback_cap_w for now_w, was_w in zip(node.watts, before, strict=True))
        before = node.watts
    assert obeyed > 2000
    assert silences > 10
