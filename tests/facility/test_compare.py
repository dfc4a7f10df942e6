"""Compare: what differs between two plans' folders, told from their files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from facility.commands.compare import run_compare, sentences
from facility.commands.plan import run_plan
from facility.errors import InputError
from facility.planner import Request
from facility.report.compare import compare, read

SITES = Path(__file__).parents[2] / "site_configs"
JOBS = """submit_time,duration_s,num_gpus,job_id,deadline
2023-07-02T15:00Z,3600,64,gang,2023-07-02T20:00Z
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Plans of one site with less and more power, and one of a shorter span."""
    tmp = tmp_path_factory.mktemp("compare")
    (tmp / "jobs.csv").write_text(JOBS, encoding="utf-8")
    asked = {"tight": ("6h", "grid.import_limit_kw=600"), "wide": ("6h", "grid.import_limit_kw=2000"), "short": ("3h", "grid.import_limit_kw=600")}
    for name, (horizon, limit) in asked.items():
        request = Request(str(SITES / "demo.yaml"), "2023-07-02T14:00Z", horizon, "1h", jobs=str(tmp / "jobs.csv"), settings=(limit,))
        run_plan(request, tmp / name, as_json=True)
    return {name: tmp / name for name in asked}


def compared(folders: dict[str, Path], a: str, b: str) -> dict[str, Any]:
    return compare(read(folders[a]), read(folders[b]))


def test_a_plan_does_not_differ_from_itself(folders: dict[str, Path]) -> None:
    found = compared(folders, "tight", "tight")
    assert all(row["change"] in {0.0, None} for row in [*found["figures"], *found["costs"]])
    assert (found["jobs"]["moved"], found["caps"], found["breaches"]) == ([], [], {"new": [], "gone": [], "changed": []})
    assert found["assumed"] == {"only_in_a": [], "only_in_b": []}
    assert list(sentences(found)) == ["of 1 jobs 0 run at another time"]


def test_figures_and_costs_are_those_of_the_summaries(folders: dict[str, Path]) -> None:
    found = compared(folders, "tight", "wide")
    one, other = (json.loads((folders[name] / "summary.json").read_text(encoding="utf-8")) for name in ("tight", "wide"))
    peak = next(row for row in found["figures"] if row["name"] == "peak_kw")
    assert (peak["a"], peak["b"], peak["unit"]) == (one["peak_kw"], other["peak_kw"], "kW")
    assert peak["change"] == pytest.approx(other["peak_kw"] - one["peak_kw"])
    assert sum(row["change"] for row in found["costs"]) == pytest.approx(other["objective"] - one["objective"])
    assert found["caps"][0]["most_b_w"] > found["caps"][0]["most_a_w"]


def changed(folders: dict[str, Path], tmp: Path, start: str, finish: str, **summary: Any) -> Path:
    """The tight plan's folder with another time of its job and other entries of its summary."""
    numbers = json.loads((folders["tight"] / "summary.json").read_text(encoding="utf-8")) | summary
    (tmp / "summary.json").write_text(json.dumps(numbers), encoding="utf-8")
    header = "job_id,start,finish,done_gpu_h"
    (tmp / "jobs.csv").write_text(f"{header}\ngang,{start},{finish},64\n", encoding="utf-8")
    return tmp


def test_a_job_that_moved_is_told_by_how_much(folders: dict[str, Path], tmp_path: Path) -> None:
    a, b = (tmp_path / side for side in "ab")
    a.mkdir()
    b.mkdir()
    changed(folders, a, "2023-07-02T15:00:00Z", "2023-07-02T16:00:00Z")
    changed(folders, b, "2023-07-02T17:30:00Z", "")
    (moved,) = compare(read(a), read(b))["jobs"]["moved"]
    assert (moved["start_later_h"], moved["finish_later_h"], moved["finish_b"]) == (2.5, None, None)
    assert "  gang: does not finish in B" in list(sentences(compare(read(a), read(b))))
    changed(folders, b, "2023-07-02T14:30:00Z", "2023-07-02T16:15:00Z")
    assert "  gang: starts 0.50 h earlier and finishes 0.25 h later" in list(sentences(compare(read(a), read(b))))


def test_breaches_and_assumptions_of_one_plan_only_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    over = {"family": "over_limit_kw", "asset": "main", "from": "", "to": "", "amount": 3.0, "unit": "kW", "remedy": ""}
    other = changed(folders, tmp_path, "", "", breaches=[over], assumed=["price: made up"])
    found = compare(read(folders["wide"]), read(other))
    assert found["breaches"]["new"] == [{"family": "over_limit_kw", "asset": "main", "a": 0.0, "b": 3.0, "unit": "kW"}]
    assert found["assumed"]["only_in_b"] == ["price: made up"]
    assert compare(read(other), read(folders["wide"]))["breaches"]["gone"][0]["a"] == 3.0
    assert "breach only in B: over_limit_kw of main, 0 in A, 3 kW in B" in list(sentences(found))


def test_of_different_spans_sums_are_per_hour_and_it_says_so(folders: dict[str, Path]) -> None:
    found = compared(folders, "tight", "short")
    energy = next(row for row in found["figures"] if row["name"] == "energy_kwh")
    one = json.loads((folders["tight"] / "summary.json").read_text(encoding="utf-8"))
    assert (energy["unit"], energy["a"]) == ("kWh/h", pytest.approx(one["energy_kwh"] / 6))
    assert next(iter(sentences(found))).startswith("the spans differ, A 2023-07-02T14:00:00Z to 2023-07-02T20:00:00Z")


def test_a_summary_alone_is_enough_for_the_figures(folders: dict[str, Path], tmp_path: Path) -> None:
    alone = tmp_path / "other.json"
    alone.write_text((folders["tight"] / "summary.json").read_text(encoding="utf-8"), encoding="utf-8")
    found = compare(read(alone), read(folders["wide"]))
    assert (found["jobs"], found["caps"]) == (None, None)
    assert found["figures"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no plan can be read there: No such file or directory: summary.json"),
        ("{", "is no plan"),
        ("{}", "lacks site, start"),
        ("[]", "lacks an object"),
    ],
)
def test_what_is_no_plan_is_told_with_its_place(folders: dict[str, Path], tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "summary.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read(tmp_path)
    assert says in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path))


def test_plans_of_different_sites_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    other = changed(folders, tmp_path, "", "", site="elsewhere")
    with pytest.raises(InputError, match="plans of different sites, demo and elsewhere"):
        compare(read(folders["tight"]), read(other))


def test_the_command_ends_well_and_prints_valid_json(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_compare(folders["tight"], folders["wide"], as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["site"] == "demo"
    assert run_compare(folders["tight"], folders["wide"], as_json=False) == 0
    said = capsys.readouterr().out
    assert "demo: A is " in said
    assert "peak, kW" in said
    assert "caps of h1-a: " in said
