"""Where the site asks for signatures, a command acts only when its sender signed it, for this topic, just now; and is answered why not."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facility.bus.messages import ContractSet, OverrideClear, OverrideSet, PositionSet, Step, encode
from facility.bus.messages.codec import Command
from facility.bus.signing import signed
from facility.errors import InputError
from facility.journal.journal import Journal
from tests.facility.test_daemon import NOW, ROOT, SITE, House

ANN, BOB = b"a" * 32, b"b" * 32
SET = "override/pool/h/p/set"
ORDER = OverrideSet(id="o-1", kind="cap_w", value=250, by="ann", ttl_s=600)


def required(folder: Path, **more: Any) -> Any:
    keys = folder / "keys"
    keys.write_text("".join(f"{name} {base64.b64encode(key).decode()}\n" for name, key in (("ann", ANN), ("bob", BOB))))
    keys.chmod(0o600)
    bus = SITE.bus.model_copy(update={"signatures": "required", "operator_keys_file": str(keys)})
    return SITE.model_copy(update={"bus": bus} | more)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "journal.sqlite", required(tmp_path))
    made.daemon.cycle()
    yield made
    made.kill()


def sign(command: Command, topic: str = SET, key: bytes = ANN, ago_s: float = 0.0) -> bytes:
    return encode(signed(key, f"{ROOT}/{topic}", command, NOW - timedelta(seconds=ago_s)))


def answer(house: House, payload: bytes, topic: str = SET) -> tuple[str, str, str | None]:
    result = topic.rpartition("/")[0] + "/result"
    house.heard(result)
    house.say(topic, payload)
    told = house.heard(result)[0]
    return told["status"], told["reason"], told["id"]


def test_a_signed_command_acts_and_the_account_has_its_signer(house: House, tmp_path: Path) -> None:
    assert answer(house, sign(ORDER))[0] == "accepted"
    assert house.caps()["c"] == 250
    assert answer(house, sign(OverrideClear(id="o-1", by="ann"), "override/pool/h/p/clear"), "override/pool/h/p/clear")[0] == "cleared"
    assert house.caps()["c"] == 400
    with closing(Journal(tmp_path / "journal.sqlite", read_only=True)) as journal:
        assert {entry.signer for entry in journal.account(NOW) if entry.sort == "override"} == {"ann"}


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (encode(ORDER), "not signed"),
        (sign(ORDER, key=BOB), "not ann who signed"),
        (sign(ORDER, key=b"e" * 32), "does not fit"),
        (sign(ORDER).replace(b"250", b"400"), "does not fit"),
        (sign(ORDER, "override/site/set"), "another topic"),
        (sign(ORDER, ago_s=61), "61 s ago"),
        (sign(ORDER, ago_s=-11), "11 s from now"),
    ],
)
def test_what_is_not_proven_is_refused_with_its_reason_and_changes_nothing(house: House, payload: bytes, why: str) -> None:
    status, reason, name = answer(house, payload)
    assert (status, name) == ("rejected", "o-1")
    assert why in reason
    assert house.caps()["c"] == 400
    assert answer(house, sign(ORDER))[0] == "accepted", "nobody can use up another's id"


def test_a_command_that_is_sent_again_acts_once(house: House) -> None:
    first = sign(ORDER)
    assert answer(house, first)[0] == "accepted"
    assert answer(house, first)[0] == "duplicate"
    house.clock.advance(600)
    house.settle()
    status, reason, _ = answer(house, first)
    assert (status, "600 s ago" in reason) == ("rejected", True)
    assert house.caps()["c"] == 400


def test_rentals_and_positions_are_signed_too(tmp_path: Path) -> None:
    tariff = SITE.tariff.model_copy(update={"imbalance_premium_per_mwh": 20.0})
    house = House(tmp_path / "journal.sqlite", required(tmp_path, tariff=tariff))
    rental = ContractSet(id="r", by="bob", tenant="t", kind="reserved", pool="p", gpus=2, curve="train", start=NOW, end=NOW + timedelta(hours=2))
    position = PositionSet(id="p", by="bob", points=(Step(start=NOW, end=NOW + timedelta(hours=1), value=2.0),))
    for command, topic in ((rental, "contract/r1/set"), (position, "position/set")):
        status, reason, _ = answer(house, encode(command), topic)
        assert (status, "not signed" in reason) == ("rejected", True)
        assert answer(house, sign(command, topic, BOB), topic)[0] == "accepted"
    state = house.retained("contract/r1/state")
    assert state is not None
    assert state["signature"] is None, "a signature is for the service alone"
    house.kill()


def test_without_the_keys_no_daemon_starts(tmp_path: Path) -> None:
    bus = SITE.bus.model_copy(update={"signatures": "required", "operator_keys_file": str(tmp_path / "nothing")})
    with pytest.raises(InputError, match="operator_keys_file"):
        House(tmp_path / "journal.sqlite", SITE.model_copy(update={"bus": bus}))


def test_where_nobody_asks_for_signatures_none_is_looked_at(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.sqlite")
    house.daemon.cycle()
    assert answer(house, encode(msgspec.structs.replace(ORDER, signature="x")))[0] == "accepted"
    house.kill()
