"""CloudEvents 1.0.2 as structured JSON, as far as DSX Flex uses them: an envelope whose data is an object or a signed string.

    traceparent   00-{trace, 32 hex digits}-{span, 16}-{flags, 2}      W3C Trace Context; the trace of what is answered goes on

Source: github cloudevents/spec v1.0.2, `bindings/mqtt-protocol-binding.md` and `extensions/distributed-tracing.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta as Rule
from msgspec import Raw

from facility.bus.messages.codec import END, Instant, Name, Payload, Rejected, decode
from facility.dsx import facts

T = TypeVar("T", bound=Payload)


class CloudEvent(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An event of flexible load. `data` is its JSON as it came: an object, or a string that is a JWS of one."""

    specversion: Literal["1.0.2"]
    id: UUID
    source: Annotated[str, Rule(pattern=rf"^{facts.SOURCE}{END}", max_length=256)]
    type: Name
    time: Instant
    datacontenttype: Literal["application/json"]
    subject: Name
    traceparent: Annotated[str, Rule(pattern=rf"^{facts.TRACEPARENT}{END}")]
    data: Raw
    tracestate: Annotated[str, Rule(max_length=512)] | None = None
    correlationid: UUID | None = None

    @property
    def signed(self) -> str | None:
        """The JWS that the data is; None where it is a plain object."""
        return msgspec.json.decode(self.data, type=str) if bytes(self.data).lstrip()[:1] == b'"' else None


@dataclass(frozen=True)
class Trace:
    """Where an event stands among those that caused it: the trace, and the vendor's state where the cause has one."""

    trace: str
    state: str | None = None

    @classmethod
    def of(cls, event: CloudEvent) -> Trace:
        """The trace that goes on from `event`."""
        return cls(event.traceparent.split("-")[1], event.tracestate)

    def parent(self, span: UUID) -> str:
        """The `traceparent` of the next event in it, `span` being a fresh UUID.

        >>> Trace("0af7651916cd43dd8448eb211c80319c").parent(UUID(int=0xB7AD6B7169203331))
        '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
        """
        return f"00-{self.trace}-{span.hex[16:]}-01"


def read(payload: bytes, kind: str) -> CloudEvent:
    """Decode an event of type `kind`. Raises `Rejected`."""
    event = decode(payload, CloudEvent)
    if event.type != kind:
        raise Rejected(f"its type is {event.type}, not {kind}", str(event.id))
    return event


def data_of(event: CloudEvent, plain: bytes, kind: type[T]) -> T:
    """Decode the data of an event from `plain`, its JSON without a signature. Raises `Rejected` with the event's id."""
    try:
        return decode(plain, kind)
    except Rejected as rejected:
        raise Rejected(f"data: {rejected.reason}", str(event.id)) from None


def write(
    data: bytes, *, kind: str, subject: str, source: str, at: datetime, event_id: UUID, span: UUID, trace: Trace, correlation: UUID | None
) -> bytes:
    """Encode an event; `data` is JSON, of an object or of a string that is a JWS."""
    return msgspec.json.encode(
        CloudEvent(
            specversion=facts.SPECVERSION,
            id=event_id,
            source=source,
            type=kind,
            time=at,
            datacontenttype="application/json",
            subject=subject,
            traceparent=trace.parent(span),
            tracestate=trace.state,
            correlationid=correlation,
            data=Raw(data),
        )
    )
