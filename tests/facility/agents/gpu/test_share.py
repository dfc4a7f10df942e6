"""Which cap of an order each GPU of a node must not exceed."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from facility.agents.gpu.share import Share, share
from facility.bus.messages import CapDesired, CapGroup

AT = datetime(2026, 7, 15, 10, tzinfo=UTC)
NAMES = ("n/0", "n/1", "n/2", "n/3")


def order(*groups: tuple[str, int | tuple[str, ...], int], rest_w: int = 200) -> CapDesired:
    told = tuple(CapGroup(workload=workload, gpus=gpus, cap_w=cap_w) for workload, gpus, cap_w in groups)
    return CapDesired(epoch=1, seq=1, issued_at=AT, valid_until=AT, cap_w=rest_w, fallback_cap_w=100, groups=told)


def watts(found: Share) -> list[int]:
    return [found.caps[name].cap_w for name in NAMES]


def test_gpus_that_are_named_have_the_cap_of_their_group_and_the_rest_the_common_one() -> None:
    asked = order(("chat", ("n/0", "m/7"), 400), ("tune", ("n/2",), 300))
    for whole in (True, False):
        assert watts(share(asked, NAMES, whole=whole)) == [400, 200, 300, 200]
        assert not share(asked, NAMES, whole=whole).guessed


def test_of_two_groups_that_name_a_gpu_the_lower_counts_and_a_part_of_a_gpu_is_the_gpu() -> None:
    assert watts(share(order(("a", ("n/0",), 400), ("b", ("n/0",), 300)), NAMES, whole=False))[0] == 300
    assert watts(share(order(("a", ("n/1/0",), 400), ("b", ("n/1/3",), 250)), NAMES, whole=False)) == [200, 250, 200, 200]


def test_a_node_that_is_the_whole_pool_spreads_counts() -> None:
    assert watts(share(order(("chat", 1, 400), ("tune", 2, 300)), NAMES, whole=True)) == [400, 300, 300, 200]


def test_a_node_of_many_holds_the_lowest_cap_that_may_be_meant_and_says_so() -> None:
    found = share(order(("chat", 1, 400), ("tune", 2, 150)), NAMES, whole=False)
    assert watts(found) == [150] * 4
    assert found.guessed == NAMES
    assert share(order(("chat", 1, 400)), NAMES, whole=False).caps["n/0"].cap_w == 200


def test_a_node_that_is_rented_to_somebody_has_the_caps_of_that_rental() -> None:
    asked = order(("chat", 100, 400), ("tune", 2, 150))
    found = share(asked, NAMES, whole=False, workload="chat")
    assert watts(found) == [400] * 4
    assert not found.guessed
    assert watts(share(asked, NAMES, whole=False, workload="nobody")) == [200] * 4
    assert watts(share(order(("chat", 9, 400), ("chat", 9, 350)), NAMES, whole=False, workload="chat")) == [350] * 4


def test_a_job_that_names_its_gpus_has_its_group_there_and_no_other_gpu_has() -> None:
    found = share(order(("job", 2, 150)), NAMES, whole=False, holds={"job": ("n/0", "m/1")})
    assert watts(found) == [150, 200, 200, 200]
    assert not found.guessed
    assert watts(share(order(("job", 2, 400)), NAMES, whole=True, holds={"job": ("n/3", "n/2")})) == [200, 200, 400, 400]


def test_a_job_that_names_more_or_fewer_gpus_than_it_was_given_tells_nothing() -> None:
    assert watts(share(order(("job", 1, 400)), NAMES, whole=False, holds={"job": ("n/0", "n/1")})) == [200] * 4
    assert watts(share(order(("job", 2, 150)), NAMES, whole=False, holds={"job": ("n/0",)})) == [150] * 4


@given(
    groups=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 3), st.integers(100, 400)), max_size=4),
    rest_w=st.integers(100, 400),
    held=st.dictionaries(st.sampled_from(["a", "b"]), st.lists(st.sampled_from(["n/0", "n/1", "m/0", "m/1"]), unique=True, max_size=3)),
)
def test_two_nodes_together_never_have_more_than_an_order_that_counts_all_gpus_allows(groups, rest_w, held) -> None:
    taken = [name for names in held.values() for name in names]
    if len(taken) != len(set(taken)) or sum(count for _, count, _ in groups) > 4:
        return
    asked = order(*groups, rest_w=rest_w)
    holds = {job: tuple(names) for job, names in held.items()}
    found = [share(asked, (f"{node}/0", f"{node}/1"), whole=False, holds=holds).caps for node in "nm"]
    has = sum(cap.cap_w for caps in found for cap in caps.values())
    allowed = [cap_w for _, count, cap_w in groups for _ in range(count)]
    assert has <= sum(allowed) + rest_w * (4 - len(allowed))
