"""What the console makes of what the bus tells: the site's clock, the glance, rows, costs, a page of many rows. No browser, no broker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from facility.bus.interface import Message
from facility.bus.messages import (
    Alarm,
    CapDesired,
    CapGroup,
    JobDesired,
    JobReported,
    JobSpec,
    Override,
    OverrideState,
    Payload,
    PlanCurrent,
    PlanStep,
    Sample,
    Status,
    encode,
)
from facility.bus.topics import Topics
from facility.clock import VirtualClock, milliseconds
from facility.config import load_site
from facility.console.hub import Frame, Pace
from facility.console.model import rows
from facility.console.model.beat import Beat
from facility.console.model.glance import Glance, glance
from facility.console.model.heard import Heard
from facility.console.model.rows import Jobs, Row
from facility.console.model.spend import Spend
from facility.console.model.table import Query, look
from facility.console.page.tiles import banner, tiles

NOON = datetime(2026, 7, 15, 10, tzinfo=UTC)
"""Noon in Berlin."""
BERLIN = ZoneInfo("Europe/Berlin")
SITE = load_site("site_configs/demo.yaml", ())
TOPICS = Topics(SITE.bus.root, SITE.id)
ORDER = {"epoch": 1, "seq": 1, "issued_at": NOON, "valid_until": NOON + timedelta(hours=1)}


class Told:
    """A console's model, and a clock and a bus to tell it by."""

    def __init__(self) -> None:
        self.clock = VirtualClock(NOON)
        self.heard = Heard(SITE, self.clock)
        self.jobs, self.spend = Jobs(self.heard), Spend(BERLIN)

    def tell(self, topic: str, payload: Payload | Sample | None, *, retain: bool = False) -> None:
        self.heard.hear(Message(topic, b"" if payload is None else encode(payload), 1, retain))

    def beat(self, mode: str = "NORMAL", *, at: datetime | None = None, **more: object) -> None:
        status = Status(instance="facility-1", mode=mode, heartbeat=milliseconds(at or self.clock.now()), reason="as planned", **more)  # type: ignore[arg-type]
        self.tell(TOPICS.status("facility-1"), status)

    def read(self, hall: str, kind: str, asset: str, point: str, value: float) -> None:
        self.tell(TOPICS.tele(hall, kind, asset, point), Sample(value, milliseconds(self.clock.now())))

    def job(self, name: str, state: str = "waiting", *, hold: bool = False, tenant: str | None = None) -> None:
        self.tell(TOPICS.job(name, "spec"), JobSpec(submit=NOON, gpus=8, work_gpu_h=16, pool="h1-a", tenant=tenant))
        action = "hold" if hold else "run"
        self.tell(TOPICS.job(name, "desired"), JobDesired(**ORDER, action=action, gpus=8, reason="waits until 2026-07-15T15:21Z"))  # type: ignore[arg-type]
        report = JobReported(timestamp=milliseconds(NOON), state=state, done_gpu_h=4)  # type: ignore[arg-type]
        self.tell(TOPICS.job(name, "reported"), report)
        self.jobs.refresh()

    def plan(self, **more: object) -> None:
        prices, limits = (60.0, 60.0, 90.0), (810.0, 810.0, 770.0)
        steps = tuple(
            PlanStep(time=NOON + timedelta(hours=i), hours=1, import_kw=700, import_limit_kw=limits[i], price_per_mwh=prices[i], it_kw=500)
            for i in range(3)
        )
        plan = PlanCurrent(
            plan_id="p-1", issued_at=NOON, site="demo", currency="EUR", mode="NORMAL", steps=steps, energy_cost=1000.0, saving_pct=5.0, **more  # type: ignore[arg-type]
        )
        self.tell(TOPICS.plan(), plan, retain=True)

    @property
    def glance(self) -> Glance:
        return glance(self.heard, self.spend, self.jobs.counts())

    def frame(self, away_s: float | None = None) -> Frame:
        return Frame(1, self.glance, {}, self.heard.plan, away_s)


@pytest.fixture
def told() -> Told:
    return Told()


def test_the_sites_clock_is_the_daemons_heartbeat_however_fast_it_runs() -> None:
    clock = VirtualClock(NOON)
    beat = Beat(clock)
    assert beat.now() == NOON
    assert beat.silent_s() is None
    epoch = datetime(2030, 1, 1, tzinfo=UTC)
    for i in range(10):
        beat.heard(milliseconds(epoch + timedelta(seconds=60 * i)))
        clock.advance(1)
    assert beat.rate == pytest.approx(60)
    assert beat.now() == epoch + timedelta(seconds=600)
    assert beat.silent_s() == pytest.approx(1)


def test_heartbeats_that_waver_are_real_time_and_a_clock_that_is_set_back_begins_anew() -> None:
    clock = VirtualClock(NOON)
    beat = Beat(clock)
    for i in range(10):
        beat.heard(milliseconds(NOON + timedelta(seconds=i, milliseconds=40 * (i % 2))))
        clock.advance(1)
    assert beat.rate == 1
    beat.heard(milliseconds(NOON - timedelta(hours=1)))
    assert beat.now() == NOON - timedelta(hours=1)


def test_power_price_and_mode_are_those_of_now_and_what_comes_next_is_told(told: Told) -> None:
    told.beat()
    told.plan()
    told.read("site", "meter", "main", "import_kw", 640.0)
    now = told.glance
    assert (now.mode, now.why, now.alive, now.import_kw, now.limit_kw, now.price_per_mwh) == ("NORMAL", "as planned", True, 640, 810, 60)
    assert now.next_price is not None
    assert now.next_limit is not None
    assert (now.next_price.value, now.next_price.at) == (90, NOON + timedelta(hours=2))
    assert (now.next_limit.value, now.next_limit.at) == (770, NOON + timedelta(hours=2))
    assert now.saving_pct == 5


def test_without_a_plan_price_and_limit_are_the_sites_own(told: Told) -> None:
    now = told.glance
    assert (now.mode, now.limit_kw, now.price_per_mwh, now.next_price) == ("starting", 810, 64, None)


def test_a_reading_that_is_too_old_is_not_shown_as_one(told: Told) -> None:
    told.beat()
    told.read("site", "meter", "main", "import_kw", 640.0)
    for _ in range(16):
        told.clock.advance(1)
        told.beat()
    now = told.glance
    assert now.import_kw is None
    assert now.age_s == pytest.approx(16, abs=0.1)
    assert "not measured for 16 s" in tiles(SITE, told.frame(), BERLIN)["power"]


def test_a_daemon_whose_heart_stops_is_told_to_be_gone_within_five_seconds(told: Told) -> None:
    told.beat()
    assert banner(told.frame()) == ""
    told.clock.advance(4)
    assert not told.glance.alive
    assert "The daemon has not been heard" in banner(told.frame())
    told.beat("offline")
    assert not told.glance.alive


def test_a_broker_that_is_away_comes_first(told: Told) -> None:
    told.beat()
    assert "The broker has not answered for 3 s" in banner(told.frame(away_s=3))


def test_a_status_that_is_retained_is_no_heartbeat(told: Told) -> None:
    told.tell(TOPICS.status("facility-1"), Status(instance="facility-1", mode="NORMAL", heartbeat=milliseconds(NOON)), retain=True)
    assert told.glance.mode == "NORMAL"
    assert not told.glance.alive


def test_a_standby_is_not_taken_for_the_daemon(told: Told) -> None:
    told.beat()
    told.tell(TOPICS.status("facility-2"), Status(instance="facility-2", mode="standby", heartbeat=milliseconds(NOON + timedelta(days=1))))
    assert told.glance.mode == "NORMAL"
    assert told.heard.spares == ("facility-2",)
    assert told.heard.beat.now() == NOON


def test_caps_show_the_highest_and_whether_somebody_overrides(told: Told) -> None:
    groups = (CapGroup(workload="a", gpus=100, cap_w=300), CapGroup(workload="b", gpus=("x/1", "x/2"), cap_w=250))
    sent = CapDesired(**ORDER, cap_w=100, fallback_cap_w=150, groups=groups, reason="dear until 2026-07-15T18:00Z")  # type: ignore[arg-type]
    told.tell(TOPICS.cap_desired("h1", "h1-a"), sent)
    standing = Override(id="o", kind="cap_w", value=300, effective=300, priority=8, start=NOON, end=NOON + timedelta(hours=1), by="ann")
    told.tell(TOPICS.override("hall/h1", "state"), OverrideState(overrides=(standing,)), retain=True)
    cap = next(cap for cap in told.glance.caps if cap.id == "h1-a")
    assert (cap.sent_w, cap.share, cap.overridden) == (300, 0.75, True)
    row = next(row for row in rows.pools(told.heard) if row.id == "h1-a")
    assert (row.about, row.shown["cap"], row.shown["why"]) == ("pool/h1/h1-a", "100 at 300 W, 2 at 250 W", "dear until 20:00")
    (over,) = rows.overrides(told.heard)
    assert (over.id, over.about, over.shown["what"], over.shown["until"]) == ("o", "hall/h1", "cap 300 W", "13:00")
    told.tell(TOPICS.override("hall/h1", "state"), None, retain=True)
    assert list(rows.overrides(told.heard)) == []


def test_jobs_are_counted_and_their_rows_follow_what_is_told(told: Told) -> None:
    told.job("a", "running")
    told.job("b", hold=True, tenant="lumen")
    told.job("c")
    assert told.jobs.counts() == (1, 1, 1)
    assert [(row.id, row.shown["state"]) for row in told.jobs.rows()] == [("b", "held"), ("a", "running"), ("c", "waiting")]
    held = told.jobs.rows()[0]
    assert (held.shown["tenant"], held.shown["done"], held.shown["why"]) == ("lumen", 25, "waits until 17:21")
    assert told.jobs.by_tenant()["lumen"]["held"] == 1
    assert told.jobs.by_tenant()["kepler"]["running"] == 1  # by the contract of jobs
    told.job("b", "running")
    assert told.jobs.counts() == (2, 0, 1)
    assert [row.id for row in told.jobs.rows()] == ["a", "b", "c"]
    for what in ("spec", "desired", "reported"):
        told.tell(TOPICS.job("a", what), None)
    assert told.jobs.refresh()
    assert told.jobs.counts() == (1, 0, 1)
    assert [row.id for row in told.jobs.rows()] == ["b", "c"]
    assert set(told.jobs.by_tenant()) == {"kepler"}
    assert not told.jobs.refresh()


def test_what_cannot_be_read_changes_nothing(told: Told) -> None:
    told.beat()
    told.heard.hear(Message(TOPICS.plan(), b"{nonsense", 1))
    told.heard.hear(Message(TOPICS.alarm("a"), b"\xff", 1))
    told.heard.hear(Message("somewhere/else", b"1", 1))
    assert told.heard.plan is None
    assert told.glance.alarms == ()


def test_alarms_come_the_worst_first_and_their_words_are_escaped(told: Told) -> None:
    told.beat()
    for name, severity in (("w", "warning"), ("c", "critical"), ("a", "alarm")):
        told.tell(TOPICS.alarm(name), Alarm(id=name, severity=severity, cause=f"<b>{name}</b>", since=NOON))  # type: ignore[arg-type]
    assert [alarm.id for alarm in told.glance.alarms] == ["c", "a", "w"]
    assert "&lt;b&gt;c&lt;/b&gt;" in tiles(SITE, told.frame(), BERLIN)["alarms"]
    assert [row.id for row in rows.alarms(told.heard)] == ["c", "a", "w"]


def test_feeders_hang_under_each_other(told: Told) -> None:
    told.read("site", "feeder", "ups-1", "power_kw", 255.0)
    found = {row.id: row.shown for row in rows.feeders(told.heard)}
    assert [name for name in found if found[name]["depth"] == 2] == ["busway-1a", "busway-1b", "busway-2a"]
    assert (found["ups-1"]["share"], found["busway-1a"]["feeds"], found["mech"]["share"]) == (50, "h1-a", None)


def test_costs_are_added_by_what_was_seen_and_begin_again_at_midnight() -> None:
    spend, zone = Spend(BERLIN), BERLIN
    spend.look(NOON, 600, 100)
    spend.look(NOON + timedelta(minutes=10), 600, 50)
    assert (spend.cost, spend.energy_kwh) == (pytest.approx(10), pytest.approx(100))
    spend.look(NOON + timedelta(hours=2), 600, 50)  # nobody looked for too long
    assert spend.cost == pytest.approx(10)
    spend.look(NOON + timedelta(hours=2, minutes=6), None, 50)
    spend.look(NOON + timedelta(hours=2, minutes=12), 600, 50)  # from a silent meter on nothing is added
    assert spend.cost == pytest.approx(10)
    spend.begin(NOON.astimezone(zone).replace(hour=0), 90, 1000)
    assert spend.cost == pytest.approx(100)
    spend.look(NOON + timedelta(hours=13), 600, 50)
    assert (spend.cost, spend.since) == (0, NOON + timedelta(hours=13))


def test_a_page_of_many_rows_is_found_ordered_and_bounded() -> None:
    many = [Row(f"j{i:05d}", f"job/j{i}", {"name": f"j{i:05d}", "state": "held" if i % 2 else "running"}, {"gpus": i % 7}) for i in range(10_000)]
    found = look(many, Query("HELD j0123"))
    assert (found.count, found.rows[0].id, len(found.rows)) == (5, "j01231", 5)
    by = look(many, Query(by="gpus", descending=True, page=2))
    assert {row.order["gpus"] for row in by.rows} == {6}
    assert len(by.rows) == 25
    last = look(many, Query(page=10_000))
    assert (last.page, last.rows[-1].id) == (400, "j09999")
    assert look([], Query("x")).count == 0


def test_two_hundred_pools_are_one_picture(told: Told) -> None:
    now = told.glance
    many = tuple(cap.__class__(f"p{i}", f"h{i % 4}", 300, 0.75, None, overridden=False) for i, cap in enumerate(now.caps * 70))
    drawn = tiles(SITE, Frame(1, now.__class__(**{**now.__dict__, "caps": many}), {}, None, None), BERLIN)["caps"]
    assert "Caps of 210 pools" in drawn
    assert drawn.count("<i data-pool=") == 210
    assert "75 % of the most" in drawn


def test_a_frame_is_due_each_second_and_as_soon_as_news_stops_coming_in() -> None:
    pace = Pace(0.0)
    assert not pace.due(0.99, news=False)
    assert pace.due(1.0, news=False)
    pace.made(1.0, 1.001)
    assert not pace.due(1.05, news=True)  # more may come
    assert not pace.due(1.09, news=False)  # too soon
    assert pace.due(1.11, news=False)
    pace.made(1.11, 1.16)
    assert not pace.due(1.35, news=True)
    assert not pace.due(1.35, news=False)  # frames take no more than a fifth of the time
    assert pace.due(1.37, news=False)
    pace.made(1.61, 2.0)
    assert pace.due(2.62, news=True)  # where news never stops
