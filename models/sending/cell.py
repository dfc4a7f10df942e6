"""Cell: one workload in one step, as it can be sent - whole GPUs at integer caps, for all of the step or a part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.horizon import Floats
from models.work.gpu import Ladder

SNAP = 1e-7


@dataclass
class Cell:
    """One workload in one step: `parts` are (GPUs, cap W); the workload runs for `share` of the step."""

    w: int
    t: int
    share: float
    parts: list[tuple[int, int]]
    ladder: Ladder

    def points(self) -> list[tuple[int, int, float, float]]:
        """(GPUs, cap W, draw W, speed) of each part."""
        return [(n, cap, *self._at(cap)) for n, cap in self.parts if n]

    def _at(self, cap: int) -> tuple[float, float]:
        return self.ladder.curve.at(cap)

    @property
    def counts(self) -> float:
        """The share of the step that its power counts for: all of the first, where what is sent is in force at once."""
        return self.share if self.t else 1.0

    @property
    def speed(self) -> float:
        """Sum of the speeds of its GPUs while it runs."""
        return sum(n * speed for n, _, _, speed in self.points())

    @property
    def count(self) -> int:
        """GPUs it runs on."""
        return sum(n for n, _ in self.parts)

    @property
    def draw_kw(self) -> float:
        """What it adds over idle GPUs while it runs, kW."""
        return sum(n * self.ladder.host.extra_w(draw) for n, _, draw, _ in self.points()) / 1000

    @property
    def cap_kw(self) -> float:
        """Sum of its caps, kW."""
        return sum(n * cap for n, cap in self.parts) / 1000

    def raised(self) -> Cell | None:
        """The same cell with one GPU a settable step higher, or None at the top of its ladder or below a gap in it."""
        ladder, step_w = self.ladder, self.ladder.host.power_step_w
        for i, (n, cap) in enumerate(self.parts):
            at = int(np.searchsorted(ladder.cap_w, cap + step_w - SNAP))
            if n and at < len(ladder) and (ladder.joined[at] or cap > ladder.cap_w[at - 1] + SNAP):
                parts = [*self.parts[:i], (n - 1, cap), *self.parts[i + 1 :], (1, cap + step_w)]
                return Cell(self.w, self.t, self.share, merged(parts), ladder)
        return None


def parts_of(count: int, ladder: Ladder, raised: Floats) -> list[tuple[int, int]]:
    """`count` GPUs, the shares `raised[k]` of them at rung k or higher, as (GPUs, cap W) at settable caps and never above."""
    step_w = ladder.host.power_step_w
    low, top = int((raised >= 1 - SNAP).sum()) - 1, int((raised > SNAP).sum()) - 1
    if top == low + 1 and ladder.joined[top]:
        exact = ladder.cap_w[low] + float(raised[top]) * (ladder.cap_w[top] - ladder.cap_w[low])
        cap = _settable(exact, step_w)
        up = int(count * (exact - cap) / step_w + SNAP)
        return merged([(count - up, cap), (up, cap + step_w)])
    reach = count * np.append(raised, 0.0)
    whole = np.floor(reach + SNAP).astype(int)
    parts = [(int(n), _settable(cap, step_w)) for n, cap in zip(whole[:-1] - whole[1:], ladder.cap_w, strict=True)]
    for n in set(whole[low + 1 : top + 1].tolist()):
        rung = int((whole > n).sum()) - 1
        part = np.clip(reach[rung + 1 : -1] - n, 0.0, 1.0)
        draw_w = ladder.draw_w[rung] + float(part @ np.diff(ladder.draw_w)[rung:])
        cap_w = ladder.cap_w[rung] + float(part @ np.diff(ladder.cap_w)[rung:])
        between_w = min(cap_w, float(np.interp(draw_w, ladder.curve.draw_w, ladder.curve.cap_w)))
        parts += [(-1, _settable(ladder.cap_w[rung], step_w)), (1, _settable(between_w, step_w))]
    return merged(parts)


def _settable(cap_w: float, step_w: int) -> int:
    """The highest multiple of `step_w` that is not above `cap_w`, W."""
    return int(cap_w / step_w + SNAP) * step_w


def merged(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(GPUs, cap W) with each cap once, by rising cap."""
    by_cap: dict[int, int] = {}
    for n, cap in parts:
        by_cap[cap] = by_cap.get(cap, 0) + n
    return [(n, cap) for cap, n in sorted(by_cap.items()) if n]
