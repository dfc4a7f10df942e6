"""Share: which cap of an order each GPU of one node must not exceed. Pure.

    named by groups                          the lowest of theirs; a part of a GPU (`node-17/3/1`) has the limit of the whole
    its work is known, and groups are of it  the lowest of theirs; none is: `cap_w`
    otherwise, the node is the whole pool    the counts of groups are spread over such GPUs in order, `cap_w` for the rest
    otherwise                                the lowest of `cap_w` and of every group that may still have it

What a GPU works on is known where the agent was told what its node is rented to, and of a job where its scheduler names all its GPUs.
A job that names more or fewer GPUs than its groups count tells nothing: with the rest together they could have more than the order allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facility.bus.messages import CapDesired, CapGroup


@dataclass(frozen=True)
class Cap:
    """The most that one GPU may have, W, and what it works on, as far as that is known."""

    cap_w: int
    workload: str | None = None


@dataclass(frozen=True)
class Share:
    """Caps by name of GPU. `guessed` are names of those whose cap is the lowest that may be meant."""

    caps: Mapping[str, Cap]
    guessed: tuple[str, ...] = ()


def share(
    order: CapDesired, names: Sequence[str], *, whole: bool, workload: str | None = None, holds: Mapping[str, Sequence[str]] | None = None
) -> Share:
    """Share an order out among the GPUs `names`. `whole`: they are all of the pool. `workload` is what they all work on, `holds` names the
    GPUs of jobs.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 7, 15, tzinfo=UTC)
    >>> groups = (CapGroup(workload="chat", gpus=("n/0",), cap_w=400), CapGroup(workload="tune", gpus=1, cap_w=300))
    >>> order = CapDesired(epoch=1, seq=1, issued_at=at, valid_until=at, cap_w=200, fallback_cap_w=150, groups=groups)
    >>> {name: cap.cap_w for name, cap in share(order, ("n/0", "n/1", "n/2"), whole=True).caps.items()}
    {'n/0': 400, 'n/1': 300, 'n/2': 200}
    """
    caps = _named(order, names)
    known = _known(order, workload, holds or {})
    for name in names:
        if name not in caps and (work := workload or known.get(name)) is not None:
            caps[name] = _of_work(order, work)
    rest = [name for name in names if name not in caps]
    settled = set(known.values())
    counts = [group for group in order.groups if isinstance(group.gpus, int) and group.gpus and group.workload not in settled]
    if whole:
        slots = [Cap(group.cap_w, group.workload) for group in counts for _ in range(_count(group))]
        return Share(caps | {name: slots[i] if i < len(slots) else Cap(order.cap_w) for i, name in enumerate(rest)})
    lowest = min([order.cap_w, *(group.cap_w for group in counts)])
    unsure = tuple(rest) if any(group.cap_w != order.cap_w for group in counts) else ()
    return Share(caps | dict.fromkeys(rest, Cap(lowest)), unsure)


def _count(group: CapGroup) -> int:
    return group.gpus if isinstance(group.gpus, int) else len(group.gpus)


def _named(order: CapDesired, names: Sequence[str]) -> dict[str, Cap]:
    ours, caps = set(names), dict[str, Cap]()
    for group in order.groups:
        for told in group.gpus if isinstance(group.gpus, tuple) else ():
            name = told if told in ours else told.rpartition("/")[0]
            if name in ours and (name not in caps or group.cap_w < caps[name].cap_w):
                caps[name] = Cap(group.cap_w, group.workload)
    return caps


def _known(order: CapDesired, workload: str | None, holds: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What GPUs work on, by their name, as far as it can be believed."""
    if workload is not None:
        return {}
    counted: dict[str, int] = {}
    for group in order.groups:
        counted[group.workload] = counted.get(group.workload, 0) + _count(group)
    found: dict[str, str] = {}
    for job, gpus in holds.items():
        if gpus and len(gpus) == counted.get(job, 0):
            found |= dict.fromkeys(gpus, job)
    return found


def _of_work(order: CapDesired, work: str) -> Cap:
    of_it = [group.cap_w for group in order.groups if group.workload == work and isinstance(group.gpus, int)]
    return Cap(min(of_it), work) if of_it else Cap(order.cap_w, work)
