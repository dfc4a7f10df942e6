"""A driver for GPUs that are not there, at the level of NVML's functions: `python -m tests.fakes.nvml BOARD agent nvml ...` is the real
command on it.

A `Board` is a file that the driver's process and a test share: the truth of each GPU, what goes wrong with it, and what somebody else does.
Its library is the real one, with its constants and exceptions; only what would call into the driver is replaced.
"""

from __future__ import annotations

import mmap
import sys
import time
from pathlib import Path
from typing import Any

FIELDS = (
    "limit_mw", "bmc_mw", "lowest_mw", "highest_mw", "default_mw", "natural_mw", "latency_ms", "write_error", "read_error", "writes", "vgpu", "mig",
)  # fmt: skip
"""Of each GPU: what NVML's limit is, what its management controller's is, what can be set, what it would draw, how long a write takes, the
errors that its writes and everything else end in (0: none), how many writes there were, and whether it is a vGPU or divided."""
A100 = {"limit_mw": 400_000, "bmc_mw": 0, "lowest_mw": 100_000, "highest_mw": 400_000, "default_mw": 400_000, "natural_mw": 350_000}


class Board:
    """The GPUs of one node; `gpus` makes a new one."""

    def __init__(self, file: Path, gpus: int | None = None, **fields: int) -> None:
        size = 4 * len(FIELDS)
        if gpus is not None:
            file.write_bytes(bytes(size * gpus))
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 0)
        self._words = memoryview(self._map).cast("I")
        self.count = len(self._words) // len(FIELDS)
        for gpu in range(gpus or 0):
            for field, value in (A100 | fields).items():
                self.set(gpu, field, value)

    def get(self, gpu: int, field: str) -> int:
        return self._words[gpu * len(FIELDS) + FIELDS.index(field)]

    def set(self, gpu: int, field: str, value: int) -> None:
        self._words[gpu * len(FIELDS) + FIELDS.index(field)] = value

    def enforced_w(self, gpu: int) -> float:
        """What a GPU really enforces: the lowest of all limits."""
        return min(self.get(gpu, "limit_mw"), self.get(gpu, "bmc_mw") or 2**32) / 1000

    def limits_w(self) -> list[float]:
        return [self.get(gpu, "limit_mw") / 1000 for gpu in range(self.count)]

    def writes(self) -> int:
        return sum(self.get(gpu, "writes") for gpu in range(self.count))


def install(board: Board) -> None:
    """Stand in for the driver under the real library."""
    import pynvml

    def check(gpu: int, field: str = "read_error") -> None:
        if error := board.get(gpu, field):
            raise pynvml.NVMLError(error)

    def uuid(gpu: int | tuple[int, int]) -> str:
        return f"MIG-{gpu[0]}-{gpu[1]}" if isinstance(gpu, tuple) else f"GPU-{gpu:04d}"

    def by_uuid(name: str) -> int:
        gpu = int(name.removeprefix("GPU-"))
        check(gpu)
        return gpu

    def limited(gpu: int) -> None:
        check(gpu)
        if board.get(gpu, "vgpu"):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def ask(field: str, of: Any = limited) -> Any:
        def asked(gpu: int) -> int:
            of(gpu)
            return board.get(gpu, field)

        return asked

    def constraints(gpu: int) -> list[int]:
        limited(gpu)
        return [board.get(gpu, "lowest_mw"), board.get(gpu, "highest_mw")]

    def enforced(gpu: int) -> int:
        limited(gpu)
        return round(board.enforced_w(gpu) * 1000)

    def draw(gpu: int) -> int:
        check(gpu)
        return min(board.get(gpu, "natural_mw"), round(board.enforced_w(gpu) * 1000))

    def write(gpu: int, limit_mw: int) -> None:
        limited(gpu)
        check(gpu, "write_error")
        if not board.get(gpu, "lowest_mw") <= limit_mw <= board.get(gpu, "highest_mw"):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        time.sleep(board.get(gpu, "latency_ms") / 1000)
        board.set(gpu, "limit_mw", limit_mw)
        board.set(gpu, "writes", board.get(gpu, "writes") + 1)

    def part(gpu: int, number: int) -> tuple[int, int]:
        if number >= board.get(gpu, "mig"):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return gpu, number

    stand_ins = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: board.count,
        "nvmlDeviceGetHandleByIndex": lambda gpu: gpu,
        "nvmlDeviceGetHandleByUUID": by_uuid,
        "nvmlDeviceGetUUID": uuid,
        "nvmlDeviceGetVirtualizationMode": lambda gpu: 2 if board.get(gpu, "vgpu") else 0,
        "nvmlDeviceGetMaxMigDeviceCount": lambda gpu: 7 if board.get(gpu, "mig") else 0,
        "nvmlDeviceGetMigDeviceHandleByIndex": part,
        "nvmlDeviceGetPowerManagementLimitConstraints": constraints,
        "nvmlDeviceGetPowerManagementDefaultLimit": ask("default_mw"),
        "nvmlDeviceGetPowerManagementLimit": ask("limit_mw"),
        "nvmlDeviceGetEnforcedPowerLimit": enforced,
        "nvmlDeviceGetPowerUsage": draw,
        "nvmlDeviceSetPowerManagementLimit": write,
    }
    for name, stand_in in stand_ins.items():
        assert hasattr(pynvml, name)
        setattr(pynvml, name, stand_in)


if __name__ == "__main__":
    install(Board(Path(sys.argv[1])))
    sys.argv = ["facility", *sys.argv[2:]]
    from facility.cli import main

    main()
