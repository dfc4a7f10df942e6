"""Contracts as files: read with every fault in its place, planned with, brought to a daemon and told version by version."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from facility.config import load_site
from facility.errors import InputError
from facility.planner import Planned, Request, plan
from facility.rental.file import read_contracts
from facility.rental.rental import Rental
from tests.processes import ROOT, SITE, House, Mosquitto, needs_mosquitto

HEAD = "contract,tenant,kind,pool,gpu_model,gpus,curve,start,end,tier,price_per_gpu_h,demand_by_hour_gpus"
TRAIN = "orbit-train,nordlab,reserved,,a100,64,pretrain-7b,2026-07-15T00:00+02:00,2026-07-16T00:00+02:00,T2,1.4,"
CHAT = f"orbit-chat,lumen,reserved,h2-a,,48,memory-bound,2026-07-15T06:00+02:00,2026-07-15T12:00+02:00,,2,{';'.join(['24'] * 24)}"
Written = Callable[..., str]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A file of rows."""

    def made(*rows: str, head: str = HEAD) -> str:
        file = tmp_path / "contracts.csv"
        file.write_text("\n".join((head, *rows)) + "\n")
        return str(file)

    return made


def read(path: str, timezone: str | None = None) -> tuple[Rental, ...]:
    return read_contracts(path, load_site(SITE), timezone)


def faults(path: str) -> list[str]:
    with pytest.raises(InputError) as raised:
        read(path)
    return [str(fault) for fault in raised.value.faults]


def test_a_row_is_a_contract_and_one_of_a_model_gets_the_pool_with_most_room(written: Written) -> None:
    train, chat = read(written(TRAIN, CHAT))
    assert (train.contract, train.terms.tenant, train.terms.pool, train.terms.gpus) == ("orbit-train", "nordlab", "h1-b", 64)
    assert (train.start, train.end) == (datetime(2026, 7, 14, 22, tzinfo=UTC), datetime(2026, 7, 15, 22, tzinfo=UTC))
    assert (train.terms.tier, train.terms.price_per_gpu_h) == ("T2", 1.4)
    assert chat.terms.demand_by_hour_gpus == (24,) * 24


def test_a_rental_that_stands_keeps_its_pool_and_what_stands_takes_room(written: Written) -> None:
    site = load_site(SITE)
    (stands,) = read(written(TRAIN))
    (other,) = read(written(TRAIN.replace(",,a100,", ",h1-a,,")))
    assert (stands.terms.pool, other.terms.pool) == ("h1-b", "h1-a")
    newer = TRAIN.replace("orbit-train", "newer").replace(",64,", ",280,")
    more = TRAIN.replace("orbit-train", "more").replace(",64,", ",8,")

    def pools(standing: Rental, *rows: str, complete: bool = False) -> list[str | None]:
        return [it.terms.pool for it in read_contracts(written(*rows), site, None, "ann", [standing], complete=complete)]

    assert pools(stands, newer, complete=True) == ["h1-b"]
    with pytest.raises(InputError, match="280 GPUs of a100 are free in no pool all that time; h1-b has 224"):
        pools(stands, newer)
    assert pools(stands, more, TRAIN) == ["h1-b", "h1-b"]
    assert pools(other, more, TRAIN) == ["h1-b", "h1-a"]


def test_times_without_an_offset_are_of_the_zone_that_is_named(written: Written) -> None:
    (found,) = read(written(TRAIN.replace("+02:00", "")), "Europe/Berlin")
    assert found.start == datetime(2026, 7, 14, 22, tzinfo=UTC)
    with pytest.raises(InputError, match="column start: its times have no offset; give their zone with --timezone"):
        read(written(TRAIN.replace("+02:00", "")))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (TRAIN.replace("nordlab", "nobody"), "row 2, column contract: the site has no tenant nobody"),
        (TRAIN.replace(",64,", ",6000,"), "row 2, column gpus: 6000 GPUs of a100 are free in no pool all that time; h1-b has 288"),
        (TRAIN.replace("a100", "a10"), "row 2, column gpu_model: the site has no pool of a10 with that kind of work; nearest: a100"),
        (TRAIN.replace("pretrain-7b", "matmul"), "with that kind of work; curves of a100: finetune-8b"),
        (TRAIN.replace(",a100", ","), "row 2, column pool: neither a pool nor a gpu_model"),
        (CHAT.replace("h2-a,,", "h2-a,a100,"), "row 2, column gpu_model: pool h2-a has GPUs of v100, not of a100; leave one of the two out"),
        (TRAIN.replace("orbit-train", "Orbit train"), "row 2, column contract: 'Orbit train' is no name of a contract; use the form [a-z0-9]"),
        (TRAIN.replace("orbit-train", ""), "row 2, column contract: '' is no name of a contract"),
        (TRAIN.replace(",T2,", ",T9,"), "row 2, column tier: 'T9'"),
        (TRAIN.replace("1.4", "-1"), "row 2, column price_per_gpu_h: '-1'"),
        (TRAIN.replace("07-16T", "07-14T"), "row 2, column end: 2026-07-13 22:00 UTC is not after its start"),
        (TRAIN.replace("2026-07-16T00:00+02:00", ""), "row 2, column end: no time"),
        (TRAIN.replace("2026-07-16T00:00+02:00", "soon"), "row 2, column end: 'soon' is not a time"),
        (TRAIN.replace("orbit-train", "lumen-chat"), "row 2, column contract: lumen-chat is a contract of the site file"),
    ],
)
def test_a_fault_is_told_with_its_place(written: Written, row: str, says: str) -> None:
    assert says in faults(written(row))[0]


def test_rows_are_held_against_those_above_them(written: Written) -> None:
    more = TRAIN.replace("orbit-train", "more").replace(",64,", ",250,")
    assert [fault.split(": ", 1)[0].rpartition(", ")[0].rpartition(" ")[2] for fault in faults(written(TRAIN, TRAIN, more))] == ["3", "4"]


def test_a_column_that_is_none_is_refused_for_it_may_be_a_promise(written: Written) -> None:
    (fault,) = faults(written(TRAIN, head=HEAD.replace("tier", "floor_sped")))
    assert "column floor_sped is none of a contract; nearest: floor_speed" in fault


def test_a_plan_keeps_the_gpus_of_a_file(written: Written) -> None:
    request = {"site": SITE, "start": "2026-07-15", "step": "1h"}
    without, with_ = plan(Request(**request)), plan(Request(**request, contracts=written(TRAIN, CHAT)))  # type: ignore[arg-type]
    assert isinstance(without, Planned)
    assert isinstance(with_, Planned)
    plan_ = with_.decided.plan
    firms = {firm.id: i for i, firm in enumerate(plan_.problem.firms)}
    running = plan_.account.running
    assert running[firms["orbit-train"]].tolist() == [64.0] * 24
    assert running[firms["orbit-chat"]].tolist() == [0.0] * 6 + [24.0] * 6 + [0.0] * 12
    assert float(plan_.account.import_kw.sum()) > float(without.decided.plan.account.import_kw.sum())


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("contracts"), stack)


@needs_mosquitto
def test_contracts_are_imported_once_changed_ended_and_told_version_by_version(house: House, written: Written) -> None:
    def facility(*words: str) -> Any:
        command = [sys.executable, "-m", "facility", "contract", SITE, *words, "--by", "ann", "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        assert done.returncode in {0, 1}, done.stderr
        return json.loads(done.stdout)

    at = ("--broker", house.url)
    later = [row.replace("07-15T", "07-25T").replace("07-16T", "07-26T") for row in (TRAIN, CHAT)]
    assert [each["change"] for each in facility("import", written(*later), *at, "--dry-run")] == ["new", "new"]
    first = facility("import", written(*later), *at)
    assert [(each["change"], each["answer"]["status"]) for each in first] == [("new", "accepted")] * 2
    house.until(lambda: house.ear.told(f"{ROOT}/contract/orbit-chat/state"), 2, "the rental")
    again = facility("import", written(*later), *at)
    assert [each["change"] for each in again] == ["unchanged"] * 2
    changed = facility("import", written(later[0].replace(",64,", ",32,")), *at, "--complete", "--reason", "half")
    assert [(each["contract"], each["change"], each["answer"]["status"]) for each in changed] == [
        ("orbit-chat", "ended", "cleared"), ("orbit-train", "changed", "accepted"),
    ]  # fmt: skip
    assert {name: state["version"] for name, state in facility("list", *at).items()} == {"orbit-train": 2}
    terms = ("tenant=nordlab", "kind=spot", "gpu_model=a100", "gpus=8", "curve=pretrain-7b", "start=2026-07-25", "end=2026-07-26")
    by_hand = facility("set", "mine", *terms, *at)
    assert by_hand[0]["answer"]["status"] == "accepted"
    assert facility("clear", "mine", *at)[0]["answer"]["status"] == "cleared"
    kept = facility("history", "--state", str(house.folder / "journal.sqlite"))
    assert [(each["contract"], each["version"], each["how"]) for each in kept] == [
        ("orbit-train", 1, "superseded"), ("orbit-chat", 1, "cleared"), ("orbit-train", 2, None), ("mine", 1, "cleared"),
    ]  # fmt: skip
    assert kept[2]["reason"] == "half"
    small, large = (later[0].replace("orbit-train", "{}").replace("07-2", "07-1").replace(",64,", n) for n in (",8,", ",280,"))
    for first, second in ((large, small), (small, large)):  # the second time "b", the row below, makes the room that "a" takes
        rows = first.format("b"), second.format("a")
        swapped = facility("import", written(*reversed(rows)), *at)
        assert [each["answer"]["status"] for each in swapped] == ["accepted"] * 2


@needs_mosquitto
def test_a_state_that_is_no_contract_keeps_nothing_from_being_imported(tmp_path: Path, written: Written) -> None:
    broker = Mosquitto(tmp_path)
    try:
        span = {"start": "2026-07-25T00:00:00Z", "end": "2026-07-26T00:00:00Z"}
        odd = {"id": "r-1", "by": "eve", "tenant": "nordlab", "kind": "reserved", "gpus": 4} | span  # GPUs of no pool
        publish = ("mosquitto_pub", "-p", str(broker.port), "-r", "-t", f"{ROOT}/contract/odd/state", "-s")
        subprocess.run(publish, input=json.dumps(odd).encode(), check=True, timeout=5)
        command = [sys.executable, "-m", "facility", "contract", SITE, "import", written(TRAIN), "--dry-run", "--broker", broker.url]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout) == (0, "orbit-train: new\n"), done.stderr
    finally:
        broker.stop()
