"""What people ask of the plan, and are answered: what an override would do, and why something is as it is. Asking changes nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta as Rule
from msgspec import Struct

from facility.bus.messages.codec import Command, Currency, Id, Instant, Name, NonNegative, Payload, Text
from facility.bus.messages.state import Breach
from facility.overrides.proposal import Kind

Within = Annotated[float, Rule(gt=0, le=120)]
"""How long the asker waits, s; what takes longer is answered `too-late`."""
Cap = Annotated[int, Rule(ge=0, le=10_000)] | None
"""W; None where nothing runs."""

MOST_CHANGES = 8


class Change(Payload, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An override that is thought of, as `OverrideSet` says it, or the end of one that stands: `clear` is its id, and no more is said then."""

    target: Name
    kind: Kind | None = None
    value: NonNegative | None = None
    priority: Annotated[int, Rule(ge=1, le=16)] = 8
    start: Instant | None = None
    end: Instant | None = None
    ttl_s: Annotated[float, Rule(gt=0, le=31_536_000)] | None = None
    clear: Name | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.kind is None) == (self.clear is None):
            raise ValueError("give kind, or clear with the id of an override that stands")
        if (self.kind in {"cap_w", "import_limit_kw"}) != (self.value is not None):
            raise ValueError("cap_w and import_limit_kw need a value, the others have none")
        if self.end is not None and self.ttl_s is not None:
            raise ValueError("give end or ttl_s, not both")


class WhatIfSet(Command, frozen=True, kw_only=True):
    """What would these changes do, one after the other? `id` is that of the topic."""

    changes: Annotated[tuple[Change, ...], Rule(min_length=1, max_length=MOST_CHANGES)]
    within_s: Within = 10.0


class WhySet(Command, frozen=True, kw_only=True):
    """Why is it so? `about` is `job/ID`, `pool/HALL/ID`, `contract/ID`, `limit` or an instant; `id` is that of the topic."""

    about: Name
    within_s: Within = 10.0


class Judged(Payload, frozen=True, kw_only=True):
    """What a change would be answered if it were commanded now: `OverrideResult` of it."""

    target: Name
    status: Literal["accepted", "clamped", "rejected", "expired", "cleared"]
    effective: float | None = None
    until: Instant | None = None
    reason: Text = ""


class Figures(Payload, frozen=True, kw_only=True):
    """A plan in numbers, from `at` to `until` of the answer. `cost` is what is billed and what work left for later will cost, money.

    `margin_kw` is the least that is left below the import limit, negative where it is broken; `kept_kw` is how far plans stay below it.
    """

    cost: float
    costs: dict[str, float]
    energy_kwh: float
    peak_kw: float
    margin_kw: float
    kept_kw: float
    work_gpu_h: float
    jobs_late: int
    breaches: int


class PoolCaps(Struct, frozen=True, kw_only=True):
    """The highest cap in a pool in each step of the next hour."""

    pool: Id
    before_w: tuple[Cap, ...]
    after_w: tuple[Cap, ...]


class JobChange(Struct, frozen=True, kw_only=True):
    """What becomes of a job."""

    job: Name
    change: Literal["misses-deadline", "meets-deadline", "held-longer", "starts-earlier", "ends-later", "ends-earlier"]
    says: Text


class ContractChange(Struct, frozen=True, kw_only=True):
    """What becomes of a contract: speed as a share of full speed, and GPU hours below its floor or undone at deadlines."""

    contract: Name
    speed_before: float | None
    speed_after: float | None
    short_gpu_h_before: float
    short_gpu_h_after: float
    says: Text


class WhatIfResult(Payload, frozen=True, kw_only=True):
    """The answer, always; `says` is all of it in a sentence.

    `status` is refused where a change would be, or where nothing can be said; too-late where it took longer than the asker waits; failed where
    it could not be computed. Both plans are from what was known at `at`, when the newest plan was made; one that is None is none, because
    somebody drives or there is none. `times` are the steps of `caps`. Of long lists the first are told, and `left_out` says how many are not.
    """

    id: Name
    status: Literal["ok", "refused", "too-late", "failed"]
    says: Text
    judged: tuple[Judged, ...] = ()
    at: Instant | None = None
    until: Instant | None = None
    currency: Currency | None = None
    before: Figures | None = None
    after: Figures | None = None
    times: tuple[Instant, ...] = ()
    caps: tuple[PoolCaps, ...] = ()
    jobs: tuple[JobChange, ...] = ()
    contracts: tuple[ContractChange, ...] = ()
    broken: tuple[Breach, ...] = ()
    """Limits that would be broken, or broken by more."""
    mended: tuple[Breach, ...] = ()
    """Limits that would not be broken any more, or by less."""
    left_out: int = 0
    seconds: float | None = None
    """What it took to compute, s."""


class WhyLimit(Payload, frozen=True, kw_only=True):
    """A limit that makes what was asked about dearer: `cost` is money over the plan, `price` what a unit more of it in every step would
    have saved.
    """

    limit: Name
    asset: Name | None
    says: Text
    cost: float
    price: float | None = None
    unit: Name | None = None


class WhyRemedy(Payload, frozen=True, kw_only=True):
    """`more` of a limit from `begins` to `ends`, and what it would have saved, money."""

    limit: Name
    asset: Name | None
    more: float
    unit: Name
    begins: Instant
    ends: Instant
    saved: float
    says: Text


class WhyResult(Payload, frozen=True, kw_only=True):
    """The answer, always; `says` is the answer in a sentence, `lines` all of them. The dearest limit comes first, and the cheapest remedy."""

    id: Name
    status: Literal["ok", "refused", "too-late", "failed"]
    says: Text
    about: Text = ""
    lines: tuple[Text, ...] = ()
    at: Instant | None = None
    currency: Currency | None = None
    limits: tuple[WhyLimit, ...] = ()
    remedies: tuple[WhyRemedy, ...] = ()
    seconds: float | None = None
