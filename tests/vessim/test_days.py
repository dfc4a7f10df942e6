"""A plant made of Vessim, which ends the run where its connection is overloaded, is kept running by the daemon and not by nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("vessim", reason="Vessim is not installed; `make vessim` installs it and runs thirty days")

from tests.vessim.days import run, unattended
from tests.vessim.faults import KINDS, drawn
from tests.vessim.plant import SITE

RATING_KW = SITE.feeders["main"].rating_kw


def test_with_nobody_in_charge_vessim_ends_the_run_within_a_day() -> None:
    with pytest.raises(ValueError, match=r"is outside feasible range .* for 'grid'"):
        unattended(1, 1, max_import_kw=RATING_KW)
    assert unattended(1, 1, max_import_kw=None).highest_kw > RATING_KW


def test_with_the_daemon_in_charge_vessim_balances_every_minute_of_a_day_of_faults(tmp_path: Path) -> None:
    figures = run(1, 1, tmp_path)
    assert figures.ticks == 24 * 60
    assert figures.highest_kw <= RATING_KW
    assert sum(figures.faults.values()) >= 6
    assert not figures.lies["sent as they were"]
    assert figures.modes["NORMAL"] > figures.ticks / 2
    assert figures.jobs_done > 0


def test_thirty_days_have_every_kind_of_fault_many_times() -> None:
    counted = [fault.kind for fault in drawn(30, 1)]
    assert all(counted.count(kind) >= 20 for kind in KINDS)
