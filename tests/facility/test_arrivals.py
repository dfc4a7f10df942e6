"""Work that is still to come is expected as it came before, and room is kept for it by jobs that nobody is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from facility.config import load_site
from facility.decide import Optimised, decide
from facility.forecast import Arrivals, JobSeen, arrivals, expect
from facility.forecast.arrivals import STANDS_FOR, WITHIN_H
from facility.overrides.arbitrate import bounds
from facility.snapshot import Job, Snapshot
from facility.steps import rolling

SITE = load_site("site_configs/demo.yaml")
ZONE = ZoneInfo("UTC")
SINCE = datetime(2023, 1, 2, tzinfo=UTC)  # a Monday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POOL = next(iter(SITE.pools))


def day(at: datetime, count: int = 24) -> tuple[datetime, ...]:
    return tuple(at + i * HOUR for i in range(count + 1))


def seen(at: datetime, work: float = 4.0, gpus: int = 2, pool: str = POOL) -> JobSeen:
    return JobSeen(at, gpus, work, pool, slack_h=4.0)


def test_what_comes_every_hour_is_expected_every_hour() -> None:
    past = [seen(SINCE + i * HOUR + timedelta(minutes=7)) for i in range(24 * 14)]
    coming = arrivals(past, day(SINCE + 14 * DAY), ZONE, SINCE)
    assert coming is not None
    assert coming.mean == pytest.approx(4.0)
    assert (coming.band.low == 4.0).all()
    assert (coming.band.high == 4.0).all()
    fine = arrivals(past, tuple(SINCE + 14 * DAY + i * timedelta(minutes=5) for i in range(13)), ZONE, SINCE)
    assert fine is not None
    assert fine.mean.sum() == pytest.approx(4.0)


def test_nights_and_weekends_are_seen() -> None:
    at = [SINCE + i * HOUR for i in range(24 * 28)]
    past = [seen(when) for when in at if when.weekday() < 5 and 8 <= when.hour < 18]
    monday, saturday = (arrivals(past, day(SINCE + days * DAY), ZONE, SINCE) for days in (28, 26))
    assert monday is not None
    assert saturday is not None
    assert monday.mean[8:18].min() > 10 * monday.mean[:8].max()
    assert saturday.mean.sum() < 0.3 * monday.mean.sum()
    assert (monday.band.middle[9:17] == 4.0).all()
    assert (saturday.band.high == 0.0).all()


def test_the_newest_weeks_count_more() -> None:
    past = [seen(SINCE + i * HOUR, work=2.0 if i < 24 * 28 else 10.0) for i in range(24 * 56)]
    coming = arrivals(past, day(SINCE + 56 * DAY), ZONE, SINCE)
    assert coming is not None
    assert 7.5 < coming.mean.mean() < 10


def test_a_job_of_weeks_counts_with_a_day_of_it() -> None:
    assert seen(SINCE, work=1000.0, gpus=2).soon_gpu_h == 2 * WITHIN_H


def test_less_than_two_days_teach_nothing() -> None:
    assert arrivals([seen(SINCE)], day(SINCE + 47 * HOUR), ZONE, SINCE) is None
    assert arrivals([], day(SINCE + 48 * HOUR), ZONE, SINCE) is not None


def test_of_what_comes_later_nothing_is_known() -> None:
    past = [seen(SINCE + i * HOUR) for i in range(24 * 7)]
    now = SINCE + 5 * DAY
    one, two = arrivals(past, day(now), ZONE, SINCE), arrivals([job for job in past if job.submit < now], day(now), ZONE, SINCE)
    assert one is not None
    assert two is not None
    assert one.mean.tolist() == two.mean.tolist()


def test_bands_cover_what_they_claim_of_lumps_by_the_hour_of_the_day() -> None:
    rng, rate = np.random.default_rng(3), 2 + 3 * np.sin(np.arange(24) / 24 * 2 * np.pi) ** 2
    past, inside, mean, true = Arrivals(ZONE, SINCE), [], [], []
    for i in range(24 * 60):
        now = SINCE + i * HOUR
        came = [seen(now + timedelta(minutes=1), float(rng.exponential(3))) for _ in range(rng.poisson(rate[i % 24]))]
        work = sum(job.work_gpu_h for job in came)
        if i > 24 * 28 and i % 5 == 0:  # which comes to every hour of the day
            coming = past.expected((now, now + HOUR))
            assert coming is not None
            inside.append(coming.band.low[0] <= work <= coming.band.high[0])
            mean.append(coming.mean[0])
            true.append(work)
        for job in came:
            past.see(job)
    assert 0.75 <= np.mean(inside) <= 0.85
    assert np.mean(mean) == pytest.approx(np.mean(true), rel=0.05)


def test_jobs_that_stand_for_others_have_their_work_among_the_pools_it_went_to() -> None:
    pools = list(SITE.pools)[:2]
    past = [seen(SINCE + i * HOUR, work=4.0 if i % 2 else 12.0, pool=pools[i % 2]) for i in range(24 * 14)]
    edges = rolling(SINCE + 14 * DAY)
    known = Arrivals(ZONE, SINCE)
    for job in past:
        known.see(job)
    coming, jobs = known.expected(edges), known.standing_in(edges, SITE.jobs.curve)
    assert coming is not None
    assert sum(job.work_gpu_h for job in jobs) == pytest.approx(coming.mean[1:].sum(), rel=0.01)
    by_pool = [sum(job.work_gpu_h for job in jobs if job.pool == pool) for pool in pools]
    assert by_pool[0] == pytest.approx(3 * by_pool[1])
    assert all(job.submit > edges[0] and job.elastic and job.deadline > job.submit + 4 * HOUR for job in jobs)
    assert len({job.id for job in jobs}) == len(jobs)


def test_a_plan_keeps_room_for_them_and_sends_them_nothing() -> None:
    """Work of its own is done sooner where more is to come that wants the same GPUs; of nobody who stands in is anything said."""
    now = datetime(2026, 7, 15, 6, tzinfo=UTC)
    gpus, edges = SITE.pools[POOL].gpus, rolling(now)
    own = Job("own", POOL, SITE.jobs.curve, gpus // 4, gpus / 2, now, now + 20 * HOUR, elastic=True)
    known = Arrivals(ZONE, now - 14 * DAY)
    for i in range(24 * 14):
        known.see(JobSeen(now - 14 * DAY + i * HOUR, gpus // 2, gpus / 4, POOL, 2.0))
    others = known.standing_in(edges, SITE.jobs.curve)
    alone, among = (
        decide(SITE, Snapshot(at=now, jobs=jobs), expect(SITE, edges, {}), bounds(SITE, (), now, edges), edges, 60)
        for jobs in ((own,), (own, *others))
    )
    for plan in (alone, among):
        assert isinstance(plan, Optimised)
        assert [order.job for order in plan.decision.jobs] == ["own"]
        assert not any(group.workload.startswith(STANDS_FOR) for pool in plan.decision.pools for group in pool.groups)
    assert among.plan.account.import_kw.sum() > alone.plan.account.import_kw.sum()
