"""What is told is what the daemon knows: a daemon in memory, its page read by the library's own parsers."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from facility.config import load_site
from facility.metrics.family import Families
from facility.metrics.page import Page
from facility.metrics.watch import MOST_NAMED, watch
from facility.verdict import Doubt, Verdict
from tests.facility.metrics.conftest import Watched
from tests.facility.test_daemon import NOW

OPEN = "application/openmetrics-text; version=1.0.0"
LABELS = {
    "site", "hall", "pool", "feeder", "group", "plant", "battery", "currency", "state", "stage", "outcome", "mode", "facility_mode", "kind",
    "about", "status", "verdict", "sensor", "severity", "place", "invariant", "topic", "reason", "le", "daemon", "version",
}  # fmt: skip


def test_modes_cycles_caps_and_limits_are_the_daemons(busy: Watched) -> None:
    assert busy.value("mode", facility_mode="NORMAL") == 1
    assert busy.value("mode", facility_mode="SAFE") == 0
    assert busy.value("mode_entries_total", mode="NORMAL") == 1
    assert busy.value("cycles_total", outcome="published") == 1
    assert busy.value("cycles_total", outcome="held") == 0
    assert busy.value("plan_solve_seconds_count") == busy.value("cycle_duration_seconds_count") == 1
    assert busy.value("pool_cap_desired_watts", hall="h", pool="p") == max(busy.caps().values())
    assert busy.value("import_limit_watts") == 4000
    assert busy.value("feeder_rating_watts", feeder="main") == 5000
    assert busy.value("pool_gpus", hall="h", pool="p") == 10
    assert busy.value("energy_price_per_mwh", currency="EUR") == 50
    plan = busy.retained("plan/current")
    assert plan is not None
    assert busy.value("plan_energy_cost", currency="EUR") == pytest.approx(plan["energy_cost"])


def test_at_worst_every_gpu_has_the_highest_cap_that_may_be_in_force(busy: Watched) -> None:
    most_w = 10 * 400  # nobody has reported, so nobody knows
    assert busy.value("pool_cap_in_force_watts", hall="h", pool="p") == 400
    assert busy.value("pool_worst_power_watts", hall="h", pool="p") == most_w
    assert busy.value("feeder_worst_power_watts", feeder="main") == most_w
    assert busy.value("pool_cap_reported_watts", hall="h", pool="p") is None
    told = busy.retained("cap/h/p/desired")
    assert told is not None
    report = {key: told[key] for key in ("epoch", "seq", "groups")}
    at = {"timestamp": int(busy.clock.now().timestamp() * 1000)}
    busy.say("cap/h/p/reported", report | at | {"enforced_cap_w": max(busy.caps().values())})
    busy.pass_by(1)
    caps, gpus = busy.caps(), {"": 2, "c": 6, "j": 2}
    assert busy.value("pool_cap_reported_watts", hall="h", pool="p") == max(caps.values())
    assert busy.value("pool_worst_power_watts", hall="h", pool="p") == sum(gpus[name] * cap_w for name, cap_w in caps.items())


def test_a_value_that_nobody_knows_is_a_series_that_is_not_there(busy: Watched) -> None:
    assert busy.value("import_power_watts") is None
    assert busy.value("import_energy_joules_total") == 0
    for _ in range(5):
        busy.meter(3.0)
        busy.pass_by(1)
    assert busy.value("import_power_watts") == 3000
    drawn_j = busy.value("import_energy_joules_total")
    assert drawn_j == pytest.approx(3000 * 5, abs=3000.1)
    assert busy.value("energy_cost_total", currency="EUR") == pytest.approx((drawn_j or 0.0) / 3.6e9 * 50)


def test_a_job_is_told_by_its_pool_and_state_and_never_by_its_name(busy: Watched) -> None:
    assert busy.value("pool_jobs", hall="h", pool="p", state="waiting") == 1
    assert busy.order("job/j", "hold")["status"] == "accepted"
    busy.pass_by(11)
    assert busy.value("pool_jobs", hall="h", pool="p", state="held") == 1
    assert busy.value("pool_job_gpus", hall="h", pool="p", state="held") == 2
    assert busy.value("pool_deferred_gpu_seconds_total", hall="h", pool="p") == pytest.approx(2 * 11, abs=2.1)
    assert '"j"' not in busy.page.text("").plain.decode()


def test_sensors_commands_alarms_and_messages_are_counted(busy: Watched) -> None:
    before = busy.value("messages_published_total", topic="override_result") or 0
    assert busy.order("pool/h/p", "cap_w", 200)["status"] == "accepted"
    assert busy.order("pool/h/p", "cap_w", 200)["status"] == "duplicate"
    busy.say("override/pool/h/p/set", b"nonsense")
    busy.pass_by(20)
    assert busy.value("commands_total", about="override", status="accepted") == 1
    assert busy.value("commands_total", about="override", status="duplicate") == 1
    assert busy.value("commands_total", about="override", status="rejected") == 1
    assert busy.value("messages_received_total", topic="override_set") == 3
    assert busy.value("messages_published_total", topic="override_result") == before + 3
    assert busy.value("overrides_active", kind="cap_w") == 1
    assert sum(busy.value("sensors", verdict=verdict.value) or 0 for verdict in Verdict) == 4
    assert busy.value("sensors", verdict="missing") == 1
    assert busy.value("sensors", verdict="substituted") == 3
    busy.pass_by(60)
    raised = sum(busy.value("alarms_raised_total", severity=severity) or 0 for severity in ("warning", "alarm", "critical"))
    standing = sum(busy.value("alarms_standing", severity=severity) or 0 for severity in ("warning", "alarm", "critical"))
    status = busy.heard("svc/daemon/status")[-1]
    assert standing == len(status["alarms"]) > 0
    assert raised >= standing


def test_refused_readings_are_counted_by_why(busy: Watched) -> None:
    busy.meter(1e9)
    busy.say("tele/site/meter/main/import_kw", b"[")
    busy.pass_by(1)
    assert busy.value("readings_refused_total", reason="range") == 1
    assert busy.value("readings_refused_total", reason="malformed") == 1


def test_a_clock_that_is_set_back_loses_no_count(busy: Watched) -> None:
    cycles = busy.value("cycles_total", outcome="published")
    busy.clock.jump(-3600)
    busy.pass_by(2)
    assert busy.value("cycles_total", outcome="published") == cycles


def test_whatever_fails_the_number_of_series_stays_bounded(busy: Watched) -> None:
    told = busy.show.newest
    assert told is not None
    keys = {f"h/pool/p{i}/it_power_kw": verdict for i, verdict in enumerate([*Verdict][1:] * 1000)}
    doubts = {key: Doubt(key, verdict, "silent", "", NOW) for key, verdict in keys.items()}
    here = replace(told.here, snapshot=replace(told.here.snapshot, doubts=doubts))
    families = {family.name: family for family in watch(replace(told, here=here, sensors=6000), Families("s"))}
    named = families["facility_sensor_doubted"].samples
    assert len(named) == MOST_NAMED
    assert {one.labels["verdict"] for one in named} == {"missing"}
    assert sum(one.value for one in families["facility_sensors"].samples) == 6000


def test_both_formats_tell_the_same_and_the_library_reads_both(busy: Watched) -> None:
    plain, open_ = busy.page.text(""), busy.page.text(OPEN)
    assert plain.content_type.startswith("text/plain; version=0.0.4")
    assert open_.content_type.startswith("application/openmetrics-text; version=1.0.0")

    def read(families: Any) -> dict[Any, float]:
        samples = [one for family in families for one in family.samples if not one.name.startswith("process_")]
        return {(one.name, frozenset(one.labels.items())): one.value for one in samples}

    told = read(openmetrics(open_.plain.decode()))
    assert told == read(text_string_to_metric_families(plain.plain.decode()))
    assert len(told) > 200


def test_names_follow_the_conventions_and_say_in_words_what_they_are(busy: Watched) -> None:
    for family in busy.page.metrics(busy.show.newest, busy.clock.elapsed_s()):
        if family.name.startswith("process_"):
            continue
        assert re.fullmatch(r"facility_[a-z]+(_[a-z]+)*", family.name)
        assert not re.search(r"_(kw|kwh|w|c|s|h|pct|percent)(_|$)", family.name)
        assert re.fullmatch(r"[A-Z0-9].*\.", family.documentation)
        assert {label for one in family.samples for label in one.labels} <= LABELS


def test_a_site_with_every_kind_of_gear_is_told_before_any_plan(tmp_path: Path) -> None:
    made = Watched(tmp_path / "journal.sqlite", load_site("site_configs/hamburg.yaml"))
    made.daemon.start()
    made.pass_by(1)
    assert made.value("feeder_worst_power_watts", feeder="ups-n1") is None
    made.pass_by(6)  # fallback caps are sent
    told = made.samples()
    made.kill()
    groups = {dict(labels)["group"]: value for (name, labels), value in told.items() if name == "facility_feeder_group_worst_power_watts"}
    limits = {dict(labels)["group"]: value for (name, labels), value in told.items() if name == "facility_feeder_group_worst_power_limit_watts"}
    assert groups.keys() == limits.keys() == {feeder.redundancy_group for feeder in made.site.feeders.values()} - {None}
    names = {name.removeprefix("facility_") for name, _ in told}
    assert {"battery_power_ordered_watts", "battery_capacity_joules", "hall_temperature_allowable_max_celsius", "pool_cap_sent_watts"} <= names
    assert told["facility_mode", frozenset({("facility_mode", "SAFE")})] == 1


def test_however_many_ask_it_is_made_once_for_each_figures(busy: Watched) -> None:
    made = []

    class Counting(Page):
        def metrics(self, told: Any, now_s: float) -> Any:
            made.append(told)
            return super().metrics(told, now_s)

    page, gate = Counting(lambda: busy.show.newest, busy.clock.elapsed_s), threading.Barrier(50)
    texts: list[bytes] = []

    def ask() -> None:
        gate.wait()
        texts.append(page.text("").plain)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(texts), len(set(texts)), len(made)) == (50, 1, 1)
    busy.pass_by(1)
    page.text("")
    assert len(made) == 2


def test_ages_grow_while_the_loop_stands_still(busy: Watched) -> None:
    assert busy.value("figures_age_seconds") == 0
    assert busy.value("cycle_age_seconds") == 1
    busy.clock.advance(40)
    assert busy.value("figures_age_seconds") == 40
    assert busy.value("cycle_age_seconds") == 41


def test_figures_are_left_once_a_second_at_most_and_a_fault_in_them_stops_nothing(busy: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    first = busy.show.newest
    busy.clock.advance(0.9)
    busy.show.look(busy.daemon)
    assert busy.show.newest is first
    busy.clock.advance(0.1)
    busy.show.look(busy.daemon)
    second = busy.show.newest
    assert second is not first
    monkeypatch.setattr(busy.show, "_sums", None)
    busy.pass_by(1)
    assert busy.show.newest is second
    assert sum(busy.daemon.faults.values()) == 1
    assert busy.show.lives
