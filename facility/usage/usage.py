"""A usage: what one workload had in one pool in one quarter of an hour, as the journal keeps it.

| field          | what                                                                                             | unit  |
|----------------|--------------------------------------------------------------------------------------------------|-------|
| hours          | how much of the quarter is counted; of a job while it held GPUs                                   | h     |
| promised_gpu_h | of a firm contract the GPUs that must run, by its demand; of a job none                           | GPU h |
| reserved_gpu_h | of a firm contract the GPUs that are kept for it and are there, whether or not they run           | GPU h |
| gpu_h          | GPUs that ran                                                                                    | GPU h |
| speed_gpu_h    | the same at full speed: GPUs x relative speed at the cap that was enforced                        | GPU h |
| expected_kwh   | what those that ran were expected to draw at their caps, hosts included                           | kWh   |
| idle_kwh       | the same of those that were kept and did not run, and of a pool's that nobody had                 | kWh   |
| slow_gpu_h     | GPU hours at the greatest slow-down that the contract grants, as `models.work.budget` counts them | GPU h |

The two energies are the key by which measured energy is shared out, and no bill. Over all rows of a pool they are its expected draw.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

QUARTER: Final = timedelta(minutes=15)
"""Hours, days and billing intervals of every zone begin at such quarters of UTC; shorter intervals lie inside one."""

Kind = Literal["contract", "job", "free"]
"""A firm contract, a job, or the GPUs of a pool that nobody had."""

Cause = Literal["gone", "pause", "operator", "guard", "power"]
"""Why a workload had less: its GPUs were gone, its contract lets them pause, an operator commanded it, the guard cut, power was short or dear."""


class Lack(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a firm contract went without for one cause, since an instant without a break: GPUs that did not run, and the speed that was
    withheld of those that did, as GPUs at full speed. `hours` and both GPU hours are this quarter's.
    """

    cause: Cause
    since: datetime
    hours: float
    missed_gpu_h: float = 0.0
    withheld_gpu_h: float = 0.0


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """See above; `start` is UTC. `workload` is the contract's or job's id, empty for GPUs that nobody had; `contract` is a job's own, where it
    has one, and a firm contract's id. `tenant` is empty where nobody is named.
    """

    start: datetime
    hours: float
    pool: str
    workload: str
    kind: Kind
    tenant: str = ""
    contract: str | None = None
    promised_gpu_h: float = 0.0
    reserved_gpu_h: float = 0.0
    gpu_h: float = 0.0
    speed_gpu_h: float = 0.0
    expected_kwh: float = 0.0
    idle_kwh: float = 0.0
    slow_gpu_h: float = 0.0
    lacks: tuple[Lack, ...] = ()

    @property
    def missed_gpu_h(self) -> float:
        """GPU hours that were promised and did not run, for whatever cause."""
        return sum(lack.missed_gpu_h for lack in self.lacks)

    @property
    def slow_h(self) -> float:
        """Hours of the contract's budget of slow hours that were used up."""
        return self.slow_gpu_h * self.hours / self.promised_gpu_h if self.promised_gpu_h else 0.0

    @property
    def cause(self) -> Cause | None:
        """Why most of what was missed was missed; why it was slow where nothing was; None where nothing lacked."""
        most = max(self.lacks, key=lambda lack: (lack.missed_gpu_h, lack.withheld_gpu_h), default=None)
        return None if most is None else most.cause


def quarter_of(instant: datetime) -> datetime:
    """The beginning of the quarter of an hour that an instant lies in."""
    return instant.replace(minute=instant.minute // 15 * 15, second=0, microsecond=0)
