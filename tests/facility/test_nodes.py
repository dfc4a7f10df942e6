"""A pool of many machines is told node by node, and is one pool to everybody who asks."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from facility.bus.messages import CapGroup, CapReported
from facility.clock import ManualClock
from facility.commands.page import Page
from facility.console.model.heard import Heard
from facility.simulate.reference import Reference
from facility.telemetry import Telemetry
from facility.telemetry import nodes as room
from facility.telemetry.nodes import PATIENCE_S, Nodes, merged
from tests.facility.test_checklist import AGENT, ORDER, items
from tests.facility.test_daemon import NOW as THEN
from tests.facility.test_plant import START
from tests.facility.test_plant import site as plant_site
from tests.facility.test_telemetry import NOW, SITE, message, ms


def told(seconds: float = 0, **more: Any) -> CapReported:
    """What a node of 5 GPUs said, `seconds` after `NOW`."""
    fields = {"timestamp": ms(later(seconds)), "epoch": 7, "seq": 3, "enforced_cap_w": 200, "draw_kw": 0.8, "gpus": 5}
    return CapReported(**(fields | more))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_of_two_nodes_the_highest_cap_counts_and_draw_and_gpus_add_up() -> None:
    a = told(1, enforced_cap_w=250, groups=(CapGroup(workload="j", gpus=2, cap_w=250),), gone=1)
    b = told(0, seq=2, groups=(CapGroup(workload="j", gpus=3, cap_w=200),))
    pool = merged({"a": a, "b": b}, NOW)
    assert (pool.enforced_cap_w, pool.gpus, pool.gone) == (250, 10, 1)
    assert pool.draw_kw == pytest.approx(1.6)
    assert pool.groups == (*a.groups, *b.groups)
    assert (pool.epoch, pool.seq, pool.timestamp) == (7, 2, ms(NOW))


def test_names_stay_names_where_all_are_named() -> None:
    pool = merged({"a": told(gpus=("a/0", "a/1"), gone=("a/2",)), "b": told(gpus=("b/0",), gone=())}, NOW)
    assert (pool.gpus, pool.gone) == (("a/0", "a/1", "b/0"), ("a/2",))
    mixed = merged({"a": told(gpus=("a/0", "a/1"), gone=("a/2",)), "b": told(gone=2)}, NOW)
    assert (mixed.gpus, mixed.gone) == (7, 3)
    assert merged({"a": told(gpus=None), "b": told()}, NOW).gpus is None


def test_a_pool_obeys_an_order_when_its_last_node_does_and_draws_what_all_tell() -> None:
    assert merged({"a": told(epoch=8, seq=1), "b": told(seq=9)}, NOW).seq == 9
    assert merged({"a": told(), "b": told(epoch=None, seq=None)}, NOW).epoch is None
    assert merged({"a": told(), "b": told(draw_kw=None)}, NOW).draw_kw is None


def test_a_node_that_falls_silent_counts_as_gone_at_its_last_cap_and_holds_up_no_order() -> None:
    reports = {"a": told(0, enforced_cap_w=400, seq=1, gpus=("a/0", "a/1")), "b": told(PATIENCE_S, gpus=("b/0",))}
    before, after = merged(reports, later(PATIENCE_S)), merged(reports, later(PATIENCE_S + 0.001))
    assert (before.seq, before.gone) == (1, 0)
    assert (after.seq, after.enforced_cap_w, after.gpus, after.gone) == (3, 400, ("b/0",), ("a/0", "a/1"))
    assert after.draw_kw == pytest.approx(0.8)
    nobody = merged(reports, later(1000))
    assert (nobody.seq, nobody.gpus, nobody.enforced_cap_w, nobody.timestamp) == (None, (), 400, ms(later(PATIENCE_S)))


def test_what_is_kept_is_the_newest_of_each_node_until_it_is_withdrawn_or_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_NODES", 2)
    nodes = Nodes()
    assert nodes.of("p", NOW) is None
    assert nodes.take("p", "a", told(5)) == ""
    assert "older" in nodes.take("p", "a", told(4))
    assert nodes.take("p", "b", told(5)) == ""
    assert "more than" in nodes.take("p", "c", told(5))
    assert nodes.pools() == ("p",)
    assert nodes.of("p", later(5)).gpus == 10  # type: ignore[union-attr]
    assert nodes.of("p", later(5)) is nodes.of("p", later(6))
    assert nodes.of("p", later(6 + PATIENCE_S)).gone == 10  # type: ignore[union-attr]
    nodes.take("p", "a", None)
    nodes.take("p", "b", None)
    assert nodes.of("p", NOW) is None


def report(seconds: float = 0, **more: Any) -> dict[str, Any]:
    return {"timestamp": ms(later(seconds)), "epoch": 7, "seq": 3, "enforced_cap_w": 100, "gpus": 5} | more


def test_the_site_is_seen_as_its_nodes_say_and_misses_the_gpus_of_those_that_are_silent() -> None:
    telemetry = Telemetry(SITE)
    assert telemetry.accept(message("cap/h/p/node/a/reported", report(enforced_cap_w=120)), NOW) is None
    assert telemetry.gone(NOW) == {"p": 5}, "the other node was never heard of"
    assert telemetry.accept(message("cap/h/p/node/b/reported", report(20)), later(20)) is None
    assert telemetry.gone(later(20)) == {}
    assert telemetry.snapshot(later(20)).enforced_cap_w == {"p": 120}
    assert telemetry.reported("p").seq == 3  # type: ignore[union-attr]
    assert telemetry.gone(later(PATIENCE_S + 1)) == {"p": 5}
    assert telemetry.snapshot(later(PATIENCE_S + 1)).enforced_cap_w == {"p": 120}
    assert telemetry.accept(message("cap/h/p/node/a/reported", None), later(32)) is None
    assert telemetry.snapshot(later(32)).enforced_cap_w == {"p": 100}
    assert telemetry.accept(message("cap/h/p/node/b/reported", None), later(32)) is None
    assert telemetry.reported("p") is None
    telemetry.accept(message("cap/h/p/node/a/reported", report(40, gpus=["a/0", "a/1", "a/2"])), later(40))
    assert telemetry.gone(later(40)) == {"p": 7}


def test_what_a_node_says_is_refused_where_it_is_old_or_of_no_pool_and_so_is_the_pool_beside_it() -> None:
    telemetry = Telemetry(SITE)
    telemetry.accept(message("cap/h/p/node/a/reported", report(5)), later(5))
    assert "older" in str(telemetry.accept(message("cap/h/p/node/a/reported", report(4)), later(5)))
    assert "no pool x" in str(telemetry.accept(message("cap/h/x/node/a/reported", report(5)), later(5)))
    assert "node by node" in str(telemetry.accept(message("cap/h/p/reported", report(6)), later(6)))
    assert telemetry.reported("p").timestamp == ms(later(5))  # type: ignore[union-attr]


def test_console_page_and_checklist_know_a_pool_by_its_nodes() -> None:
    clock = ManualClock(NOW)
    heard = Heard(SITE, clock)
    for node, watts in (("a", 120), ("b", 110)):
        heard.hear(message(f"cap/h/p/node/{node}/reported", report(enforced_cap_w=watts)))
    assert any(pattern.endswith("cap/+/+/node/+/reported") for pattern in heard.patterns)
    assert (heard.reports["p"].enforced_cap_w, heard.reports["p"].gpus) == (120, 10)
    site, clock = plant_site(), ManualClock(START)
    page, pool = Page(site, clock, Reference(site, START)), next(iter(site.pools))  # type: ignore[arg-type]
    topic = f"{site.bus.root}/{site.id}/cap/{site.pools[pool].hall}/{pool}/node/a/reported"
    told_by_node = message("x", report(enforced_cap_w=137, timestamp=ms(START)))
    page.take(type(told_by_node)(topic, told_by_node.payload))
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as seen:
        console.print(page.render())
    assert "137" in seen.get()
    both = {f"cap/h/p/node/{node}/reported": report(timestamp=ms(THEN), enforced_cap_w=200, seq=seq) for node, seq in (("a", 3), ("b", 3))}
    assert items(both | {"cap/h/p/desired": ORDER})[AGENT].result == "pass"
    late = both | {"cap/h/p/node/b/reported": report(timestamp=ms(THEN), enforced_cap_w=200, seq=2)}
    assert items(late | {"cap/h/p/desired": ORDER})[AGENT].result == "fail"


def test_a_pool_of_many_nodes_is_put_together_twice_a_second_and_no_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FEW", 1)
    nodes = Nodes()
    nodes.take("p", "a", told(0))
    nodes.take("p", "b", told(0))
    first = nodes.of("p", NOW)
    nodes.take("p", "a", told(0.1, enforced_cap_w=300))
    assert nodes.of("p", later(0.4)) is first
    assert nodes.of("p", later(0.5)).enforced_cap_w == 300  # type: ignore[union-attr]
    nodes.take("p", "b", None)
    assert nodes.of("p", later(0.5)).gpus == 5  # type: ignore[union-attr]


def test_reports_of_fifteen_hundred_nodes_cost_little() -> None:
    """Each every 5 s are 300 a second; they take a small share of one."""
    telemetry = Telemetry(SITE)
    groups = [{"workload": "j", "gpus": 8, "cap_w": 90}]
    reports = [
        message(f"cap/h/p/node/n{i}/reported", report(gpus=[f"n{i}/{gpu}" for gpu in range(8)], groups=groups)) for i in range(1500)
    ]
    for each in reports:
        telemetry.accept(each, NOW)
    began = time.process_time()
    for i, each in enumerate(reports[:300]):
        telemetry.accept(each, later(i / 300))
    assert time.process_time() - began < 0.3
