"""What a signature covers, byte for byte, and every way in which a command is not what its signer sent."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from facility.bus.messages import OverrideSet, PositionSet, Rejected, Step, decode, encode
from facility.bus.signing import AHEAD, OLD, canonical, check, read_key, read_keys, signature, signed
from facility.errors import InputError

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
TOPIC = "facility/v1/demo/override/pool/h1/h1-a/set"
ANN, BOB = b"a" * 32, b"b" * 32
KEYS = {"ann": ANN, "bob": BOB}
ORDER = OverrideSet(id="a-1", kind="cap_w", value=250, by="ann", ttl_s=1800, reason="busbar warm")


def why(payload: bytes, *, topic: str = TOPIC, now: datetime = NOW) -> str | None:
    """Why a payload is refused; None where it is taken."""
    try:
        check(KEYS, topic, payload, decode(payload, OverrideSet), now)
    except Rejected as rejected:
        return rejected.reason
    return None


def sent(key: bytes = ANN, **changes: Any) -> bytes:
    return encode(msgspec.structs.replace(signed(key, TOPIC, ORDER, NOW), **changes))


def test_what_its_sender_signed_is_taken() -> None:
    assert why(sent()) is None
    points = tuple(Step(start=NOW + timedelta(hours=h), end=NOW + timedelta(hours=h + 1), value=0.1 * h) for h in range(5))
    position = signed(ANN, "position/set", PositionSet(id="p", by="ann", points=points), NOW)
    check(KEYS, "position/set", encode(position), position, NOW)


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (encode(ORDER), "not signed"),
        (sent(signature=None), "not signed"),
        (sent(signed_at=None), "not signed"),
        (sent(by="eve"), "nobody of the name 'eve'"),
        (sent(by="bob"), "does not fit"),
        (sent(BOB), "it was not ann who signed it"),
        (sent(b"e" * 32), "does not fit"),
        (sent(signature="AAAA"), "does not fit"),
        (sent(signature="ä"), "does not fit"),
        (sent(value=400.0), "does not fit"),
        (sent(priority=1), "does not fit"),
        (sent(id="a-2"), "does not fit"),
        (sent(end=NOW, ttl_s=None), "does not fit"),
        (sent(reason=""), "does not fit"),
        (sent(signed_at=NOW + timedelta(seconds=1)), "does not fit"),
    ],
)
def test_what_is_not_as_its_sender_signed_it_is_refused_and_told_why(payload: bytes, found: str) -> None:
    assert found in (why(payload) or "")


@pytest.mark.parametrize(
    "topic", [TOPIC.replace("h1-a", "h1-b"), TOPIC.replace("demo", "other"), TOPIC.replace("/set", "/clear"), "facility/v1/demo/override/site/set"]
)
def test_a_signature_is_for_one_topic(topic: str) -> None:
    assert "another topic" in (why(sent(), topic=topic) or "")


def test_a_signature_is_of_use_for_a_minute() -> None:
    assert why(sent(), now=NOW + OLD) is None
    assert why(sent(), now=NOW + OLD + timedelta(milliseconds=1)) == "it was signed 60 s ago, more than 60; sign it again"
    assert why(sent(), now=NOW - AHEAD) is None
    assert why(sent(), now=NOW - AHEAD - timedelta(seconds=1)) == "it was signed 11 s from now; set the clock there"


def test_another_spelling_of_the_same_command_is_the_same_command() -> None:
    fields = json.loads(sent())
    backwards = dict(reversed(fields.items()))
    assert why(json.dumps(backwards, indent=3).encode()) is None
    assert why(sent().replace(b"250.0", b"2.5e2")) is None
    assert why(sent().replace(b"busbar", b"\\u0062usbar")) is None
    assert why(sent().replace(b',"start":null', b"")) is not None, "what is sent is signed, null or not"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_another_language_signs_by_the_docstring() -> None:
    text = '{"by":"ann","id":"s-1","kind":"cap_w","reason":"ä\\n\\"","signed_at":"2026-07-15T12:00:00+02:00","value":250}'
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{ANN.hex()}", "-binary"],
        input=f"facility command 1\n{TOPIC}\n{text}".encode(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    payload = text[:-1] + f', "signature": "{base64.b64encode(made).decode()}"}}'
    assert why(payload.encode()) is None


NUMBERS = {
    1e21: "1e+21", 1e20: "100000000000000000000", 123456789012345680000.0: "123456789012345680000", 5e-324: "5e-324",
    1.7976931348623157e308: "1.7976931348623157e+308", 1e-6: "0.000001", 1e-7: "1e-7", -1.5: "-1.5", 9007199254740992: "9007199254740992",
    295147905179352830000.0: "295147905179352830000", -0.0: "0", 4.35: "4.35", 0.002: "0.002", 333333333.33333329: "333333333.3333333",
}  # fmt: skip


@pytest.mark.parametrize(("number", "text"), NUMBERS.items())
def test_numbers_are_written_as_ecmascript_does(number: float, text: str) -> None:
    """Vectors of RFC 8785, appendix B, and of ECMA-262."""
    assert canonical(number) == text


def test_fields_are_sorted_by_their_utf_16() -> None:
    """The vector of RFC 8785, section 3.2.3."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\xf6"]
    assert list(json.loads(canonical(dict.fromkeys(names, 0)))) == ["\r", "1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e22)
@example(1.5e300)
def test_a_number_is_written_as_itself(number: float) -> None:
    assert float(canonical(number)) == number


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=50)
@given(JSON)
def test_what_is_written_is_json_of_the_same_and_one_text_for_each(value: Any) -> None:
    text = canonical(value)
    assert json.loads(text, parse_int=float) == value
    assert canonical(json.loads(text)) == text


@settings(max_examples=50)
@given(st.dictionaries(st.text("abc", min_size=1), JSON, min_size=1, max_size=4), st.data())
def test_no_change_of_a_field_goes_unnoticed(fields: dict[str, Any], data: st.DataObject) -> None:
    name, other = data.draw(st.sampled_from(sorted(fields))), data.draw(JSON)
    assume(canonical(other) != canonical(fields[name]))
    first = signature(ANN, TOPIC, fields)
    assert signature(ANN, TOPIC, fields | {name: other}) != first
    assert signature(ANN, TOPIC, {key: value for key, value in fields.items() if key != name}) != first
    assert signature(ANN, TOPIC, dict(reversed(fields.items()))) == first


@settings(max_examples=100)
@given(st.integers(0, len(sent()) - 1), st.integers(1, 255))
def test_no_changed_byte_makes_another_command(at: int, flip: int) -> None:
    payload = bytearray(sent())
    payload[at] ^= flip
    try:
        order = decode(bytes(payload), OverrideSet)
        check(KEYS, TOPIC, bytes(payload), order, NOW)
    except Rejected:
        return
    assert order == decode(sent(), OverrideSet)


def file(folder: Path, text: str, mode: int = 0o600) -> Path:
    made = folder / "keys"
    made.write_text(text)
    made.chmod(mode)
    return made


ANN_TEXT, BOB_TEXT = base64.b64encode(ANN).decode(), base64.b64encode(BOB).decode()


def test_keys_are_read_a_line_each(tmp_path: Path) -> None:
    assert read_keys(file(tmp_path, f"# operators\n\nann {ANN_TEXT}\nbob  {BOB_TEXT}\n")) == KEYS
    assert read_key(file(tmp_path, f"{ANN_TEXT}\n"), "--key-file") == ANN


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "has no keys"),
        ("ann\n", "a key of 0 bytes"),
        ("ann ?\n", "no key in base64"),
        ("ann YWJj\n", "a key of 3 bytes"),
        (f"ann {ANN_TEXT}\nann {BOB_TEXT}\n", "a second key of ann"),
        (f"ann {ANN_TEXT}\nbob {ANN_TEXT}\n", "is somebody else's too"),
    ],
)
def test_keys_that_prove_nothing_are_refused_and_never_shown(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(InputError) as caught:
        read_keys(file(tmp_path, text))
    assert found in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (ANN_TEXT, BOB_TEXT))


def test_keys_that_others_may_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mode 0644"):
        read_keys(file(tmp_path, f"ann {ANN_TEXT}\n", 0o644))
    with pytest.raises(InputError, match="mode 0644"):
        read_key(file(tmp_path, ANN_TEXT, 0o644), "--key-file")
