"""Watches that break, are refused, or outlive the server's memory, against an API server over real HTTP (beside `tests.processes`: it sleeps)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any, Literal

import pytest

from facility.agents.kubernetes.agent import Agent
from facility.agents.kubernetes.api import Api, Away, Conflict, Gone, Missing, Refused
from facility.agents.kubernetes.cluster import Cluster
from facility.agents.kubernetes.kinds import JOB, WORKLOAD, key
from facility.agents.kubernetes.login import Token, at
from facility.agents.kubernetes.marks import Marks
from facility.agents.kubernetes.releasing import kinds_of, sweep
from facility.agents.kubernetes.strays import AGAIN_S, Strays
from facility.agents.kubernetes.watching import Changed, Listed, News, Scope, Watcher
from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.bus.messages import JobDesired, encode
from facility.clock import SystemClock, VirtualClock
from facility.config import load_site
from tests.fakes.kubernetes.controllers import job
from tests.fakes.kubernetes.server import FakeApi
from tests.processes import until

SELECTOR = "facility.example/deferrable in (yes,true)"


@pytest.fixture
def server() -> Iterator[FakeApi]:
    server = FakeApi(bookmark_s=0.1)
    yield server
    server.stop()


@pytest.fixture
def api(server: FakeApi) -> Iterator[Api]:
    api = Api(at(server.url, Token("t"), None))
    yield api
    api.close()


class Followed:
    """A watcher of jobs and what it told."""

    def __init__(self, api: Api, selector: str = SELECTOR) -> None:
        self.scope, self.stop = Scope(JOB, "team-a", selector), threading.Event()
        self.cluster, self.news = Cluster([self.scope]), SimpleQueue[News]()
        self.heard: list[News] = []
        Watcher(api, self.scope, self.news, self.stop).start()

    def look(self) -> bool:
        while not self.news.empty():
            self.heard.append(self.news.get())
            self.cluster.take(self.heard[-1])
        return bool(self.heard)

    def names(self) -> set[str]:
        self.look()
        return {name for _, name in self.cluster.of(JOB)}

    def listed(self) -> int:
        self.look()
        return sum(isinstance(each, Listed) for each in self.heard)

    def told(self) -> list[int]:
        """The numbers of the changes that were told, in their order."""
        self.look()
        return [int(each.object["metadata"]["annotations"]["n"]) for each in self.heard if isinstance(each, Changed)]


@pytest.fixture
def followed(server: FakeApi, api: Api) -> Iterator[Followed]:
    for n in range(20):
        server.store.create("jobs", job(f"train-{n}"))
    followed = Followed(api)
    assert until(lambda: followed.listed() == 1)
    yield followed
    followed.stop.set()


def note(server: FakeApi, n: int) -> None:
    server.store.merge("jobs", "team-a", f"train-{n % 20}", {"metadata": {"annotations": {"n": str(n)}}})


def test_of_a_thousand_changes_none_is_lost_or_told_twice_however_often_the_stream_breaks(server: FakeApi, followed: Followed) -> None:
    for n in range(1000):
        note(server, n)
        if n % 100 == 50:
            server.cut()
        time.sleep(0.001)
    assert until(lambda: len(followed.told()) >= 1000)
    assert followed.told() == list(range(1000))
    assert followed.listed() == 1
    assert server.watches >= 4


def test_where_the_servers_memory_is_shorter_than_the_break_all_is_listed_again(server: FakeApi, followed: Followed) -> None:
    server.trouble(503, 2, lambda method, path: "watch" in path)
    server.cut()
    note(server, 7)
    server.store.delete("jobs", "team-a", "train-3")
    server.store.create("jobs", job("late"))
    server.store.compact()
    assert until(lambda: followed.listed() == 2)
    assert followed.names() == {f"train-{n}" for n in range(20) if n != 3} | {"late"}
    note(server, 8)
    assert until(lambda: followed.told() == [8])


def test_a_watch_is_resumed_where_the_last_bookmark_stood(server: FakeApi, followed: Followed) -> None:
    for n in range(30):
        server.store.create("jobs", job(f"other-{n}", "team-b"))  # nothing of it is told here
    newest = server.store.version
    assert until(lambda: server.watches >= 1)
    time.sleep(0.3)
    asked = server.watches
    server.store.compact()
    server.cut()
    assert until(lambda: server.watches > asked)
    note(server, 1)
    assert until(lambda: followed.told() == [1])
    assert followed.listed() == 1
    assert server.store.version > newest


def test_a_job_that_loses_its_label_is_gone_and_one_that_gets_it_has_come(server: FakeApi, followed: Followed) -> None:
    server.store.merge("jobs", "team-a", "train-1", {"metadata": {"labels": {"facility.example/deferrable": None}}})
    server.store.create("jobs", job("plain", labels={"facility.example/deferrable": "no"}))
    assert until(lambda: "train-1" not in followed.names())
    server.store.merge("jobs", "team-a", "plain", {"metadata": {"labels": {"facility.example/deferrable": "true"}}})
    assert until(lambda: "plain" in followed.names())
    assert followed.listed() == 1


def test_a_server_that_restarts_is_followed_on(server: FakeApi, followed: Followed) -> None:
    server.stop()
    note(server, 5)
    time.sleep(0.2)
    server.start()
    assert until(lambda: followed.told() == [5])
    assert followed.listed() == 1


def test_long_collections_come_in_pages_and_a_page_that_is_forgotten_is_gone(server: FakeApi, api: Api) -> None:
    for n in range(1203):
        server.store.create("jobs", job(f"train-{n}"))
    found, version = api.list(JOB, "team-a", SELECTOR)
    assert len({key(each) for each in found}) == 1203
    assert version == str(server.store.version)
    assert sum(method == "GET" for method, _, _ in server.requests) == 3
    old = server.store.version
    server.store.create("jobs", job("more"))
    server.store.compact()
    with pytest.raises(Gone):
        api._answer("GET", JOB.path("team-a"), params={"limit": "500", "continue": f"{old}:500"})


@pytest.mark.parametrize(
    ("code", "kind", "retry_after", "wait_s"),
    [(404, Missing, None, None), (409, Conflict, None, None), (410, Gone, None, None), (403, Refused, None, None), (422, Refused, None, None),
     (429, Away, "7", 7.0), (503, Away, "3600", 60.0), (500, Away, "soon", None), (401, Away, None, None)],
)  # fmt: skip
def test_every_no_is_of_its_kind(server: FakeApi, api: Api, code: int, kind: type[Exception], retry_after: str | None, wait_s: float | None) -> None:
    server.trouble(code, retry_after=retry_after)
    with pytest.raises(kind) as no:
        api.get(JOB.path("team-a", "train"))
    assert type(no.value) is kind
    assert str(code) in str(no.value)
    if isinstance(no.value, Away):
        assert no.value.wait_s == wait_s


def test_a_patch_is_for_the_object_that_was_read_and_no_other(server: FakeApi, api: Api) -> None:
    made = server.store.create("jobs", job("train"))
    version = made["metadata"]["resourceVersion"]
    change: dict[str, Any] = {"spec": {"suspend": True}}
    changed = api.patch(JOB, ("team-a", "train"), change, version)
    assert changed["spec"]["suspend"] is True
    assert changed["spec"]["template"] == made["spec"]["template"]
    with pytest.raises(Conflict):
        api.patch(JOB, ("team-a", "train"), {"spec": {"suspend": False}}, version)


def test_a_server_without_kueue_has_none_of_its_kinds(server: FakeApi, api: Api) -> None:
    assert api.kueue_version(("v1beta1",), "kueue.x-k8s.io") is None
    with pytest.raises(Missing):
        api.list(WORKLOAD)
    server.kueue = True
    assert api.kueue_version(("v1beta2", "v1beta1"), "kueue.x-k8s.io") == "v1beta1"
    assert api.list(WORKLOAD)[0] == []


def test_nobody_answers_is_away(api: Api, server: FakeApi) -> None:
    server.stop()
    with pytest.raises(Away):
        api.get(JOB.path())
    server.start()


def test_a_kind_that_may_not_be_read_keeps_nobody_from_starting_the_others(server: FakeApi, api: Api) -> None:
    server.kueue = True
    past = {"facility.example/held-until": "2026-01-01T00:00:00Z"}
    server.store.create("jobs", job("train", spec={"suspend": True}, annotations=past))
    server.trouble(403, 9, lambda _, path: "workloads" in path or "clusterqueues" in path)
    swept = sweep(api, Marks("facility.example"), kinds_of(api), (), datetime.now(UTC), 900)
    assert [where for _, where in swept.released] == [("team-a", "train")]
    assert [len(swept.refusals(queues=queues)) for queues in (True, False)] == [2, 1]
    assert server.store.get("jobs", "team-a", "train")["spec"]["suspend"] is False


def test_while_the_server_does_not_answer_nothing_is_told_of_its_jobs(server: FakeApi, api: Api) -> None:
    uid = server.store.create("jobs", job("train"))["metadata"]["uid"]
    site = load_site("site_configs/demo.yaml", ["schedulers.kubernetes.k8s={pools: {a: h1-a}}"])
    clock = VirtualClock(datetime(2026, 7, 15, tzinfo=UTC))
    broker = MemoryBroker(clock.now)
    agent = Agent(site, "k8s", api, broker.connect(), clock)

    def told() -> bytes:
        clock.advance(20)
        agent.look()
        return broker.retained.get(f"facility/v1/demo/job/k8s-train-{uid[:8]}/reported", b"")

    assert until(lambda: told() != b"")
    assert told() != told()
    server.stop()
    assert until(lambda: agent._following.away)
    assert len({told() for _ in range(5)}) == 1
    server.start()
    assert until(lambda: told() != told())
    agent.close()


PAST = {"facility.example/held-until": "2026-01-01T00:00:00Z"}


def test_a_job_that_may_not_be_started_keeps_none_of_the_others_held(server: FakeApi, api: Api) -> None:
    for n in range(3):
        server.store.create("jobs", job(f"train-{n}", spec={"suspend": True}, annotations=PAST))
    server.trouble(403, 1, lambda method, _: method == "PATCH")
    swept = sweep(api, Marks("facility.example"), kinds_of(api), (), datetime.now(UTC), 900)
    assert len(swept.released) == 2
    assert len(swept.refusals(queues=False)) == 1


def test_a_stray_whose_start_is_refused_is_started_later(server: FakeApi, api: Api) -> None:
    made, clock = server.store.create("jobs", job("train", spec={"suspend": True}, annotations=PAST)), VirtualClock(datetime(2026, 7, 15, tzinfo=UTC))
    strays = Strays(api, Marks("facility.example"), clock, 900)
    strays.add(JOB, made)
    server.trouble(403, 1, lambda method, _: method == "PATCH")
    for seconds, suspended in ((0, True), (AGAIN_S - 1, True), (1, False)):
        clock.advance(seconds)
        strays.start(lambda _: None)
        assert server.store.get("jobs", "team-a", "train")["spec"]["suspend"] is suspended


def test_a_job_that_is_to_run_waits_for_no_holds_that_are_renewed(server: FakeApi, api: Api) -> None:
    waits = {"spec": {"suspend": True}, "annotations": {"facility.example/wait": "yes"}}
    uids = [server.store.create("jobs", job(f"train-{n}", **waits))["metadata"]["uid"] for n in range(60)]
    clock, site = SystemClock(), load_site("site_configs/demo.yaml", ["schedulers.kubernetes.k8s={pools: {a: h1-a}}"])
    broker = MemoryBroker(clock.now)
    daemon, bus = broker.connect(), broker.connect()
    agent = Agent(site, "k8s", api, bus, clock)

    def order(n: int, seq: int, action: Literal["run", "hold"]) -> None:
        ends = clock.now() + timedelta(seconds=900)
        told = JobDesired(action=action, gpus=8, epoch=1, seq=seq, issued_at=clock.now(), valid_until=ends)
        daemon.publish(Message(f"facility/v1/demo/job/k8s-train-{n}-{uids[n][:8]}/desired", encode(told), 1, retain=True))

    def patched(n: int) -> bool:
        agent.look()
        return len(server.patches()) >= n

    assert until(lambda: patched(60))
    server.latency_s = 0.03
    for n in range(60):
        order(n, 1, "hold")
    assert until(lambda: patched(65))
    order(59, 2, "run")
    assert until(lambda: not server.store.get("jobs", "team-a", "train-59")["spec"]["suspend"] or not patched(0))
    assert len(server.patches()) < 110  # of 119 in the end
    assert until(lambda: patched(119))
    agent.close()
