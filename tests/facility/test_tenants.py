"""Tenants see what is their own and nothing else, and submit jobs as nobody but themselves.

The site is that of `test_daemon`, with 10 GPUs, and two tenants: `tina` rents 4 (`tina-rent`), `ursa` rents 2 (`ursa-rent`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.bus.interface import MAX_PAYLOAD_BYTES, Message
from facility.bus.messages import TenantRefusal, TenantView, encode
from facility.daemon.answering import tenants
from facility.daemon.answering.tenants import MOST_REFUSED
from facility.decision import CapGroup, Decision, JobOrder, PoolCaps
from facility.overrides.arbitrate import Bounds
from facility.rental.view import MOST_SHOWN, fitting, jobs_of, rentals_of
from facility.site import Contract, Site
from facility.snapshot import Job
from tests.facility.test_daemon import NOW, ROOT, SITE, House

WHOLE = SITE.model_dump(mode="json", exclude_unset=True)
RENT = {"kind": "reserved", "pool": "p", "curve": "train", "value_per_gpu_h": 2, "floor_speed": 0.2}
TWO = Site.model_validate(WHOLE | {
    "tenants": {"tina": {"name": "Tina AG"}, "ursa": {"name": "Ursa SE"}},
    "contracts": {
        "tina-rent": RENT | {"tenant": "tina", "gpus": 4}, "tina-jobs": {"tenant": "tina", "kind": "on-demand", "value_per_gpu_h": 1},
        "ursa-rent": RENT | {"tenant": "ursa", "gpus": 2},
    },
})  # fmt: skip
SPEC = {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p", "deadline": (NOW + timedelta(hours=9)).isoformat()}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", TWO)
    yield made
    made.kill()


def submit(house: House, whose: str, job: str, **changed: Any) -> None:
    own = {"contract": "tina-jobs"} if whose == "tina" else {}
    house.say(f"tenant/{whose}/job/{job}/spec", SPEC | own | changed, retain=True)


def look(house: House) -> None:
    """Let the daemon look at its clock and tell what there is."""
    house.daemon.upkeep.guard_s -= 1
    house.settle()


def view(house: House, tenant: str) -> Any:
    look(house)
    told = house.retained(f"tenant/{tenant}/view")
    assert told is not None
    return told


def attend(house: House) -> None:
    """Let the daemon read all that came, in order."""
    while house.bus.inbox._commands or house.bus.inbox._telemetry:
        house.daemon.attend(0.0)


def refusal(house: House, tenant: str = "tina") -> tuple[str, str]:
    (told,) = view(house, tenant)["refused"]
    return told["job"], told["reason"]


def test_each_tenant_sees_its_rentals_and_jobs_with_gpus_caps_and_speed(house: House) -> None:
    submit(house, "tina", "fold")
    house.daemon.cycle()
    tina, ursa = view(house, "tina"), view(house, "ursa")
    (rental,), (job,) = tina["rentals"], tina["jobs"]
    assert (rental["contract"], rental["gpus"], rental["running"], rental["speed"]) == ("tina-rent", 4, 4, 1.0)
    assert rental["caps"] == [{"gpus": 4, "cap_w": 400, "speed": 1.0}]
    assert (job["job"], job["running"], job["speed"], job["reason"], job["until"]) == ("fold", 2, 1.0, "runs at full speed", None)
    assert ([r["contract"] for r in ursa["rentals"]], ursa["jobs"]) == (["ursa-rent"], [])
    assert tina["valid_until"] == (NOW + timedelta(seconds=900)).isoformat().replace("+00:00", "Z")


def test_a_job_of_a_tenant_is_a_job_of_the_site(house: House) -> None:
    submit(house, "tina", "fold", tenant="tina")
    house.daemon.cycle()
    order = house.retained("job/fold/desired")
    assert order is not None
    assert order["action"] == "run"
    house.say("tenant/tina/job/fold/spec", b"", retain=True)
    assert view(house, "tina")["jobs"] == []


def test_a_slower_cap_is_told_without_whose_doing_it_is(house: House) -> None:
    submit(house, "tina", "fold")
    house.daemon.cycle()
    house.order("pool/h/p", "cap_w", 250, by="ann", reason="busbar warm near ursa")
    tina = view(house, "tina")
    assert tina["rentals"][0]["caps"] == [{"gpus": 4, "cap_w": 250, "speed": 0.6}]
    assert {tina["rentals"][0]["reason"], tina["jobs"][0]["reason"]} == {"the site's operator limits its power"}
    house.order("job/fold", "hold", by="ann", reason="busbar warm near ursa")
    (job,) = view(house, "tina")["jobs"]
    assert (job["running"], job["speed"], job["reason"]) == (0, 0.0, "the site's operator holds it")
    assert not any(word in str(view(house, "tina")) for word in ("ann", "busbar", "ursa"))


def test_a_rental_over_the_bus_is_seen_until_it_ends(house: House) -> None:
    house.daemon.cycle()
    end = NOW + timedelta(minutes=20)
    rental = {"id": "r", "by": "desk", "tenant": "ursa", "kind": "reserved", "pool": "p", "gpus": 3, "curve": "train"}
    house.say("contract/burst/set", rental | {"start": NOW.isoformat(), "end": end.isoformat()})
    house.daemon.cycle()
    burst = view(house, "ursa")["rentals"][-1]
    assert (burst["contract"], burst["running"]) == ("burst", 3)
    assert burst["until"] == end.isoformat().replace("+00:00", "Z")
    assert [r["contract"] for r in view(house, "tina")["rentals"]] == ["tina-rent"]
    house.clock.advance(1201)
    house.settle()
    house.daemon.cycle()
    assert [r["contract"] for r in view(house, "ursa")["rentals"]] == ["ursa-rent"]


@pytest.mark.parametrize(
    ("job", "changed", "why"),
    [
        ("fold", {"tenant": "ursa"}, "names another tenant"),
        ("fold", {"tenant": "nobody"}, "names another tenant"),
        ("fold", {"contract": "ursa-rent"}, "no contract of yours has this name; yours: tina-rent, tina-jobs"),
        ("fold", {"contract": "none-such"}, "no contract of yours has this name"),
        ("theirs", {}, "cannot be used"),
        ("ursa-rent", {}, "cannot be used"),
        ("tina-rent", {}, "cannot be used"),
        ("fold", {"pool": "q"}, "no pool 'q'"),
        ("fold", {"gpus": 0}, "gpus"),
    ],
)
def test_what_crosses_is_refused_and_the_answer_tells_of_nobody(house: House, job: str, changed: dict[str, Any], why: str) -> None:
    submit(house, "ursa", "theirs", work_gpu_h=3)
    house.daemon.cycle()
    before = view(house, "ursa")["jobs"]
    submit(house, "tina", job, **changed)
    name, reason = refusal(house)
    assert (name, why in reason) == (job, True)
    assert "ursa" not in reason
    assert view(house, "tina")["jobs"] == []
    assert view(house, "ursa")["jobs"] == before
    assert view(house, "ursa")["refused"] == []
    assert house.daemon.rooms.tenants.refused == {"tina": 1}


def test_nobody_removes_another_s_job_and_learns_nothing_by_trying(house: House) -> None:
    submit(house, "ursa", "theirs")
    for job in ("theirs", "none-such"):
        house.say(f"tenant/tina/job/{job}/spec", b"", retain=True)
    house.daemon.cycle()
    assert [job["job"] for job in view(house, "ursa")["jobs"]] == ["theirs"]
    assert view(house, "tina")["refused"] == []


def test_a_job_of_the_scheduler_is_its_tenants_and_nobody_elses(house: House) -> None:
    house.say("job/j/spec", SPEC | {"tenant": "ursa"}, retain=True)
    submit(house, "tina", "j")
    house.daemon.cycle()
    assert [job["job"] for job in view(house, "ursa")["jobs"]] == ["j"]
    assert refusal(house)[1] == "this id cannot be used; take another"
    submit(house, "ursa", "j", gpus=1)
    assert view(house, "ursa")["jobs"][0]["gpus"] == 1


def test_a_refusal_stands_until_the_job_is_mended_or_removed_and_there_is_an_end_to_them(house: House) -> None:
    house.daemon.cycle()
    submit(house, "tina", "fold", tenant="ursa")
    assert refusal(house)[0] == "fold"
    submit(house, "tina", "fold")
    assert view(house, "tina")["refused"] == []
    for number in range(MOST_REFUSED + 5):
        house.say(f"tenant/tina/job/j{number}/spec", b"{")
    assert [told["job"] for told in view(house, "tina")["refused"]] == [f"j{number}" for number in range(5, MOST_REFUSED + 5)]
    house.say("tenant/tina/job/j7/spec", b"")
    assert "j7" not in str(view(house, "tina")["refused"])


def test_an_unknown_tenant_gets_nothing(house: House) -> None:
    house.daemon.cycle()
    submit(house, "nobody", "fold")
    look(house)
    assert house.retained("tenant/nobody/view") is None
    assert house.retained("job/fold/desired") is None


def test_no_tenant_takes_all_the_room(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "MOST_JOBS", 2)
    house.daemon.cycle()
    for number in range(3):
        submit(house, "tina", f"j{number}")
    assert refusal(house) == ("j2", "more than 2 jobs")
    submit(house, "tina", "j1", gpus=1)
    submit(house, "ursa", "u1")
    assert view(house, "ursa")["refused"] == []


def test_a_tenant_who_floods_delays_no_operator_and_is_read_no_faster_than_the_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "AT_ONCE", 50)
    house.daemon.cycle()
    for number in range(200):
        house.ear.publish(Message(f"{ROOT}/tenant/tina/job/j{number}/spec", b"{", qos=1))
    order = {"id": "o", "kind": "cap_w", "value": 250, "by": "ann"}
    house.ear.publish(Message(f"{ROOT}/override/pool/h/p/set", msgspec.json.encode(order), qos=1))
    house.daemon.attend(0.0)
    assert house.caps()["tina-rent"] == 250, "it is the first that is read"
    attend(house)
    assert [told["job"] for told in view(house, "tina")["refused"]][-1] == "j49"
    submit(house, "ursa", "u1")
    assert [job["job"] for job in view(house, "ursa")["jobs"]] == ["u1"]
    house.clock.advance(1)
    for number in range(200, 300):
        house.ear.publish(Message(f"{ROOT}/tenant/tina/job/j{number}/spec", b"{", qos=1))
    attend(house)
    assert [told["job"] for told in view(house, "tina")["refused"]][-1] == "j219"


def test_a_view_is_told_when_it_changes_and_again_after_an_outage(house: House) -> None:
    house.daemon.cycle()
    first = view(house, "tina")
    house.heard("")
    for _ in range(3):
        house.clock.advance(11)
        look(house)
    assert house.heard("tenant/tina/view") == []
    assert house.retained("tenant/tina/view") == first
    house.broker.stop(forget=True)
    house.broker.start()
    house.settle()
    assert house.retained("tenant/tina/view") == first


def test_after_a_restart_a_job_is_still_its_tenants(house: House) -> None:
    submit(house, "ursa", "theirs")
    house.daemon.cycle()
    house.daemon.close()
    house.kill()
    house.broker.stop(forget=True)
    house.broker.start()
    house.open()
    house.daemon.start()
    submit(house, "tina", "theirs")
    house.daemon.cycle()
    assert [job["job"] for job in view(house, "ursa")["jobs"]] == ["theirs"]
    assert refusal(house)[0] == "theirs"


WORDS = st.sampled_from(["ursa", "Ursa SE", "ursa-rent", "ursa-job", "ann", "waits: ursa-rent's floor keeps caps low", "held by ann for ursa"])


@given(
    groups=st.lists(st.tuples(st.sampled_from(["tina-rent", "tina-job", "ursa-rent", "ursa-job"]), st.integers(0, 10), st.integers(100, 400))),
    orders=st.lists(st.tuples(st.sampled_from(["tina-job", "ursa-job"]), st.sampled_from(["run", "hold"]), WORDS)),
    words=WORDS,
    cap_w=st.none() | st.floats(100, 400),
    held=st.booleans(),
    mode=st.sampled_from(["normal", "freeze", "manual", "stop"]),
)
def test_whatever_is_decided_no_word_of_a_view_is_of_another_tenant(
    groups: list[Any], orders: list[Any], words: str, cap_w: float | None, held: bool, mode: Any
) -> None:
    pools = (PoolCaps("p", 100, tuple(CapGroup(*group) for group in groups), words),)
    told = tuple(JobOrder(job, action, 1, None, reason) for job, action, reason in orders)
    decision = Decision(NOW, NOW + timedelta(seconds=900), pools, told)
    asked = Bounds({"p": (cap_w,)}, {}, (4.0,), {}, {"p": (held,)}, mode, {"p": words, "tina-job": words, "ursa-job": words})
    job = Job("tina-job", "p", "train", 2, 4.0, NOW, NOW + timedelta(hours=9), "tina", "tina-jobs")
    rentals, jobs = rentals_of(TWO, decision, asked, "tina", {}, {}), jobs_of(TWO, decision, asked, [job])
    text = b"".join(map(encode, (*rentals, *jobs))).decode()
    assert not any(word in text for word in ("ursa", "Ursa", "ann"))
    assert [rental.contract for rental in rentals] == ["tina-rent"]


@pytest.mark.parametrize("caps", [1, 3])
def test_the_fullest_view_fits_into_one_message(caps: int) -> None:
    name, many = "x" * 64, 100
    contract = Contract.model_validate(RENT | {"tenant": "tina", "gpus": 4, "floor_speed": 0.9})
    site = TWO.model_copy(update={"contracts": {f"{number:064}": contract for number in range(many)}})
    names = [f"{number:064}" for number in range(2 * many)]
    groups = tuple(CapGroup(each, 10_000, 250 + cap) for each in names for cap in range(caps))
    jobs = [Job(each, "p", "train", 10_000, 1e6 / 3, NOW, NOW, "tina", name) for each in names[many:]]
    decision = Decision(NOW, NOW, (PoolCaps("p", 100, groups),), tuple(JobOrder(job.id, "run", 1) for job in jobs))
    asked = Bounds({"p": (None,)}, {}, (4.0,), {}, {"p": (False,)}, "normal", {})

    def view(most: int) -> TenantView:
        return TenantView(
            tenant=name, issued_at=NOW, valid_until=NOW, jobs_left_out=9,
            rentals=rentals_of(site, decision, asked, "tina", dict.fromkeys(site.contracts, NOW), {})[:most],
            jobs=jobs_of(site, decision, asked, jobs[:most]),
            refused=tuple(TenantRefusal(job=name, reason="y" * 500) for _ in range(MOST_REFUSED)),
        )  # fmt: skip

    assert len(encode(view(MOST_SHOWN))) > MAX_PAYLOAD_BYTES
    assert len(encode(fitting(view))) <= MAX_PAYLOAD_BYTES
    assert len(fitting(view).jobs) == MOST_SHOWN // 2


def test_what_a_tenant_sees_is_read_back(house: House) -> None:
    submit(house, "tina", "fold")
    house.daemon.cycle()
    look(house)
    told = msgspec.json.decode(house.broker.retained[f"{ROOT}/tenant/tina/view"], type=TenantView)
    assert told.jobs[0].deadline == NOW + timedelta(hours=9)
    house.ear.publish(Message(f"{ROOT}/tenant/tina/job/j/spec", b"[" * 50_000, qos=1))
    house.settle()
    assert "nested" in refusal(house)[1]
