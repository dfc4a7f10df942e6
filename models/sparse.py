"""SciPy's sparse matrices, without the rest of SciPy.

Pyomo imports SciPy's statistics, quadrature and geometry as soon as anybody imports SciPy (`pyomo.common.dependencies`). No program here
needs them, and every process that plans would take twice as long and 50 MB more to start. While the matrices are imported these stand
as if they were there; afterwards whoever wants them gets them. A process that only solves imports no Pyomo, and this neither.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final

__all__ = ["sp"]

UNWANTED: Final = ("scipy.integrate", "scipy.spatial", "scipy.stats")


@contextmanager
def _as_if_there(names: tuple[str, ...]) -> Iterator[None]:
    """Let modules that are not imported yet stand in the table of modules, empty."""
    empty = {name: ModuleType(name) for name in names if name not in sys.modules}
    sys.modules.update(empty)
    try:
        yield
    finally:
        for name, module in empty.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


with _as_if_there(UNWANTED):
    import scipy.sparse as sp
