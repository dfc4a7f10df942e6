"""What may come in over the bus, and what may not."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.bus.interface import MAX_PAYLOAD_BYTES
from facility.bus.messages import (
    Batch,
    CapDesired,
    GridEvent,
    GridPrice,
    JobSpec,
    Meta,
    OverrideClear,
    OverrideSet,
    QuoteRequest,
    Rejected,
    Sample,
    Status,
    decode,
    encode,
)
from facility.bus.topics import TABLE

COMMAND = b'{"id":"a1","kind":"cap_w","value":300,"by":"ops"'
CAP = b'{"cap_w":325,"fallback_cap_w":250,"epoch":7,"seq":1841,"issued_at":"2026-07-01T10:00:00Z","valid_until":"2026-07-01T10:15:00Z"'
ALL_TYPES = sorted({topic.payload for topic in TABLE}, key=lambda kind: kind.__name__)


def refusal(payload: bytes, kind: type[msgspec.Struct]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode(payload, kind)
    return caught.value


def test_a_sample_is_an_envelope_or_a_plain_number() -> None:
    assert decode(b'{"value": 412.5, "timestamp": 1787382000000, "quality": 1}', Sample) == Sample(412.5, 1787382000000, 1)
    assert decode(b'{"value": null}', Sample).value is None
    assert decode(b" 412.5\n", Sample) == Sample(412.5)
    assert decode(b"null", Sample) == Sample(None)


@pytest.mark.parametrize("text", [b"true", b'"412"', b"[1]", b"", b"{}", b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"1 2"])
def test_what_is_no_number_is_no_sample(text: bytes) -> None:
    refusal(text, Sample)
    refusal(b'{"value":' + text + b"}", Sample)


def test_a_batch_holds_many_points_of_one_instant() -> None:
    batch = decode(b'{"timestamp": 5, "values": {"pool/h100/it_power_kw": 412.5, "rack-017/gpu-3/power_w": null}}', Batch)
    assert batch.values == {"pool/h100/it_power_kw": 412.5, "rack-017/gpu-3/power_w": None}
    refusal(b"7", Batch)


def test_a_payload_of_64_kib_is_read_and_one_byte_more_is_not() -> None:
    full = COMMAND + b"}".rjust(MAX_PAYLOAD_BYTES - len(COMMAND))
    assert len(full) == 64 * 1024
    assert decode(full, OverrideSet).value == 300
    assert refusal(full + b" ", OverrideSet).reason == "more than 64 KiB"


@pytest.mark.parametrize("kind", ALL_TYPES)
@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b'{"id":' + b"[" * 60_000,
        b"\xff\xfe",
        b'{"value":1,"values":{},"x":"\xff"}',
        b'{"timestamp":' + b"9" * 5000 + b"}",
        b'{"value":1,"values":{},"timestamp":' + b"9" * 400 + b"}",
        b"\xef\xbb\xbf{}",
        b"",
        b"\0",
    ],
    ids=lambda payload: payload[:12],
)
def test_hostile_bytes_are_rejected_by_every_type(kind: type[msgspec.Struct], payload: bytes) -> None:
    refusal(payload, kind)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789eE+-.ntrufalsidvkby\\', max_size=120).map(str.encode))
def test_any_bytes_at_all_are_decoded_or_rejected(payload: bytes) -> None:
    for kind in (Sample, Batch, OverrideSet, CapDesired, GridPrice):
        try:
            decode(payload, kind)
        except Rejected:
            continue


def test_a_repeated_field_is_refused_where_it_could_raise_power() -> None:
    assert "'value' is repeated" in refusal(COMMAND + b',"value":700}', OverrideSet).reason
    assert "'cap_w' is repeated" in refusal(CAP + b',"cap_w":700}', CapDesired).reason
    nested = b',"groups":[{"workload":"w","gpus":1,"cap_w":100,"cap_w":700}]}'
    assert "'cap_w' is repeated" in refusal(CAP + nested, CapDesired).reason


def test_a_command_with_a_misspelt_field_is_refused_and_keeps_its_id_for_the_answer() -> None:
    rejected = refusal(COMMAND + b',"tll_s":60}', OverrideSet)
    assert (rejected.id, "tll_s" in rejected.reason) == ("a1", True)
    assert refusal(b'{"id": 7}', OverrideSet).id is None
    assert refusal(b'{"id": "' + b"x" * 65 + b'"}', OverrideSet).id is None


def test_a_newer_writer_is_understood_by_an_older_reader_of_orders() -> None:
    assert decode(CAP + b',"colour":"green"}', CapDesired).cap_w == 325


@pytest.mark.parametrize(
    "rest",
    [
        b',"priority":0}',
        b',"priority":17}',
        b',"priority":1.5}',
        b',"ttl_s":0}',
        b',"ttl_s":1e300}',
        b',"ttl_s":60,"end":"2026-07-01T12:00:00Z"}',
        b',"end":"2026-07-01T12:00:00"}',
        b',"end":"0001-01-01T00:00:00+14:00"}',
        b',"end":1787382000000}',
        b',"reason":"' + b"x" * 1001 + b'"}',
    ],
)
def test_a_command_out_of_range_is_refused(rest: bytes) -> None:
    assert decode(COMMAND + b"}", OverrideSet).priority == 8
    assert refusal(COMMAND + rest, OverrideSet).id == "a1"


@pytest.mark.parametrize(
    "order", [b'"kind":"cap_w"', b'"kind":"hold","value":3', b'"kind":"cap_w","value":-1', b'"kind":"boost"']
)
def test_a_command_has_a_value_exactly_where_its_kind_needs_one(order: bytes) -> None:
    refusal(b'{"id":"a","by":"ops",' + order + b"}", OverrideSet)
    assert decode(b'{"id":"a","by":"ops","kind":"hold"}', OverrideSet).value is None


def test_the_other_commands_are_strict_too() -> None:
    assert decode(b'{"id":"a1","by":"ops","reason":"done"}', OverrideClear).id == "a1"
    refusal(b'{"id":"a1","by":"ops","force":true}', OverrideClear)
    refusal(b'{"id":"q","by":"sales","gpus":0,"hours":72,"start":"2026-07-01T00:00:00Z"}', QuoteRequest)


def test_instants_come_out_in_utc_and_naive_ones_are_refused() -> None:
    command = decode(COMMAND + b',"end":"2026-07-01T12:00:00+02:00"}', OverrideSet)
    assert command.end is not None
    assert (command.end.hour, command.end.utcoffset()) == (10, timedelta(0))
    berlin = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert b'"since":"2026-07-01T10:00:00Z"' in encode(Status(instance="a", mode="SAFE", since=berlin))
    with pytest.raises(ValueError, match="since has no offset"):
        Status(instance="a", mode="SAFE", since=berlin.replace(tzinfo=None))


def test_a_cap_outside_any_gpu_is_refused() -> None:
    for watts in (b"-1", b"10001", b"325.0", b"1e3", b'"325"', b"null"):
        refusal(CAP.replace(b"325", watts) + b"}", CapDesired)


def test_gpus_are_a_count_or_their_names() -> None:
    both = b',"groups":[{"workload":"w","gpus":["node-17/3"],"cap_w":300},{"workload":"v","gpus":2,"cap_w":200}]}'
    assert [group.gpus for group in decode(CAP + both, CapDesired).groups] == [("node-17/3",), 2]


def test_a_job_needs_its_work_and_its_place() -> None:
    spec = b'{"submit":"2026-07-01T10:00:00Z","gpus":8,"work_gpu_h":64,"pool":"h100"'
    assert decode(spec + b"}", JobSpec).deadline is None
    refusal(spec.replace(b'"gpus":8', b'"gpus":0') + b"}", JobSpec)
    for pool in (b"h100/#", b"h100\\n", b"", b"x" * 65):
        refusal(spec.replace(b"h100", pool) + b"}", JobSpec)


def test_a_series_is_by_rising_time_without_overlap_and_in_its_unit() -> None:
    def series(unit: str, *hours: tuple[int, int]) -> bytes:
        points = [{"start": f"2026-07-01T{a:02}:00:00Z", "end": f"2026-07-01T{b:02}:00:00Z", "value": -5.0} for a, b in hours]
        return msgspec.json.encode({"unit": unit, "points": points})

    assert len(decode(series("EUR/MWh", (0, 1), (1, 2), (5, 6)), GridPrice).points) == 3
    for bad in (
        series("EUR/MWh", (0, 2), (1, 3)),
        series("EUR/MWh", (2, 2)),
        series("EUR/kWh", (0, 1)),
        series("EUR/MWh\n", (0, 1)),
        series("EUR/MWh", (2, 3), (0, 1)),
    ):
        refusal(bad, GridPrice)


def test_an_event_has_a_target_or_a_percentage() -> None:
    window = b'{"start":"2026-07-01T10:00:00Z","end":"2026-07-01T12:00:00Z"'
    assert decode(window + b',"target_kw":900,"ramp_min":15}', GridEvent).target_kw == 900
    for rest in (b"}", b',"target_kw":900,"reduction_pct":10}', b',"reduction_pct":101}', b',"target_kw":900,"ramp_min":-1}'):
        refusal(window + rest, GridEvent)
    refusal(b'{"start":"2026-07-01T12:00:00Z","end":"2026-07-01T12:00:00Z","target_kw":1}', GridEvent)


def test_what_is_written_is_read_back_and_never_holds_not_a_number() -> None:
    cap = decode(CAP + b"}", CapDesired)
    assert decode(encode(cap), CapDesired) == cap
    assert cap.valid_until == datetime(2026, 7, 1, 10, 15, tzinfo=UTC)
    assert encode(Sample(math.nan, 5)) == b'{"value":null,"timestamp":5,"quality":1}'
    assert decode(encode(Meta(unit="kW", high=math.inf)), Meta).high is None
