"""GPUs of a job, out of Slurm's words for trackable resources (TRES).

    gpus = what is allocated, or what is asked for: per job, else per node * nodes, else per task * tasks, else per socket * sockets

A word is `[gres/|gres:]gpu[:TYPE][:|=]COUNT`, several stand after each other with commas; a count may end in K, M or G (1,024 to a power).
"""

from __future__ import annotations

import re
from typing import Any, Final

COUNT: Final = r"(?P<count>\d+)(?P<suffix>[kKmMgG]?)"
WORD: Final = re.compile(rf"(?:^|,)(?:gres[/:])?gpu(?P<type>:(?!\d+[kKmMgG]?(?:$|[,(]))[^:=,()]+)?(?:[:=]{COUNT})?(?=$|[,(])")
POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3}


def counted(text: str) -> int | None:
    """How many GPUs a text of TRES names; None where it names none. What is told by type and in all is counted once.

    >>> counted("cpu=4,mem=8G,gres/gpu=8,gres/gpu:a100=8"), counted("gres:gpu:4"), counted("gpu:a100:2,gpu:h100:2"), counted("cpu=4")
    (8, 4, 4, None)
    """
    found = [(word["type"], int(word["count"] or 1) * 1024 ** POWERS[(word["suffix"] or "").lower()]) for word in WORD.finditer(text)]
    untyped = [count for kind, count in found if kind is None]
    return (sum(untyped) if untyped else sum(count for _, count in found)) if found else None


def gpus_of(job: dict[str, Any], nodes: int, tasks: int) -> int | None:
    """How many GPUs a job of Slurm's JSON holds or asks for; None where it says nothing of GPUs."""
    for key, times in (
        ("tres_alloc_str", 1),
        ("tres_req_str", 1),
        ("tres_per_job", 1),
        ("tres_per_node", nodes),
        ("tres_per_task", tasks),
        ("tres_per_socket", nodes * max(int(job["sockets_per_node"]) if isinstance(job.get("sockets_per_node"), int) else 1, 1)),
    ):
        text = job.get(key)
        if isinstance(text, str) and (count := counted(text)):
            return count * times
    return None
