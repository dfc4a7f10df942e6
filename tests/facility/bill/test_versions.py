"""Every version of a bill is kept: what a later one changes, by whom and why."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from facility.bill.billed import Billed
from facility.bill.page import site_page, tenant_page
from facility.bill.rounding import apportioned
from facility.bill.rows import OWN
from facility.bill.table import as_csv, as_parquet
from facility.bill.versions import LEDGER, Files, Version, Written, read, write
from facility.commands.bill import _files
from facility.errors import InputError
from tests.facility.bill.made import TOLD, reckoned, site, usage
from tests.facility.bill.test_rules import KW, ONE


def a_bill(meter_kw: float = 20.0) -> Billed:
    return reckoned(ONE, 1, KW | {"site/meter/main/import_kw": [meter_kw]})[2]


def put(folder: Path, bill: Billed, reason: str = "", by: str = "ann") -> Written:
    return write(folder, bill, lambda version: _files(bill, version), reason=reason, by=by)


def test_a_first_version_is_written_and_the_same_again_writes_nothing(tmp_path: Path) -> None:
    first = put(tmp_path, a_bill())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {f"bill-2026-07.v1.{end}" for end in ("json", "csv", "parquet", "html", "t.html", "u.html")} | {LEDGER}
    again = put(tmp_path, a_bill(), "no reason at all")
    assert (first.version.number, again.version.number, again.files) == (1, 1, ())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_same_bill_has_the_same_bytes_wherever_it_is_written(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / name, a_bill())
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_correction_is_a_version_of_its_own_with_the_difference_for_each_and_leaves_the_first_as_it_was(tmp_path: Path) -> None:
    put(tmp_path, a_bill())
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.name != LEDGER}
    written = put(tmp_path, a_bill(24.0), "a meter that came late", "bo")
    assert all(path.read_bytes() == content for path, content in before.items())
    told = json.loads((tmp_path / "bill-2026-07.v2.json").read_text())
    correction = told["correction"]
    assert (told["version"], correction["of"], correction["reason"], correction["by"]) == (2, 1, "a meter that came late", "bo")
    first = json.loads((tmp_path / "bill-2026-07.v1.json").read_text())
    totals = {each["tenant"] or "": each["total"] for each in first["accounts"]}
    for moved in correction["differences"]:
        assert moved["difference"] == pytest.approx(moved["now"] - totals[moved["tenant"]])
    assert sum(moved["difference"] for moved in correction["differences"]) == pytest.approx(0.1)
    assert sum(moved["energy_kwh_difference"] for moved in correction["differences"]) == pytest.approx(1.0)
    for mine, other in (("t", "u"), ("u", "t")):
        page = (tmp_path / f"bill-2026-07.v2.{mine}.html").read_text()
        assert f"Corrects version 1: a meter that came late, by bo. Difference: {mine.upper()}: +0." in page
        assert f"{other.upper()}: +" not in page
    assert [line["version"] for line in read(tmp_path)] == [1, 2]
    back = put(tmp_path, a_bill(), "it was right")
    assert (back.version.number, back.version.by) == (3, "ann")
    assert [moved["difference"] for moved in back.version.differences] == [-moved["difference"] for moved in written.version.differences]


@pytest.mark.parametrize("what", ["bill-2026-07.v1.json", "bill-2026-07.v1.t.html", LEDGER])
def test_a_file_that_somebody_changed_is_told_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    put(tmp_path, a_bill())
    put(tmp_path, a_bill(24.0))
    path = tmp_path / what
    path.write_bytes(path.read_bytes().replace(b"2026-07", b"2026-08", 1))
    with pytest.raises(InputError, match="is not as it was written"):
        put(tmp_path, a_bill(28.0))
    assert not (tmp_path / "bill-2026-07.v3.json").exists()


def test_a_line_of_the_ledger_that_was_cut_off_was_never_written(tmp_path: Path) -> None:
    put(tmp_path, a_bill())
    ledger = tmp_path / LEDGER
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + b'{"bill":"2026-07","ver')
    assert put(tmp_path, a_bill(24.0)).version.number == 2
    assert ledger.read_bytes().startswith(whole)
    assert [line["version"] for line in read(tmp_path)] == [1, 2]


def test_a_ledger_that_holds_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_bytes(b"[1]\n")
    with pytest.raises(InputError, match="is not as it was written"):
        put(tmp_path, a_bill())


def test_of_two_bills_that_are_written_at_once_the_ledger_has_both(tmp_path: Path) -> None:
    june = replace(a_bill(), period=replace(a_bill().period, name="2026-06"))
    other = Thread(target=put, args=(tmp_path, june))

    def made(version: Version) -> Files:
        other.start()
        other.join(0.2)
        return _files(a_bill(), version)

    write(tmp_path, a_bill(), made, reason="", by="ann")
    other.join()
    assert sorted(line["bill"] for line in read(tmp_path)) == ["2026-06", "2026-07"]


def test_the_lines_of_csv_and_parquet_are_the_bill(tmp_path: Path) -> None:
    import pandas as pd

    bill = a_bill()
    rows = list(csv.DictReader(io.StringIO(as_csv(bill).decode())))
    assert [row["workload"] for row in rows if row["tenant"]] == ["c", "d", "j"]
    assert round(sum(float(row["total_eur"]) for row in rows), 2) == bill.money(bill.whole.total)
    assert sum(float(row["energy_kwh"]) for row in rows) == pytest.approx(5.0)
    (tmp_path / "f.parquet").write_bytes(as_parquet(bill))
    frame = pd.read_parquet(tmp_path / "f.parquet")
    assert frame["unrounded_eur"].sum() == pytest.approx(0.5)
    assert len(frame) == len(rows)


def test_a_tenant_s_page_is_whole_in_itself_and_tells_of_nobody_else() -> None:
    bill = a_bill()
    (t,) = (account for account in bill.accounts if account.tenant == "t")
    page = tenant_page(bill, t, Version(1)).decode()
    assert "Bill of T" in page
    assert "Bill of U" not in page
    assert [name for name in ("c", "d", "j") if f'data-head="">{name}<' in page] == ["c"]
    for outside in ("<script", "http://", "https://", "src="):
        assert outside not in page
    assert "size: A4" in page
    assert f"{bill.money(t.entry.total):,.2f}" in page
    whole = site_page(bill, Version(1)).decode()
    assert all(name in whole for name in ("T", "U", "the site&#x27;s own", "together"))


def test_a_contract_whose_terms_are_lost_is_named_to_the_site_and_its_own_tenant_alone() -> None:
    lost = [*ONE[:3], usage(0, "q", "lost", 0.5, kept=1.25, tenant="u", kind="contract", contract="lost"), ONE[4]]
    bill = reckoned(lost, 1, KW)[2]
    pages = {account.tenant: tenant_page(bill, account, Version(1)).decode() for account in bill.accounts}
    assert "contract lost: neither" in pages["u"]
    assert "lost: neither" not in pages["t"]
    assert "contract lost: neither" in site_page(bill, Version(1)).decode()
    assert any("contract lost" in said for said in bill.document()["assumed"])


def test_names_are_text_on_a_page() -> None:
    named = site(tenants={"t": {"name": "<b>T</b> & Co"}, "u": {"name": "U"}}, name="A <i>site</i>")
    bill = reckoned(ONE, 1, KW, named)[2]
    (t,) = (account for account in bill.accounts if account.tenant == "t")
    page = tenant_page(bill, t, Version(1)).decode()
    assert "<b>" not in page
    assert "&lt;b&gt;T&lt;/b&gt; &amp; Co" in page


def test_the_site_s_own_account_stands_last_and_has_no_tenant() -> None:
    bill = a_bill()
    assert [account.tenant for account in bill.accounts] == ["t", "u", OWN]
    assert bill.document()["accounts"][-1]["tenant"] is None
    assert TOLD["name"] == bill.accounts[-1].name


@pytest.mark.parametrize(
    ("total", "amounts", "found"),
    [(10, [0.05, 0.05], [5, 5]), (11, [0.055, 0.055], [6, 5]), (-3, [-0.01, -0.02], [-1, -2]), (1, [0.0, 0.0, 0.01], [0, 0, 1]),
     (0, [], []), (5, [0.0], [5]), (-1, [0.004, -0.014], [0, -1])],
)  # fmt: skip
def test_what_is_apportioned_sums_to_the_whole(total: int, amounts: list[float], found: list[int]) -> None:
    assert apportioned(total, amounts, 2) == found
    assert sum(found) == (total if amounts else 0)
