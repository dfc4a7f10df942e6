"""Jobs of Kubernetes under a real agent: the real command, a real broker, and an API server that speaks as Kubernetes does.

The server and its controllers (`tests.fakes.kubernetes`) live in the test; everything between them and the bus is what runs at a site.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facility.agents.kubernetes.marks import Marks
from tests.fakes.kubernetes.controllers import QUEUE, Controllers, job
from tests.fakes.kubernetes.server import FakeApi
from tests.processes import Ear, Mosquitto, end, needs_mosquitto, patience, until

pytestmark = needs_mosquitto
ROOT = "facility/v1/demo"
HELD = "facility.example/held-until"
CLUSTER = {"pools": {"a": "h1-a", "b": "h1-b"}, "namespaces": {"team-a": {"contract": "kepler-jobs"}}, "queues": True}
MARKS = Marks("facility.example")


class Here:
    """Broker, ear, API server with its controllers, and the agent as a process."""

    def __init__(self, folder: Path, stack: ExitStack, *, kueue: bool = False, token: str = "") -> None:
        self.folder, self.stack, self.seq, self.token = folder, stack, 0, token
        self.broker = Mosquitto(folder)
        stack.callback(self.broker.stop)
        self.ear = Ear(self.broker.url, f"{ROOT}/#")
        stack.callback(self.ear.close)
        self.api = FakeApi(kueue=kueue)
        stack.callback(self.api.stop)
        self.controllers = Controllers(self.api)
        stack.callback(self.controllers.close)
        if token:
            self.api.tokens = {token}
            (folder / "token").write_text(token)
            (folder / "token").chmod(0o600)

    def command(self, *words: str) -> list[str]:
        told = [sys.executable, "-m", "facility", "agent", "kubernetes", "site_configs/demo.yaml", "--api", self.api.url, *words]
        told += ["--set", f"schedulers.kubernetes.k8s={json.dumps(CLUSTER)}"]
        return told + (["--token-file", str(self.folder / "token")] if self.token else [])

    def start(self) -> None:
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(self.command("--broker", self.broker.url), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.stack.callback(end, self.agent)

    def release_expired(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command("--release-expired"), check=False, capture_output=True, text=True, timeout=20)

    def submit(self, name: str, **what: Any) -> str:
        """Create a job; the id by which the service knows it."""
        made = self.api.store.create("jobs", job(name, **what))
        return f"k8s-{name}-{made['metadata']['uid'].replace('-', '')[:8]}"

    def look(self, name: str) -> dict[str, Any]:
        return self.api.store.get("jobs", "team-a", name)

    def suspended(self, name: str) -> bool:
        return bool(self.look(name)["spec"].get("suspend", False))

    def state(self, job_id: str) -> str | None:
        told = self.ear.told(f"{ROOT}/job/{job_id}/reported")
        return None if told is None else str(told["state"])

    def held(self, *names: str) -> bool:
        """Whether jobs are held by an order, and not only until their first."""
        noted = [self.look(name)["metadata"].get("annotations", {}) for name in names]
        return all(HELD in each and each["facility.example/held-because"] == "dear" for each in noted)

    def done(self, name: str) -> bool:
        return any(each["type"] == "Complete" for each in self.look(name).get("status", {}).get("conditions", []))

    def order(self, job_id: str, action: str, lasts_s: float = 60.0, *, seq: int | None = None, **what: Any) -> None:
        """Order as the daemon does."""
        self.seq = self.seq + 1 if seq is None else seq
        now = datetime.now(UTC)
        told = {"action": action, "gpus": 8 if action == "run" else 0, "epoch": 1, "seq": self.seq, "issued_at": now.isoformat(), "reason": "dear"}
        told |= {"valid_until": (now + timedelta(seconds=lasts_s)).isoformat()} | what
        publish = ("mosquitto_pub", "-p", str(self.broker.port), "-q", "1", "-r", "-t", f"{ROOT}/job/{job_id}/desired", "-s")
        subprocess.run(publish, input=json.dumps(told).encode(), check=True, timeout=5)

    def said(self) -> str:
        return (self.folder / "agent.log").read_text()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def alone(tmp_path: Path, stack: ExitStack) -> Here:
    """An agent that a test starts itself."""
    return Here(tmp_path, stack)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """One agent for all tests of jobs that have nothing to do with each other."""
    with ExitStack() as stack:
        here = Here(tmp_path_factory.mktemp("agent"), stack)
        here.start()
        yield here


def test_of_twenty_jobs_an_order_holds_eight_which_wait_start_when_released_and_finish(here: Here) -> None:
    waits = {"spec": {"suspend": True}, "annotations": {"facility.example/wait": "yes"}}
    ids = {f"train-{n}": here.submit(f"train-{n}", sleeps_s=0.5, **waits) for n in range(20)}
    assert until(lambda: all(here.ear.told(f"{ROOT}/job/{each}/spec") for each in ids.values()))
    assert all(here.state(each) == "waiting" for each in ids.values())
    for n, each in enumerate(ids.values()):
        here.order(each, "hold" if n < 8 else "run")
    assert until(lambda: all(here.done(f"train-{n}") for n in range(8, 20)))
    assert not any(here.controllers.started.get(f"train-{n}") for n in range(8))
    for n in range(8):
        assert here.look(f"train-{n}")["metadata"]["annotations"]["facility.example/held-because"] == "dear"
        here.order(ids[f"train-{n}"], "run")
    assert until(lambda: all(here.done(name) for name in ids))
    assert until(lambda: all(here.state(each) == "done" for each in ids.values()))
    assert {here.controllers.started[name] for name in ids} == {1}


def test_a_hold_ends_at_its_instant_where_no_further_order_comes(here: Here) -> None:
    waits = here.submit("train", spec={"suspend": True}, annotations={"facility.example/wait": "yes"})
    assert until(lambda: here.state(waits) == "waiting")
    here.order(waits, "hold", 2.0)
    began = time.monotonic()
    assert until(lambda: here.held("train"))
    assert until(lambda: not here.suspended("train"))
    assert 1.0 < time.monotonic() - began < 4 * patience()
    assert not any(name.startswith("facility") for name in here.look("train")["metadata"]["annotations"])
    assert until(lambda: here.state(waits) == "running")


def test_pods_that_work_are_ended_only_where_their_job_says_so(here: Here) -> None:
    rigid, soft = here.submit("rigid"), here.submit("paused", annotations={"facility.example/pause": "requeue"})
    assert until(lambda: here.state(rigid) == here.state(soft) == "running")
    here.order(rigid, "hold")
    here.order(soft, "hold")
    assert until(lambda: here.suspended("paused") and here.state(soft) == "waiting")
    assert until(lambda: "does not say pause=requeue" in here.said())
    assert not here.suspended("rigid")
    assert here.ear.told(f"{ROOT}/job/{soft}/reported")["seq"] == here.seq
    here.order(soft, "run")
    assert until(lambda: here.state(soft) == "running")
    assert [here.controllers.started[name] for name in ("rigid", "paused")] == [1, 2]


def test_what_is_somebody_elses_is_neither_touched_nor_told_of(here: Here) -> None:
    foreign = here.submit("foreign", labels={"facility.example/deferrable": "no"})
    theirs = here.submit("theirs", spec={"suspend": True})
    owned = job("of-a-set")
    owner = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": "set", "uid": "1", "controller": True}
    owned["metadata"]["ownerReferences"] = [owner]
    here.api.store.create("jobs", owned)
    here.submit("of-another", spec={"managedBy": "example.com/controller"})
    here.submit("unreadable", spec={"activeDeadlineSeconds": "2h"})  # as no server tells it today
    ours = here.submit("ours", annotations={"facility.example/pause": "suspend"})
    assert until(lambda: here.state(theirs) == "waiting" and here.state(ours) == "running")
    for each in (foreign, theirs):
        here.order(each, "run")
    here.order(foreign, "hold")
    here.order(ours, "hold")
    assert until(lambda: here.suspended("ours"))
    assert until(lambda: "somebody else has stopped it" in here.said())
    assert here.suspended("theirs")
    assert not here.suspended("foreign")
    assert here.api.patches("ours")
    assert not [name for name in ("foreign", "theirs", "of-a-set", "of-another", "unreadable") if here.api.patches(f"/{name}")]
    assert here.ear.told(f"{ROOT}/job/{foreign}/spec") is None
    assert not any(name in str(list(here.ear.newest)) for name in ("of-a-set", "of-another", "unreadable"))
    assert all(words in here.said() for words in ("the JobSet set", "example.com/controller", "team-a/unreadable cannot be read"))


def test_who_starts_a_held_job_by_hand_keeps_it(here: Here) -> None:
    held = here.submit("held", spec={"suspend": True}, annotations={"facility.example/wait": "yes"})
    here.order(held, "hold")
    assert until(lambda: here.held("held"))
    here.api.store.merge("jobs", "team-a", "held", {"spec": {"suspend": False}})
    here.order(held, "hold")
    assert until(lambda: "somebody started it while it was held" in here.said())
    assert until(lambda: here.state(held) == "running")
    assert not here.suspended("held")


def test_what_a_killed_agent_held_is_started_at_its_instant_by_whoever_looks(alone: Here) -> None:
    here = alone
    waits = {"spec": {"suspend": True}, "annotations": {"facility.example/wait": "yes"}}
    soon, late, lost = (here.submit(name, **waits) for name in ("soon", "late", "lost"))
    theirs = here.submit("theirs", spec={"suspend": True})
    here.start()
    assert until(lambda: here.state(theirs) == "waiting")
    here.order(soon, "hold", 3.0)
    here.order(lost, "hold", 3.0)
    here.order(late, "hold", 60.0)
    assert until(lambda: here.held("soon", "late", "lost"))
    end(here.agent)
    ends = MARKS.until(here.look("soon"))
    assert ends is not None
    here.api.store.merge("jobs", "team-a", "lost", {"metadata": {"labels": {"facility.example/deferrable": None}}})
    time.sleep(min(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 0.3, 5.0))
    ended = here.release_expired()
    assert (ended.returncode, "2 started, 1 held" in ended.stderr) == (0, True)
    assert [here.suspended(name) for name in ("soon", "lost", "late", "theirs")] == [False, False, True, True]


def test_a_new_agent_starts_what_an_old_one_left_held_too_long_and_goes_on_with_the_rest(alone: Here) -> None:
    here = alone
    past, coming = "2026-01-01T00:00:00.000Z", (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    left = here.submit("left", spec={"suspend": True}, annotations={HELD: past})
    nobody = here.submit("nobody", spec={"suspend": True}, annotations={HELD: past}, labels={"facility.example/deferrable": "no"})
    garbled = here.submit("garbled", spec={"suspend": True}, annotations={HELD: "soon"})
    held = here.submit("held", spec={"suspend": True}, annotations={HELD: coming})
    here.start()
    assert until(lambda: here.state(left) == here.state(garbled) == "running")
    assert until(lambda: not here.suspended("nobody"))
    assert here.state(held) == "waiting"
    assert here.ear.told(f"{ROOT}/job/{nobody}/spec") is None
    here.order(held, "run")
    assert until(lambda: here.state(held) == "running")


def test_an_api_server_that_is_away_or_asks_for_patience_loses_no_order(here: Here) -> None:
    soft = here.submit("patient", annotations={"facility.example/pause": "suspend"})
    assert until(lambda: here.state(soft) == "running")
    here.api.stop()
    here.order(soft, "hold")
    assert until(lambda: "trying again" in here.said())
    here.api.trouble(429, 2, lambda method, _: method == "PATCH", retry_after="1")
    here.api.trouble(503, 1, lambda method, path: method == "GET" and "watch" in path)
    here.api.start()
    began = time.monotonic()
    assert until(lambda: here.suspended("patient"))
    assert time.monotonic() - began > 1.5
    assert len(here.api.patches("patient")) == 3
    here.order(soft, "run")
    assert until(lambda: here.state(soft) == "running", 20)


def test_a_token_that_is_renewed_is_read_again_when_the_old_one_is_refused(tmp_path: Path, stack: ExitStack) -> None:
    here = Here(tmp_path, stack, token="first")
    soft = here.submit("soft", annotations={"facility.example/pause": "suspend"})
    here.start()
    assert until(lambda: here.state(soft) == "running")
    (tmp_path / "token").write_text("second")
    here.api.tokens = {"second"}
    here.api.cut()
    here.order(soft, "hold")
    assert until(lambda: here.suspended("soft"))
    assert until(lambda: here.state(soft) == "waiting")
    here.api.tokens = {"third"}
    here.api.cut()
    assert until(lambda: "401" in here.said())
    assert here.agent.poll() is None


def test_an_object_that_somebody_writes_at_the_same_time_is_read_and_decided_about_again(here: Here) -> None:
    soft = here.submit("written", annotations={"facility.example/pause": "suspend"})
    assert until(lambda: here.state(soft) == "running")
    written: list[str] = []

    def write(method: str, _path: str) -> bool:
        if method == "PATCH" and len(written) < 3:
            written.append(method)
            here.api.store.merge("jobs", "team-a", "written", {"metadata": {"annotations": {"n": str(len(written))}}})
        return False

    here.api.trouble(500, 1, write)
    here.order(soft, "hold")
    assert until(lambda: here.suspended("written"))
    versions = [patch["metadata"]["resourceVersion"] for patch in here.api.patches("written")]
    assert len(set(versions)) == len(versions) == 4
    assert here.look("written")["metadata"]["annotations"]["n"] == "3"


def test_jobs_of_kueue_are_held_by_their_workloads_and_a_queue_of_ours_as_a_whole(tmp_path: Path, stack: ExitStack) -> None:
    here = Here(tmp_path, stack, kueue=True)
    queue = {"metadata": {"name": "gpus", "labels": {"facility.example/deferrable": "yes"}}, "spec": {"stopPolicy": "None"}}
    here.api.store.create("clusterqueues", queue)
    here.api.store.create("localqueues", {"metadata": {"name": "local", "namespace": "team-a"}, "spec": {"clusterQueue": "gpus"}})
    queued = {"labels": {QUEUE: "local"}, "annotations": {"facility.example/pause": "requeue"}}
    first = here.submit("first", **queued)
    here.start()
    assert until(lambda: here.state(first) == "running")
    here.order(first, "hold")
    assert until(lambda: here.state(first) == "waiting" and here.suspended("first"))

    def policy() -> str:
        return str(here.api.store.get("clusterqueues", "", "gpus")["spec"]["stopPolicy"])

    assert until(lambda: policy() == "Hold")
    second = here.submit("second", sleeps_s=0.5, **queued)  # comes into a held queue, and waits for its order
    assert until(lambda: here.state(second) == "waiting")
    here.order(second, "run")
    assert until(lambda: here.done("second") and policy() == "Hold")
    here.order(first, "run")
    assert until(lambda: here.state(first) == "running")
    here.order(first, "hold", 2.0)
    assert until(lambda: here.state(first) == "waiting")
    here.api.store.merge("jobs", "team-a", "first", {"metadata": {"labels": {"facility.example/deferrable": None}}})
    assert until(lambda: here.ear.newest.get(f"{ROOT}/job/{first}/spec") == b"")
    assert until(lambda: not here.suspended("first"))  # nobody orders it any more, and its hold has ended
    assert {path.split("/")[-2] for method, path, _ in here.api.requests if method == "PATCH"} == {"workloads", "clusterqueues"}
    assert all(set(patch["spec"]) <= {"active", "stopPolicy"} for patch in here.api.patches())
    assert [patch["spec"]["stopPolicy"] for patch in here.api.patches("gpus")][:4] == ["Hold", "None", "Hold", "None"]


def test_a_job_that_is_deleted_is_taken_off_the_bus_also_where_nobody_was_there_to_see(alone: Here) -> None:
    here = alone
    kept, gone, unseen = (here.submit(name) for name in ("kept", "gone", "unseen"))
    here.start()
    assert until(lambda: here.state(kept) == here.state(unseen) == "running")
    here.order(unseen, "run")
    here.api.store.delete("jobs", "team-a", "gone")
    assert until(lambda: here.ear.newest.get(f"{ROOT}/job/{gone}/spec") == b"")
    here.agent.send_signal(signal.SIGTERM)
    assert here.agent.wait(5) == 0
    here.api.store.delete("jobs", "team-a", "unseen")
    here.start()
    assert until(lambda: here.ear.newest.get(f"{ROOT}/job/{unseen}/spec") == b"")
    assert here.ear.told(f"{ROOT}/job/{kept}/spec")["gpus"] == 8
