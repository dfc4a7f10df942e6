"""What no parser is to see: each limit of a payload, and what it costs to find it broken."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facility.bus.interface import MAX_PAYLOAD_BYTES
from facility.bus.messages import OverrideSet, Rejected, Sample, decode
from facility.bus.messages.limits import MAX_DEPTH, MAX_DIGITS, excess

SAMPLE = b'{"value": 412.5, "timestamp": 1787382000000, "quality": 1}'
HOSTILE: dict[str, bytes] = {
    "64 KiB": b"7" * (MAX_PAYLOAD_BYTES + 1),
    "256 MB": bytes(256_000_000),
    "brackets": b"[" * 60_000,
    "100,000 brackets": b"[" * 100_000,
    "braces": b'{"a":' * 12_000,
    "pairs of brackets": b"[[]" * 20_000,
    "digits": b"9" * 5000,
    "many long numbers": (b"9" * 32 + b",") * 1900,
    "not UTF-8": b'{"value": 1, "x": "\xff"}',
    "half a surrogate": b'{"value": 1, "x": "\xed\xa0\x80"}',
    "quotes": b'"' * 65_000,
    "open strings": b'"a' * 32_000,
    "escapes": b'"' + b'\\"' * 32_000,
    "names": b"{" + b",".join(b'"%x":1' % number for number in range(5998)) + b',"0":2}',
    "objects": b"[" + b",".join([b'{"a":1}'] * 6000) + b"]",
    "blanks": b'""' + b" " * 60_000,
}  # fmt: skip


def cpu_s(work: Callable[[], Any]) -> float:
    """The least CPU time of many tries, s: others may use the machine, for a while."""
    times = []
    for _ in range(30):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def judged(payload: bytes, kind: type[Sample | OverrideSet]) -> str | None:
    try:
        decode(payload, kind)
    except Rejected as rejected:
        return rejected.reason
    return None


@pytest.mark.parametrize("kind", [Sample, OverrideSet])
@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_fault_31_hostile_bytes_are_refused_within_five_milliseconds(payload: bytes, kind: type[Sample | OverrideSet]) -> None:
    assert judged(payload, kind)
    assert cpu_s(lambda: judged(payload, kind)) < 0.005


def test_a_reading_of_sixty_bytes_passes_in_well_under_its_own_decoding_and_a_microsecond_or_so() -> None:
    """Measured 0.6 us; the bound leaves room for a busy machine."""
    assert excess(SAMPLE) is None
    assert cpu_s(lambda: [excess(SAMPLE) for _ in range(10_000)]) / 10_000 < 3e-6


@pytest.mark.parametrize("strict", [False, True])
def test_each_limit_lets_its_last_through_and_not_one_more(strict: bool) -> None:
    def both(last: bytes, more: bytes) -> tuple[str | None, str | None]:
        return excess(last, strict=strict), excess(more, strict=strict)

    assert both(b" " * MAX_PAYLOAD_BYTES, b" " * (MAX_PAYLOAD_BYTES + 1)) == (None, "more than 64 KiB")
    deep = [b"[" * depth + b"]" * depth for depth in (MAX_DEPTH, MAX_DEPTH + 1)]
    assert both(*deep) == (None, "nested more than 32 deep")
    mixed = [b'{"a":[' * (depth // 2) + b"1" + b"]}" * (depth // 2) for depth in (MAX_DEPTH, MAX_DEPTH + 2)]
    assert both(*mixed) == (None, "nested more than 32 deep")
    assert both(b"9" * MAX_DIGITS, b"9" * (MAX_DIGITS + 1)) == (None, "a number of more than 32 digits")
    assert both("é".encode(), "é".encode("latin-1")) == (None, "not UTF-8")


def test_wide_is_not_deep() -> None:
    assert excess(b"[" + b",".join([b"{}"] * 20_000) + b"]") is None
    assert excess(b"[" + b",".join([b'{"a":[1]}'] * 1000) + b"]", strict=True) is None


def test_what_stands_in_strings_is_text() -> None:
    text = "[" * 40 + '"{}\\' + "9" * 40 + " NaN Infinity 1e999"
    payload = json.dumps({"id": "a", "kind": "hold", "by": "ann", "reason": text}).encode()
    assert excess(payload, strict=True) is None
    assert decode(payload, OverrideSet).reason == text


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b'{"a":1,"b":{"a":2},"a":3}', "'a' is repeated"),
        (b'{"x":[{"a":1},{"a":2,"a":3}]}', "'a' is repeated"),
        (b'{"a" :1, "a"\t:2}', "'a' is repeated"),
        (b'{"a":1,"\\u0061":2}', "escape"),
        (b'{"value":NaN}', "not finite"),
        (b'{"value":-Infinity}', "not finite"),
        (b'{"value":1e999}', "no double"),
        (b'{"value":-1E+0400}', "no double"),
        (b"[" + b'"",' * 6000 + b'""]', "6000 strings"),
        (b"[[]", "other half"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_a_command_is_held_to_more(payload: bytes, why: str) -> None:
    assert why in (excess(payload, strict=True) or "")
    assert excess(payload) is None


def test_numbers_that_a_double_holds_pass() -> None:
    assert excess(b"[1e308, 1e-999, 1.7976931348623157E+308, 0.10000000000000000555]", strict=True) is None


NAMES = st.text("abc_", min_size=1, max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, 1]), st.booleans())
@example({"a": {"b": {}}, "c": [{"b": 1}, {"b": 2}]}, None, True)
@example({"a": '","a":1'}, None, True)
def test_what_a_writer_of_json_writes_passes(value: Any, indent: int | None, ascii_only: bool) -> None:
    try:
        payload = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:  # half a surrogate is no text
        return
    assert excess(payload) is None
    assert excess(payload, strict=True) is None


@settings(max_examples=50)
@given(st.dictionaries(NAMES, JSON, min_size=1, max_size=4), st.data())
def test_a_field_that_is_written_twice_is_found(value: dict[str, Any], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(sorted(value)))
    try:
        payload = json.dumps({"outer": [value]}).encode()
    except UnicodeEncodeError:
        return
    twice = payload[: -len(b"}]}")] + b',"%s": 0}]}' % again.encode()
    assert excess(twice, strict=True) == f"field {again!r} is repeated"
