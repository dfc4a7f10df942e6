"""Metrics of a real daemon with a real broker and a rehearsed plant, scraped over HTTP, also by a real Prometheus; whoever asks holds nobody up."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from facility.metrics.dashboard import ROWS, expression
from facility.metrics.shipped import alert_rules
from tests.facility.metrics.conftest import Samples, samples_of
from tests.processes import CAPS, DAEMONS, POOL, House, free_port, needs_mosquitto, until
from tests.prometheus import PROMTOOL, Prometheus, needs_prometheus, needs_promtool

pytestmark = needs_mosquitto

RULES = Path("facility/metrics/alert_rules.yaml")
CASES = Path("tests/facility/metrics/alert_rules_test.yaml")
OFTEN_EMPTY = {"event_target", "group_worst", "cold_stored", "sensor_doubted", "overrides_active", "readings_refused"}
"""What the demonstration's site does not have, or has only at times."""


class Scraped(House):
    """A house whose daemon serves metrics on `metrics_port`."""

    def start_daemon(self) -> None:
        self.metrics_port = free_port()
        self.began = time.monotonic()
        self.daemon = self.another("daemon", "--metrics", str(self.metrics_port))

    def ask(self, path: str, timeout_s: float = 5.0) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def samples(self) -> Samples:
        return samples_of(self.ask("/metrics")[1])

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().get((f"facility_{name}", frozenset(labels.items())))

    def ready(self) -> dict[str, Any]:
        status, body = self.ask("/readyz")
        told: dict[str, Any] = json.loads(body)
        assert status == (200 if told["ready"] else 503)
        return told

    def beats(self, since: float) -> list[float]:
        """When heartbeats came since an instant."""
        return [at for at, message in list(self.ear.heard) if at >= since and message.topic.startswith(DAEMONS)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    with ExitStack() as stack:
        yield Scraped(tmp_path_factory.mktemp("metrics"), stack, settings=("control.cycle_s=60",))


def test_what_is_scraped_is_what_is_on_the_bus(house: Scraped) -> None:
    assert house.order(POOL, "scraped", "cap_w", 210)["status"] == "accepted"
    house.until(lambda: house.value("pool_cap_reported_watts", hall="h1", pool="h1-b") == 210, 10, "the cap in the scrape")
    house.until(lambda: 1000 * house.metered(0)[-1] == pytest.approx(house.value("import_power_watts"), rel=0.2), 10, "the power in the scrape")
    told = house.samples()

    def value(name: str, **labels: str) -> float:
        return told[f"facility_{name}", frozenset(labels.items())]

    assert value("pool_cap_desired_watts", hall="h1", pool="h1-b") == 210 == house.ear.told(CAPS)["cap_w"]
    assert value("mode", facility_mode="NORMAL") == 1
    assert value("bus_connected") == value("bus_answers") == 1
    assert value("override_effect_seconds_count", stage="sent") == value("override_effect_seconds_count", stage="enforced") == 1
    assert value("override_effect_seconds_bucket", stage="sent", le="2.0") == 1
    assert value("energy_cost_total", currency="EUR") > 0
    assert value("sensors", verdict="good") > 10
    assert told["process_open_fds", frozenset()] > 3
    house.clear(POOL, "scraped")


@needs_promtool
def test_promtool_takes_the_page(house: Scraped) -> None:
    told = subprocess.run([PROMTOOL, "check", "metrics"], input=house.ask("/metrics")[1], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def queries() -> Iterator[str]:
    """Every query of the dashboard, of the rules, and every series of their tests."""
    for _, panels in ROWS:
        for panel in panels:
            yield from (expression(query, "demo", "10s") for query, _ in panel.queries)
    for group in yaml.safe_load(alert_rules())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for test in yaml.safe_load(CASES.read_text())["tests"]:
        yield from (series["series"] for series in test["input_series"])


def test_every_name_and_label_in_dashboard_rules_and_their_tests_is_one_that_a_real_daemon_tells(house: Scraped) -> None:
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(house.ask("/metrics")[1]):
        labels.setdefault(family.name + ("_total" if family.type == "counter" else ""), set())
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    asked = 0
    for query in queries():
        for name, matchers in re.findall(r"\b((?:facility|process)_[a-z_]+)\b(?!=)(?:\{([^}]*)\})?", query):
            asked += 1
            assert name in labels, f"{name} in {query}"
            named = set(re.findall(r"(\w+)(?:!?=~?)", matchers))
            assert not labels[name] or named <= labels[name], f"{named - labels[name]} of {name} in {query}"
    assert asked > 100


@needs_prometheus
def test_a_real_prometheus_reads_it_judges_the_rules_and_answers_every_query_of_the_dashboard(house: Scraped, tmp_path: Path) -> None:
    house.calm()
    with ExitStack() as stack:
        prometheus = Prometheus(tmp_path, stack, house.metrics_port, RULES)
        house.until(lambda: len(prometheus.query("count_over_time(facility_build_info[1m]) > 5")) == 1, 30, "scrapes")
        assert prometheus.query("up")[0]["value"][1] == "1"
        for _, panels in ROWS:
            for panel in panels:
                for query, _ in panel.queries:
                    found = prometheus.query(expression(query, "demo", "10s"))
                    assert found or any(part in query for part in OFTEN_EMPTY), query
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}
        firing = {rule["name"] for rule in rules if rule["state"] == "firing"}
        assert firing.isdisjoint({"FacilityGone", "FacilityStandsStill", "FacilityBusAway", "FacilityFaults", "FacilityKeptBack", "FacilitySafe"})


def test_fifty_scrapers_those_that_hang_and_those_that_read_slowly_do_not_delay_the_loop(house: Scraped) -> None:
    over, asked = threading.Event(), []

    def scrape() -> None:
        while not over.is_set():
            with suppress(OSError):  # one of those that were turned away
                asked.append(house.ask("/metrics")[0])

    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", house.metrics_port)))).sendall(b"GET /metr")
        for _ in range(4):
            slow = stack.enter_context(closing(socket.socket()))
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            slow.connect(("127.0.0.1", house.metrics_port))
            slow.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        scrapers = [threading.Thread(target=scrape, daemon=True) for _ in range(50)]
        began = time.monotonic()
        for scraper in scrapers:
            scraper.start()
        assert house.order(POOL, "amid-scrapes", "cap_w", 150, ttl_s=600)["status"] == "accepted"
        house.until(lambda: house.highest_cap() == 150, 2, "the cap")  # below all that the guard ever leaves
        house.until(lambda: len(house.beats(began)) > 5, 15, "heartbeats")
        over.set()
        for scraper in scrapers:
            scraper.join(10)
    beats = house.beats(began)
    assert max(later - earlier for earlier, later in pairwise(beats)) < 3
    assert len(asked) >= 50
    assert set(asked) == {200}
    assert "stood still" not in house.said()
    assert house.mode() == "NORMAL"
    house.clear(POOL, "amid-scrapes")


def test_it_is_not_ready_while_the_broker_does_not_answer_and_lives_all_the_same(house: Scraped) -> None:
    assert house.ready()["connected"]
    house.broker.freeze()
    try:
        house.until(lambda: not house.ready()["ready"], 20, "the daemon to notice")
        told = house.ready()
        assert (told["missing"], told["connected"]) == ("the broker does not answer", False)
        assert told["mode"] == "HOLD"
        assert house.ask("/healthz") == (200, "alive\n")
        assert house.value("bus_answers") == 0
    finally:
        house.broker.thaw()
    house.until(lambda: house.ready()["ready"], 20, "the daemon to be ready again")


def test_a_reload_loses_no_count_and_leaves_it_ready(house: Scraped) -> None:
    before = house.samples()
    house.daemon.send_signal(signal.SIGHUP)
    house.until(lambda: "the site file was read again" in house.said(), 10, "the reload")
    house.until(lambda: (house.value("figures_age_seconds") or 9) < 1.5, 10, "new figures")
    after = house.samples()
    for name in ("cycles_total", "messages_published_total", "import_energy_joules_total", "energy_cost_total", "commands_total"):
        for (series, labels), value in before.items():
            if series == f"facility_{name}":
                assert after[series, labels] >= value
    assert house.ready()["ready"]


def test_a_spare_that_takes_over_is_found_where_the_one_before_was(house: Scraped) -> None:
    (was,) = [dict(labels)["daemon"] for name, labels in house.samples() if name == "facility_build_info"]
    spare = house.another("spare", "--standby", "--metrics", str(house.metrics_port))
    log = house.folder / "spare.log"
    house.until(lambda: "waits for the daemon that runs" in log.read_text(), 10, "the spare")
    house.daemon.kill()
    house.daemon.wait(5)

    def serves() -> bool:
        with suppress(OSError):
            (is_,) = [dict(labels)["daemon"] for name, labels in house.samples() if name == "facility_build_info"] or [was]
            return is_ != was
        return False

    house.until(serves, 20, "metrics of the spare")
    house.daemon = spare
    house.until(lambda: house.ready()["ready"], 20, "the spare to be ready")


def test_a_shadow_serves_them_too_and_a_stopped_daemon_lets_go_of_its_port(house: Scraped) -> None:
    port = free_port()
    shadow = house.another("shadow", "--shadow", "--state", str(house.folder / "shadow.sqlite"), "--metrics", str(port))
    house_port, house.metrics_port = house.metrics_port, port
    try:
        house.until(lambda: until(lambda: _listens(port), 1) and house.value("cycles_total", outcome="published"), 30, "a shadow's metrics")
    finally:
        house.metrics_port = house_port
    shadow.send_signal(signal.SIGTERM)
    assert shadow.wait(20) == 0
    assert not _listens(port)


def test_what_is_no_address_is_refused_at_once(house: Scraped) -> None:
    refused = house.another("refused", "--metrics", "here")
    assert refused.wait(20) == 2
    assert "--metrics: 'here'; give PORT or HOST:PORT" in (house.folder / "refused.log").read_text()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
