"""Room: when each step of a refresh may be, by who keeps the GPUs; and where there is none, why, and what would help. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np

from facility.maintain.bound import Open
from facility.maintain.free import free_gpus, keepers
from facility.maintain.stages import Stage
from facility.maintain.wish import Refusal, Wish
from facility.site import Site
from facility.site.maintenance import FOR_GOOD


def open_starts(site: Site, wish: Wish, stages: Sequence[Stage], edges: Sequence[datetime]) -> Open:
    """Whether each step of the refresh may begin with each step of the plan: its GPUs are kept by nobody, and it is over in time."""
    found = np.zeros((len(stages), len(edges) - 1), bool)
    for k, stage in enumerate(stages):
        for s, start in enumerate(edges[:-1]):
            end = start + wish.lasts
            if wish.earliest <= start and end <= min(wish.latest, edges[-1]):
                found[k, s] = free_gpus(site, wish.pool, start, end, stage.moved) >= stage.out
    return found


def no_room(site: Site, wish: Wish, stages: Sequence[Stage], edges: Sequence[datetime], is_open: Open) -> Refusal:
    """Why there are no windows, by who keeps the GPUs, and what would help."""
    hours = wish.lasts.total_seconds() / 3600
    if wish.within < wish.lasts * wish.steps:
        needs = f"{wish.steps} steps of {hours:g} h take {wish.steps * hours:g} h"
        return Refusal(f"{needs}, longer than --within", (), (f"--within {wish.steps * hours:g}h at least",))
    if is_open.any(axis=1).all():
        return Refusal("each step has windows, and there are none for all of them one after another", (), ("a longer --within", "fewer --steps"))
    stage = stages[int(np.argmin(is_open.any(axis=1)))]
    spans = [(start, start + wish.lasts) for start in edges[:-1] if wish.earliest <= start and start + wish.lasts <= min(wish.latest, edges[-1])]
    most, first = max(((free_gpus(site, wish.pool, *span, stage.moved), -i) for i, span in enumerate(spans)), default=(0, 0))
    has = f"the {site.pools[wish.pool].gpus} GPUs of {wish.pool}"
    limits = [f"{who} keeps {gpus} of {has}" for who, gpus, *_ in keepers(site, wish.pool, stage.moved)]
    if most > 0:
        limits.append(f"{most} GPUs may be out at most, first from {spans[-first][0]:%Y-%m-%d %H:%M} UTC")
    return Refusal(
        f"{stage.out} GPUs of {wish.pool} are free at no time for {hours:g} h", tuple(limits), tuple(_remedies(site, wish, stage, most))
    )


def _remedies(site: Site, wish: Wish, stage: Stage, most: int) -> Iterator[str]:
    """What would make it fit, in the words of the command."""
    if most > 0 and wish.to_model is None:
        steps = -(-wish.gpus // most)
        yield f"at most {most} GPUs at once: --steps {steps}, which takes {steps * wish.lasts.total_seconds() / 3600:g} h at least"
    elif most > 0:
        yield f"at most {most} GPUs: --gpus {most}"
    for name, contract in site.contracts.items():
        mine = contract.pool == wish.pool and contract.gpus and not contract.pausable and name not in stage.moved
        if mine and most + contract.gpus >= stage.out:
            yield f"{name} pauses or moves elsewhere meanwhile: its tenant's agreement, and `pausable: true`"
    later = [over for _, _, _, over in keepers(site, wish.pool, stage.moved) if over > wish.latest]
    fits = [over for over in sorted(later) if over < FOR_GOOD and free_gpus(site, wish.pool, over, over + wish.lasts, stage.moved) >= stage.out]
    if fits:
        yield f"a later end: from {fits[0]:%Y-%m-%d %H:%M} UTC on they are free"
