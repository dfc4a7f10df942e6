"""What a tenant sees of the site: what is its own, and nothing else."""

from __future__ import annotations

from facility.bus.messages.codec import Count, Id, Instant, Name, NonNegative, Payload, Share, Text, Watts


class TenantCap(Payload, frozen=True, kw_only=True):
    """GPUs of one rental or job that share one cap, and what they do at it, relative to full speed."""

    gpus: Count
    cap_w: Watts
    speed: Share


class TenantRental(Payload, frozen=True, kw_only=True):
    """A rental: its GPUs, those that run now, and their mean speed. `until` is its end, null where it has none.

    `gone` are those of its GPUs that are out of order, `missed_gpu_h` what it missed of such in the calendar month and `credit` what is owed
    for that, in the site's currency.
    """

    contract: Id
    pool: Id
    gpus: Count
    running: Count
    speed: Share
    caps: tuple[TenantCap, ...]
    until: Instant | None = None
    reason: Text = ""
    gone: Count = 0
    missed_gpu_h: NonNegative = 0.0
    credit: NonNegative = 0.0


class TenantJob(Payload, frozen=True, kw_only=True):
    """A job: the GPUs it asked for, those it has, its work left at full speed. It is held `until` then, null: until told otherwise."""

    job: Id
    pool: Id
    gpus: Count
    running: Count
    speed: Share
    caps: tuple[TenantCap, ...]
    work_left_gpu_h: NonNegative
    deadline: Instant
    contract: Id | None = None
    until: Instant | None = None
    reason: Text = ""


class TenantRefusal(Payload, frozen=True, kw_only=True):
    """A job that the tenant specified and that was not taken, and why, until it specifies or removes it again."""

    job: Name
    reason: Text


class TenantView(Payload, frozen=True, kw_only=True):
    """What one tenant has now. After `valid_until` nobody vouches for it. `jobs_left_out` is how many jobs more than can be shown."""

    tenant: Id
    issued_at: Instant
    valid_until: Instant
    rentals: tuple[TenantRental, ...] = ()
    jobs: tuple[TenantJob, ...] = ()
    jobs_left_out: Count = 0
    refused: tuple[TenantRefusal, ...] = ()
