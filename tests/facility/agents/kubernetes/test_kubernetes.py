"""Jobs of Kubernetes without a cluster: what is read of them, what is decided, marks, queues, kubeconfigs, manifests and site files."""

from __future__ import annotations

import base64
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from facility.agents.kubernetes.deciding import Hold, Leave, Release, decide
from facility.agents.kubernetes.kinds import JOB, QUEUE, WORKLOAD
from facility.agents.kubernetes.kubeconfig import read_kubeconfig
from facility.agents.kubernetes.login import Token, at, by_options, in_cluster
from facility.agents.kubernetes.manifest import manifest
from facility.agents.kubernetes.marks import NEVER, Marks, stopped
from facility.agents.kubernetes.queues import Waiting, decide_queue
from facility.agents.kubernetes.reading import MOST_DONE, Reader, gpus_of
from facility.bus.messages import JobDesired
from facility.config import load_site
from facility.errors import InputError
from facility.site import Site
from tests.fakes.kubernetes.controllers import QUEUE as QUEUE_LABEL
from tests.fakes.kubernetes.controllers import job as manifest_of
from tests.fakes.kubernetes.store import merged

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
CREATED = "2026-07-15T09:00:00Z"
NAMESPACES = {"team-a": {"contract": "kepler-jobs"}, "team-b": {"tenant": "nordlab"}}
CLUSTER: dict[str, Any] = {"pools": {"a": "h1-a", "b": "h1-b"}, "namespaces": NAMESPACES}
MARKS = Marks("facility.example")
HELD = "facility.example/held-until"


def site_with(**change: Any) -> Site:
    return load_site("site_configs/demo.yaml", [f"schedulers.kubernetes.k8s={json.dumps(CLUSTER | change)}"])


def job_of(name: str = "train-7b", *, status: dict[str, Any] | None = None, **what: Any) -> dict[str, Any]:
    """A job as the server tells it."""
    made = manifest_of(name, **what)
    made["metadata"] |= {"uid": "3F2A91C0-0000-4000-8000-000000000001", "creationTimestamp": CREATED, "resourceVersion": "7"}
    return made | {"status": status or {}}


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(site_with(), "k8s")


def order(action: str = "hold", lasts_s: float = 900, **what: Any) -> JobDesired:
    given = {"epoch": 1, "seq": 1, "issued_at": NOW, "valid_until": NOW + timedelta(seconds=lasts_s), "gpus": 8 if action == "run" else 0}
    return JobDesired(action=action, **given | what)  # type: ignore[arg-type]


# What is read


def test_a_job_is_told_with_its_gpus_pool_contract_and_work(reader: Reader) -> None:
    words = {"facility.example/work_h": "4.5", "facility.example/deadline": "2026-07-16T06:00+02:00", "facility.example/curve": "finetune-8b"}
    found = reader.job(job_of(spec={"parallelism": 4, "completions": 4}, annotations=words), None)
    assert found.faults == ()
    assert found.spec is not None
    assert (found.id, found.place, found.stops) == ("k8s-train-7b-3f2a91c0", "team-a/train-7b", JOB)
    assert (found.spec.gpus, found.spec.work_gpu_h, found.spec.pool, found.spec.curve) == (32, 4.5 * 32, "h1-a", "finetune-8b")
    assert (found.spec.tenant, found.spec.contract) == ("kepler", "kepler-jobs")
    assert found.spec.deadline == datetime(2026, 7, 16, 4, tzinfo=UTC)
    assert found.spec.submit == datetime(2026, 7, 15, 9, tzinfo=UTC)


def test_without_words_the_time_limit_says_how_much_work_there_is_and_without_that_the_site(reader: Reader) -> None:
    limited = reader.job(job_of(spec={"activeDeadlineSeconds": 7200}), None).spec
    silent = reader.job(job_of(), None).spec
    assert limited is not None
    assert silent is not None
    assert (limited.work_gpu_h, silent.work_gpu_h) == (2 * 8, 24 * 8)


def test_an_id_fits_whatever_the_name_and_a_namesake_has_another(reader: Reader) -> None:
    long, other = job_of("x" * 40 + ".of.many" * 2), job_of("train-7b")
    other["metadata"]["uid"] = "aaaaaaaa-0000-4000-8000-000000000001"
    ids = [reader.id_of(each) for each in (long, job_of("train-7b"), other)]
    assert all(len(each) <= 64 and "." not in each for each in ids)
    assert len(set(ids)) == 3


def test_gpus_are_those_of_all_containers_or_of_the_init_container_that_needs_more() -> None:
    def of(gpus: str | int, resource: str = "nvidia.com/gpu") -> dict[str, Any]:
        return {"resources": {"limits": {resource: gpus, "cpu": "4"}}}

    both = ("nvidia.com/gpu", "amd.com/gpu")
    assert gpus_of({"spec": {"containers": [of("4"), of(2, "amd.com/gpu"), {}]}}, both) == 6
    assert gpus_of({"spec": {"containers": [of(1)], "initContainers": [of(8), of(2)]}}, both) == 8
    assert gpus_of({"spec": {"containers": [of("500m"), of("2", "example.com/fpga")]}}, both) == 0


def test_progress_is_what_completions_say_or_the_time_since_the_last_start_never_all_of_it(reader: Reader) -> None:
    started = {"startTime": "2026-07-15T09:30:00Z", "active": 1, "ready": 1}
    several = reader.job(job_of(spec={"parallelism": 2, "completions": 8}, status={"succeeded": 6, "ready": 2, **started}), None)
    assert several.done_gpu_h(NOW) == pytest.approx(0.75 * 24 * 16)
    single = reader.job(job_of(status=started, annotations={"facility.example/work_h": "1"}), None)
    assert (single.state, single.gpus, single.done_gpu_h(NOW)) == ("running", 8, pytest.approx(4.0))
    assert single.done_gpu_h(NOW + timedelta(hours=9)) == pytest.approx(MOST_DONE * 8)
    over = reader.job(job_of(status={"conditions": [{"type": "Failed", "status": "True"}]}), None)
    assert (over.state, over.gpus) == ("done", 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gpus": 0}, "no limit of nvidia.com/gpu or amd.com/gpu"),
        ({"annotations": {"facility.example/curve": "no-such"}}, "the site has no curve 'no-such'"),
        ({"spec": {"template": {"spec": {"nodeSelector": {"facility.example/pool": "z"}, "containers": []}}}}, "pools knows"),
    ],
)
def test_what_cannot_be_told_is_not_and_why_is_said(reader: Reader, change: dict[str, Any], said: str) -> None:
    found = reader.job(job_of(**change), None)
    assert found.spec is None
    assert said in "; ".join(found.faults)


def test_a_namespace_is_under_its_own_contracts_whatever_its_annotations_say(reader: Reader) -> None:
    def of(namespace: str, **words: str) -> tuple[Any, tuple[str, ...]]:
        found = reader.job(job_of(namespace=namespace, annotations={f"facility.example/{word}": value for word, value in words.items()}), None)
        assert found.spec is not None
        return (found.spec.tenant, found.spec.contract), found.faults

    assert of("team-a", contract="kepler-tune") == (("kepler", "kepler-tune"), ())
    stolen, faults = of("team-a", contract="nordlab-spot", tenant="nordlab")
    assert stolen == ("kepler", "kepler-jobs")
    assert len(faults) == 2
    assert of("team-b") == (("nordlab", None), ())
    assert of("nobody", contract="kepler-tune")[0] == (None, None)
    trusting = Reader(site_with(namespaces={}), "k8s").job(job_of(annotations={"facility.example/contract": "kepler-tune"}), None)
    assert trusting.spec is not None
    assert trusting.spec.contract == "kepler-tune"


def test_a_job_that_kueue_has_is_stopped_by_its_workload_and_by_nothing_before_there_is_one(reader: Reader) -> None:
    queued = job_of(labels={QUEUE_LABEL: "local"}, spec={"suspend": True})
    assert (reader.job(queued, None).stops, reader.job(queued, None).object) == (WORKLOAD, None)
    workload = {"metadata": {"name": "w", "namespace": "team-a"}, "spec": {"active": True}}
    assert reader.job(queued, workload).object is workload
    assert decide(reader.job(queued, None), order("run"), NOW, MARKS, 900) == Leave()


def test_a_workload_of_something_else_than_a_job_is_a_job_of_its_own(reader: Reader) -> None:
    template = job_of()["spec"]["template"]
    workload = {
        "metadata": {"name": "rayjob-x", "namespace": "team-a", "uid": "0badcafe", "creationTimestamp": CREATED, "resourceVersion": "1"},
        "spec": {"podSets": [{"count": 1, "template": {}}, {"count": 4, "template": template}], "maximumExecutionTimeSeconds": 3600},
        "status": {"conditions": [{"type": "Admitted", "status": "True", "lastTransitionTime": "2026-07-15T09:45:00Z"}]},
    }
    found = reader.workload(workload)
    assert found.spec is not None
    assert (found.spec.gpus, found.spec.pool, found.spec.work_gpu_h) == (32, "h1-a", 32.0)
    assert (found.state, found.gpus, found.done_gpu_h(NOW)) == ("running", 32, pytest.approx(8.0))


# What is decided


def held(until: datetime, **what: Any) -> dict[str, Any]:
    return job_of(spec={"suspend": True}, annotations={HELD: until.isoformat()}, **what)


WORKS = {"ready": 1, "active": 1}
PAUSES = {"facility.example/pause": "requeue"}
WAITS = {"facility.example/wait": "yes"}
SOON, LATER = NOW + timedelta(seconds=60), NOW + timedelta(seconds=900)


@pytest.mark.parametrize(
    ("job", "ordered", "step"),
    [
        (job_of(), order(), Hold(LATER)),
        (job_of(), order(until=SOON), Hold(SOON)),
        (job_of(), order(until=NOW - timedelta(seconds=1)), Leave()),
        (job_of(), order("run"), Leave()),
        (job_of(), None, Leave()),
        (job_of(status=WORKS, annotations=PAUSES), order(), Hold(LATER)),
        (job_of(status=WORKS), order(), "does not say pause=requeue"),
        (held(SOON), order(), Hold(LATER)),
        (held(LATER), order(), Leave()),
        (held(SOON), order("run"), Release()),
        (held(SOON), order(until=NOW), Release()),
        (held(SOON), None, Leave()),
        (held(NOW), None, Release()),
        (job_of(spec={"suspend": True}), order(), Leave()),
        (job_of(spec={"suspend": True}), order("run"), "somebody else has stopped it"),
        (job_of(spec={"suspend": True}), None, Leave()),
        (job_of(annotations={HELD: LATER.isoformat()}), order(), "so that it is theirs"),
        (job_of(spec={"suspend": True}, annotations=WAITS), order(), Hold(LATER)),
        (job_of(spec={"suspend": True}, annotations=WAITS), order("run"), Release()),
        (job_of(spec={"suspend": True}, annotations=WAITS), None, Release()),  # it was created an hour ago
        (held(NOW, status={"conditions": [{"type": "Complete", "status": "True"}]}), None, Leave()),
    ],
)
def test_what_is_done_with_a_job(reader: Reader, job: dict[str, Any], ordered: JobDesired | None, step: Any) -> None:
    decided = decide(reader.job(job, None), ordered, NOW, MARKS, 900)
    if isinstance(step, str):
        assert isinstance(decided, Leave)
        assert step in decided.because
    else:
        assert decided == step


def test_a_new_job_that_waits_for_its_first_order_waits_so_long_and_is_marked_so(reader: Reader) -> None:
    step = decide(reader.job(job_of(spec={"suspend": True}, annotations=WAITS), None), None, NOW, MARKS, 7200)
    assert isinstance(step, Hold)
    assert step.until == datetime(2026, 7, 15, 11, tzinfo=UTC)


@pytest.mark.parametrize(("kind", "spec"), [(JOB, {"suspend": False}), (WORKLOAD, {}), (QUEUE, {"stopPolicy": "None"})])
def test_what_is_stopped_is_marked_in_the_same_write_and_started_without_a_trace(kind: Any, spec: dict[str, Any]) -> None:
    before = {"metadata": {"name": "x", "annotations": {"theirs": "1"}}, "spec": spec}
    assert not stopped(kind, before)
    during = merged(before, MARKS.hold(kind, LATER + timedelta(microseconds=1999), "dear"))
    assert stopped(kind, during)
    assert MARKS.until(during) == LATER + timedelta(milliseconds=1)
    after = merged(during, MARKS.release(kind))
    assert not stopped(kind, after)
    assert after["metadata"]["annotations"] == {"theirs": "1"}


def test_a_mark_that_nobody_can_read_is_past() -> None:
    for told in ("soon", "2026-07-15T10:00:00", "", 5):
        assert MARKS.until({"metadata": {"annotations": {HELD: told}}}) == NEVER
    assert MARKS.until({"metadata": {}}) is None


def queue(policy: str = "None", mark: datetime | None = None, consent: str = "yes") -> dict[str, Any]:
    notes = {} if mark is None else {HELD: mark.isoformat()}
    return {"metadata": {"name": "q", "labels": {"facility.example/deferrable": consent}, "annotations": notes}, "spec": {"stopPolicy": policy}}


@pytest.mark.parametrize(
    ("found", "waiting", "step"),
    [
        (queue(), [Waiting(True, SOON, True), Waiting(True, LATER, False)], Hold),
        (queue(), [Waiting(True, LATER, False)], Leave),  # nothing is ordered
        (queue(), [Waiting(True, SOON, True), Waiting(True, None, True)], Leave),
        (queue(), [Waiting(True, SOON, True), Waiting(False, None, False)], Leave),
        (queue(consent="no"), [Waiting(True, SOON, True)], Leave),
        (queue(), [], Leave),
        (queue("Hold", SOON), [Waiting(True, SOON, True)], Leave),
        (queue("Hold", SOON), [Waiting(True, LATER, True)], Hold),
        (queue("Hold", SOON), [Waiting(True, SOON, True), Waiting(False, None, False)], Release),
        (queue("Hold", SOON), [], Release),
        (queue("Hold", SOON, consent="no"), [Waiting(True, SOON, True)], Release),
        (queue("Hold"), [], Leave),  # its administrator's
        (queue("None", SOON), [Waiting(True, LATER, True)], Leave),  # its administrator opened it
    ],
)
def test_a_queue_is_held_while_all_that_waits_in_it_is(found: dict[str, Any], waiting: list[Waiting], step: type) -> None:
    assert isinstance(decide_queue(found, waiting, NOW, MARKS), step)


# Who we are


def kubeconfig(folder: Path, *, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, current: str = "x") -> Path:
    file = folder / "config"
    told = {
        "current-context": current,
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
    }
    file.write_text(yaml.safe_dump(told))
    return file


def test_a_kubeconfig_tells_where_and_who(tmp_path: Path) -> None:
    login = read_kubeconfig(kubeconfig(tmp_path))
    assert (login.url, login.token.text()) == ("https://10.0.0.1:6443", "t")
    assert login.context is not None
    assert login.context.verify_mode == ssl.CERT_REQUIRED
    (tmp_path / "token").write_text("from-file\n")
    assert read_kubeconfig(kubeconfig(tmp_path, user={"tokenFile": "token"})).token.text() == "from-file"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"user": {"exec": {"command": "aws"}}}, "exec: a program that makes tokens"),
        ({"user": {"username": "admin", "password": "x"}}, "username: a password"),
        ({"cluster": {"insecure-skip-tls-verify": True}}, "nobody can tell from another"),
        ({"cluster": {"certificate-authority-data": "%%"}}, "no text in base64"),
        ({"cluster": {"certificate-authority-data": base64.b64encode(b"no PEM").decode()}}, "cannot be used"),
        ({"cluster": {"server": "http://10.0.0.1"}}, "neither encrypted nor on this machine"),
        ({"cluster": {"server": "10.0.0.1"}}, "is no address"),
        ({"current": "y"}, "no context 'y'"),
        ({"user": {"client-certificate": "none.pem"}}, "client certificate cannot be used"),
    ],
)
def test_a_kubeconfig_that_leads_nowhere_is_refused(tmp_path: Path, what: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=r"\S") as refused:
        read_kubeconfig(kubeconfig(tmp_path, **what))
    assert said in str(refused.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_kubeconfig(tmp_path / "nowhere")


def test_a_pod_finds_itself_and_anything_else_is_told_how_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no pod"):
        in_cluster(tmp_path)
    (tmp_path / "token").write_text("abc")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    with pytest.raises(InputError, match=r"ca.crt"):
        in_cluster(tmp_path)
    assert at("https://[fd00::1]:443", Token("abc"), None).url == "https://[fd00::1]:443"
    (tmp_path / "open").write_text("abc")
    (tmp_path / "open").chmod(0o644)
    with pytest.raises(InputError, match="mode 0644"):
        by_options("https://api.example", tmp_path / "open", None)


# What is shipped


@pytest.mark.parametrize(("queues", "namespaces"), [(False, ()), (True, ("team-a", "team-b"))])
def test_the_manifest_gives_no_more_rights_than_are_used(queues: bool, namespaces: tuple[str, ...]) -> None:
    objects = list(yaml.safe_load_all(manifest(site_with(queues=queues), "k8s", namespaces)))
    kinds = [each["kind"] for each in objects]
    wide = [each for each in objects if each["kind"] == "ClusterRole"]
    rules = [rule for each in objects if each["kind"] in {"Role", "ClusterRole"} for rule in each["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch", "patch"}
    resources = {name for rule in rules for name in rule["resources"]}
    assert resources == {"jobs", "workloads"} | ({"clusterqueues", "localqueues"} if queues else set())
    if namespaces:
        assert [each["metadata"]["namespace"] for each in objects if each["kind"] == "Role"] == ["team-a", "team-b"]
        assert [rule["resources"] for each in wide for rule in each["rules"]] == [["clusterqueues"]]
    assert kinds[-2:] == ["Deployment", "CronJob"]
    pods = objects[-2]["spec"]["template"]["spec"], objects[-1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pods[1]["containers"][0]["command"] == [*pods[0]["containers"][0]["command"], "--release-expired"]
    assert all(pod["containers"][0]["securityContext"]["runAsNonRoot"] for pod in pods)


# What stands in the site file


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pools": {"a": "h1-c"}}, "pools.a (--set): no `h1-c` in pools; did you mean `h1-"),
        ({"pools": {}}, "schedulers.kubernetes.k8s.pools"),
        ({"default_pool": "h9"}, "default_pool (--set): no `h9` in pools"),
        ({"namespaces": {"x": {"tenant": "keppler"}}}, "namespaces.x.tenant (--set): no `keppler` in tenants"),
        ({"namespaces": {"x": {"tenant": "nordlab", "contract": "kepler-jobs"}}}, "`kepler-jobs` is kepler's, not nordlab's"),
        ({"prefix": "Our Labels"}, "a name such as facility.example"),
        ({"pool_label": "pool"}, "a label such as facility.example/pool"),
        ({"gpu_resources": []}, "gpu_resources"),
        ({"first_wait_s": 0}, "first_wait_s"),
        ({"pool": {}}, "did you mean `pools`?"),
    ],
)
def test_a_cluster_in_a_site_file_that_leads_nowhere_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refused:
        site_with(**change)
    assert said in "\n".join(map(str, refused.value.faults))
