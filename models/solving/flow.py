"""Flow: power that goes one way through a battery, the grid connection or a feeder with losses, in steps where a solution sent it both.

    in_kw[t]  <= most in * draws[t]            draws_in
    out_kw[t] <= most out * (1 - draws[t])     or_gives_out

| symbol | name                                           | unit |
|--------|------------------------------------------------|------|
| draws  | power may go in, not out                       | 0, 1 |
| most   | the variable's bound, or all the site could be | kW   |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.problem import Problem


def add(block: Any, in_kw: Any, out_kw: Any, steps: Sequence[int], all_kw: float) -> None:
    """Declare on `block` that power goes into `in_kw` or out of `out_kw` in each of `steps`; neither can be more than `all_kw`."""
    block.STEPS = pyo.Set(dimen=1, initialize=list(steps))
    block.most_in_kw = pyo.Param(block.STEPS, initialize={t: in_kw[t].ub or all_kw for t in steps})
    block.most_out_kw = pyo.Param(block.STEPS, initialize={t: out_kw[t].ub or all_kw for t in steps})
    block.draws = pyo.Var(block.STEPS, domain=pyo.Binary)

    @block.Constraint(block.STEPS)
    def draws_in(b: Any, t: int) -> Any:
        return in_kw[t] <= b.most_in_kw[t] * b.draws[t]

    @block.Constraint(block.STEPS)
    def or_gives_out(b: Any, t: int) -> Any:
        return out_kw[t] <= b.most_out_kw[t] * (1 - b.draws[t])


def all_kw(problem: Problem) -> float:
    """More than can pass anywhere: all that may draw, and all that may give, at once, with every loss."""
    gpus_kw = sum(max(p.available) * (p.max_cap_w + p.host.host_run_w + p.host.idle_total_w) / 1000 for p in problem.pools)
    stored_kw = sum(b.charge_kw + b.discharge_kw for b in problem.batteries)
    cooling_kw = sum(
        float(c.chiller.power_kw(c.chiller.breakpoints_kw()[-1:, None], problem.outdoor_c).max()) for c in problem.cooling_plants
    )
    given_kw = sum(max(s.available_kw) for s in problem.solar) + sum(g.most_kw for g in problem.gensets)
    base_kw = float(sum(h.base(len(problem.horizon)).max() for h in problem.halls))
    losses = float(np.prod([1 + f.loss_share for f in problem.feeders]))
    return losses * (1 + gpus_kw + stored_kw + cooling_kw + given_kw + base_kw)
