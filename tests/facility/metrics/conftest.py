"""A daemon in memory that is watched: its clock and stopwatch move when a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from facility.clock import VirtualClock
from facility.metrics.page import Page
from facility.metrics.show import Show
from tests.facility.test_daemon import NOW, House

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Watched(House):
    """A house whose daemon leaves figures; `pass_by` lets time pass for both."""

    def open(self) -> None:
        self.clock = VirtualClock(NOW)
        self.broker.now = self.clock.now
        super().open()
        self.show = Show(self.bus, self.clock, "daemon")
        self.page = Page(lambda: self.show.newest, self.clock.elapsed_s)

    def pass_by(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.settle()
            self.show.look(self.daemon)

    def meter(self, import_kw: float) -> None:
        self.say("tele/site/meter/main/import_kw", b'{"value": %f, "timestamp": %d}' % (import_kw, self.clock.now().timestamp() * 1000))

    def samples(self) -> Samples:
        """What is told, each series by its name and labels but the site's."""
        return samples_of(self.page.text("").plain.decode())

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().get((f"facility_{name}", frozenset(labels.items())))


def samples_of(text: str) -> Samples:
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(one.name, frozenset((key, value) for key, value in one.labels.items() if key != "site")): one.value for one in found}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "journal.sqlite")
    made.daemon.start()
    yield made
    made.kill()


@pytest.fixture
def busy(watched: Watched) -> Watched:
    """A plan is followed: job `j` runs beside the rental."""
    deadline = NOW + timedelta(hours=9)
    watched.say(
        "job/j/spec", {"submit": NOW.isoformat(), "gpus": 2, "work_gpu_h": 4, "pool": "p", "deadline": deadline.isoformat()}
    )
    assert watched.daemon.cycle().outcome == "published"
    watched.pass_by(1)
    return watched
