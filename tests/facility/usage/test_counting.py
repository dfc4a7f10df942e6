"""Who had what in each quarter of an hour, counted by hand.

The site is that of `test_daemon`: pool `p`, 10 GPUs (idle 50 W; a cap of 100 W draws 100 W at speed 0.2, one of 400 W 390 W at 1), 6 of them
rented by `c`. At 250 W a GPU draws 245 W at speed 0.6.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from facility.decision import CapGroup, PoolCaps
from facility.site import Site
from facility.snapshot import Job
from facility.usage.counting import Counter, Kept
from facility.usage.standing import Held, Standing, rates
from facility.usage.usage import Usage
from facility.verify.draw import pool_kw
from tests.facility.test_daemon import SITE

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
QUARTER, MINUTE = timedelta(minutes=15), timedelta(minutes=1)
FALLBACK_W = {"p": 250}
JOB = Held("j", "p", "train", 2, "t", None)
WHOLE = SITE.model_dump(mode="json", exclude_unset=True)
HOSTED = {"hall": "h", "feeder": "main", "gpu_model": "g", "gpus": 10, "host_idle_w": 30, "host_run_w": 60}


def site(contract: dict[str, object] | None = None, **more: object) -> Site:
    return Site.model_validate(WHOLE | {"contracts": {"c": WHOLE["contracts"]["c"] | (contract or {})}} | more)


def sent(*groups: tuple[str, int, int], cap_w: int = 100) -> tuple[PoolCaps, ...]:
    return (PoolCaps("p", cap_w, tuple(CapGroup(*group) for group in groups)),)


def standing(*groups: tuple[str, int, int], cap_w: int = 100, **more: object) -> Standing:
    given = {"until": NOON + timedelta(hours=9), "planned": True} | more
    return Standing(sent(*groups, cap_w=cap_w), **given)  # type: ignore[arg-type]


def counted(stands: Standing, minutes: float = 15, where: Site = SITE, kept: Kept | None = None, begin: datetime = NOON) -> dict[str, Usage]:
    """The rows of the first quarter, by workload."""
    counter = Counter(FALLBACK_W, lambda _: where, kept)
    counter.stand(stands, begin)
    counter.count(begin + timedelta(minutes=minutes))
    return {row.workload: row for row in next(iter(counter.finished.values()))}


def test_a_rental_a_job_and_nobody_share_a_pool() -> None:
    found = counted(standing(("c", 6, 400), ("j", 2, 250), jobs=(JOB,)))
    c, j, free = found["c"], found["j"], found[""]
    assert (c.hours, c.kind, c.tenant, c.contract) == (0.25, "contract", "t", "c")
    assert (c.promised_gpu_h, c.reserved_gpu_h, c.gpu_h, c.speed_gpu_h) == (1.5, 1.5, 1.5, 1.5)
    assert c.expected_kwh == pytest.approx(6 * 0.390 / 4)
    assert (j.kind, j.promised_gpu_h, j.gpu_h, j.speed_gpu_h) == ("job", 0.0, 0.5, pytest.approx(0.3))
    assert j.expected_kwh == pytest.approx(2 * 0.245 / 4)
    assert (free.kind, free.tenant, free.gpu_h, free.expected_kwh, free.idle_kwh) == ("free", "", 0.0, 0.0, pytest.approx(2 * 0.050 / 4))
    assert c.lacks == ()


def test_a_job_has_what_its_scheduler_reports_and_not_what_it_was_ordered() -> None:
    found = counted(standing(("c", 6, 400), ("j", 4, 400), jobs=(replace(JOB, gpus=3),)))
    assert found["j"].gpu_h == pytest.approx(0.75)
    assert "j" not in counted(standing(("c", 6, 400), ("j", 4, 400)))


def test_gpus_in_no_group_have_the_cap_of_the_pool_and_none_counts_above_what_the_agent_reports() -> None:
    found = counted(standing(("c", 6, 400), ("j", 1, 400), jobs=(JOB,), cap_w=100))
    assert found["j"].speed_gpu_h == pytest.approx((1.0 + 0.2) / 4)
    assert counted(standing(("c", 6, 400), enforced_w={"p": 250}))["c"].speed_gpu_h == pytest.approx(6 * 0.6 / 4)


def test_demand_by_the_hour_is_what_is_promised_and_the_rest_of_its_gpus_idle_for_it() -> None:
    where = site({"demand_by_hour_gpus": [6] * 12 + [4] + [6] * 11})
    c = counted(standing(("c", 4, 400)), where=where)["c"]
    assert (c.promised_gpu_h, c.gpu_h, c.reserved_gpu_h, c.idle_kwh) == (1.0, 1.0, 1.5, pytest.approx(2 * 0.050 / 4))
    let_go = counted(standing(("c", 4, 400)), where=site({"demand_by_hour_gpus": [6] * 12 + [4] + [6] * 11, "releases_idle": True}))
    assert (let_go["c"].reserved_gpu_h, let_go["c"].idle_kwh) == (1.0, 0.0)
    assert let_go[""].idle_kwh == pytest.approx(6 * 0.050 / 4)


def test_gpus_that_pause_idle_for_their_rental_and_what_is_paused_is_missed() -> None:
    c = counted(standing(("c", 2, 400)), where=site({"pausable": True}))["c"]
    assert (c.gpu_h, c.reserved_gpu_h, c.idle_kwh, c.missed_gpu_h, c.cause) == (0.5, 1.5, pytest.approx(4 * 0.050 / 4), 1.0, "pause")
    assert counted(standing(("c", 2, 400), planned=False), where=site({"pausable": True}))["c"].gpu_h == 1.5


def test_gpus_that_maintenance_has_out_idle_for_nobody() -> None:
    out = {"m": {"pool": "p", "gpus": 3, "start": "2026-07-01T12:15:00Z", "end": "2026-07-01T13:00:00Z"}}
    counter = Counter(FALLBACK_W, lambda _: site(maintenance=out))
    counter.stand(standing(("c", 6, 400)), NOON)
    counter.count(NOON + 30 * MINUTE)
    idle = [row.idle_kwh for rows in counter.finished.values() for row in rows if row.kind == "free"]
    assert idle == pytest.approx([4 * 0.050 / 4, 1 * 0.050 / 4])


def test_a_rental_that_may_not_pause_runs_all_its_gpus_whatever_groups_say() -> None:
    assert counted(standing(("c", 2, 400), cap_w=100))["c"].speed_gpu_h == pytest.approx((2 + 4 * 0.2) / 4)


def test_gpus_that_are_gone_are_missed_and_their_idle_power_is_nobodys() -> None:
    found = counted(standing(("c", 4, 400), gone={"p": 6}))
    assert (found["c"].gpu_h, found["c"].missed_gpu_h, found["c"].cause) == (1.0, 0.5, "gone")
    assert (found["c"].reserved_gpu_h, found["c"].idle_kwh) == (1.0, 0.0)
    assert found[""].idle_kwh == pytest.approx(6 * 0.050 / 4)


@pytest.mark.parametrize(("causes", "cause"), [({}, "power"), ({"p": "guard"}, "guard"), ({"p": "operator"}, "operator")])
def test_speed_that_is_withheld_has_a_cause(causes: dict[str, str], cause: str) -> None:
    c = counted(standing(("c", 6, 250), causes=causes))["c"]
    (lack,) = c.lacks
    assert (lack.cause, lack.since, lack.hours, lack.missed_gpu_h) == (cause, NOON, 0.25, 0.0)
    assert lack.withheld_gpu_h == pytest.approx(6 * 0.4 / 4)
    assert c.missed_gpu_h == 0.0


def test_slow_hours_are_those_of_the_budget() -> None:
    """Twice slower withholds half; speed 0.6 withholds 0.4, so each of 6 GPUs uses 0.8 of an hour in an hour."""
    c = counted(standing(("c", 6, 250)), where=site({"greatest_slowdown": 2, "slow_hours": 1}))["c"]
    assert c.slow_gpu_h == pytest.approx(6 * 0.8 / 4)
    assert c.slow_h == pytest.approx(0.2)


def test_an_order_that_lapses_leaves_the_fallback_under_which_all_that_must_run_runs() -> None:
    """Five minutes at 400 W, ten at the fallback's 250 W, in which nobody orders a pause."""
    where = site({"pausable": True})
    c = counted(standing(("c", 3, 400), until=NOON + 5 * MINUTE), where=where)["c"]
    assert c.gpu_h == pytest.approx(3 * 5 / 60 + 6 * 10 / 60)
    assert c.speed_gpu_h == pytest.approx(3 * 5 / 60 + 6 * 0.6 * 10 / 60)


def test_a_lack_tells_since_when_it_lasts_and_one_that_comes_back_is_another() -> None:
    counter = Counter(FALLBACK_W, lambda _: SITE)
    whole, less = standing(("c", 6, 400)), standing(("c", 4, 400), gone={"p": 6})
    for minutes, stands in ((0, whole), (5, less), (20, whole), (25, less), (28, whole)):
        counter.stand(stands, NOON + minutes * MINUTE)
    counter.count(NOON + 30 * MINUTE)
    first, second = ({row.workload: row for row in rows}["c"].lacks for rows in counter.finished.values())
    assert [(lack.since - NOON, round(lack.hours * 60), lack.missed_gpu_h) for lack in first] == [(5 * MINUTE, 10, pytest.approx(20 / 60))]
    assert [(lack.since - NOON, round(lack.hours * 60)) for lack in second] == [(5 * MINUTE, 5), (25 * MINUTE, 3)]


def test_a_count_that_was_kept_goes_on_and_comes_to_the_same() -> None:
    whole = Counter(FALLBACK_W, lambda _: SITE)
    broken = Counter(FALLBACK_W, lambda _: SITE)
    for minutes in range(0, 45, 4):
        stands = standing(("c", 6, 400 - minutes), ("j", 2, 250), jobs=(JOB,), until=NOON + 30 * MINUTE)
        for counter in (whole, broken):
            counter.stand(stands, NOON + minutes * MINUTE)
        taken = broken.finished
        broken = Counter(FALLBACK_W, lambda _: SITE, msgspec.json.decode(msgspec.json.encode(broken.kept), type=Kept))
        broken.finished = taken
    for counter in (whole, broken):
        counter.count(NOON + 60 * MINUTE)
    assert broken.finished == whole.finished
    assert list(whole.finished) == [NOON + i * QUARTER for i in range(4)]


def test_a_clock_that_was_set_back_counts_anew_and_one_that_leapt_years_counts_a_month_at_most() -> None:
    counter = Counter(FALLBACK_W, lambda _: SITE)
    counter.stand(standing(("c", 6, 400)), NOON)
    counter.count(NOON + 20 * MINUTE)
    counter.count(NOON - 60 * MINUTE)
    counter.count(NOON - 45 * MINUTE)
    assert list(counter.finished) == [NOON, NOON + QUARTER, NOON - 60 * MINUTE]
    leapt = Counter(FALLBACK_W, lambda _: SITE)
    leapt.stand(standing(("c", 6, 400)), NOON)
    leapt.count(NOON + timedelta(days=3650))
    assert len(leapt.finished) == 32 * 96


def test_over_all_rows_of_a_pool_energy_is_its_expected_draw() -> None:
    """Held against the second opinion, for 200 pools with jobs in any state; a job that has no group idles in its eyes."""
    chance = random.Random(7)
    where = site(pools={"p": HOSTED})
    for _ in range(200):
        gpus = [chance.randint(0, 2) for _ in range(2)]
        jobs = tuple(replace(JOB, job=f"j{i}", gpus=n) for i, n in enumerate(gpus) if n)
        groups = [("c", 6, chance.randint(100, 400)), *((job.job, job.gpus, chance.randint(100, 400)) for job in jobs)]
        stands = standing(*groups, jobs=jobs, cap_w=chance.randint(100, 400))
        known = {job.job: Job(job.job, "p", "train", job.gpus, 1.0, NOON, NOON + QUARTER) for job in jobs}
        found = sum(rate.expected_kw + rate.idle_kw for rate in rates(where, stands, NOON))
        assert found == pytest.approx(pool_kw(where, stands.pools[0], known), rel=1e-12)


def test_however_time_is_cut_the_count_is_the_same() -> None:
    chance = random.Random(3)
    stands = standing(("c", 6, 300), until=NOON + 40 * MINUTE)
    once, often = (Counter(FALLBACK_W, lambda _: SITE) for _ in range(2))
    for counter in (once, often):
        counter.stand(stands, NOON)
    cuts = sorted(chance.uniform(0, 60) for _ in range(500))
    for minutes in itertools.chain(cuts, [60]):
        often.count(NOON + minutes * MINUTE)
    once.count(NOON + 60 * MINUTE)
    for a, b in zip(once.finished.values(), often.finished.values(), strict=True):
        assert [(row.gpu_h, row.speed_gpu_h, row.expected_kwh) for row in a] == [
            pytest.approx((row.gpu_h, row.speed_gpu_h, row.expected_kwh), rel=1e-9) for row in b
        ]
