"""An entry of the account: who changed what, when, why, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Sort = Literal["override", "contract", "position", "target", "command", "alarm", "mode", "service"]
"""What an entry is about; `command` is of a store that did not tell them apart."""

OURSELVES: Final = "facility"
"""Who acts where no person does."""


@dataclass(frozen=True)
class Entry:
    """One thing that happened at `at` (UTC).

    | sort                         | action                                           | target           | result            |
    |------------------------------|--------------------------------------------------|------------------|-------------------|
    | override, contract, position | set, clear; expired, superseded, cleared: an end | what it aims at  | as it was answered |
    | contract                     | short, whole: GPUs of it are gone, or back       | the contract     |                   |
    | target                       | set, enforced: by an exchange, of the grid       | the feed         | accepted, rejected |
    | alarm                        | raised, over; gathered with others, graver, chatters | its id       | its severity      |
    | alarm                        | shelve, unshelve; expired: it is back            | its id           | as it was answered |
    | mode                         | the mode that was entered                        | site             | the one before    |
    | service                      | started, stopped, took over                      | its instance     |                   |

    `says` tells it in an operator's words, `reason` is the actor's own. `signer` is whose key proved the command, where keys are used.
    """

    at: datetime
    sort: Sort
    action: str
    target: str
    says: str
    actor: str = OURSELVES
    reason: str = ""
    result: str = ""
    id: str | None = None
    signer: str | None = None
