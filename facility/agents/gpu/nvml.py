"""NVML: power limits of NVIDIA GPUs through their driver; the only file that knows its library (`pip install 'facility[nvml]'`).

Setting a limit needs root, and a reboot, or the driver's reload without persistence, forgets it. The driver counts milliwatts. A MIG
instance has no limit of its own, its GPU has; a vGPU has none at all. Of the limits of driver, firmware and management controller the lowest is
enforced. Source: NVML API reference, Device Queries and Device Commands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final

import pynvml

from facility.agents.gpu.device import UNLIMITED_W, Gpu, Lost, Reading, Refused
from facility.errors import Fault, InputError

REMEDY: Final = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "install NVIDIA's driver, or run on a node that has it",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "load NVIDIA's driver",
    pynvml.NVML_ERROR_NO_PERMISSION: "run as root, or as somebody who may use the driver",
}
LOST: Final = frozenset(
    (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_GPU_NOT_FOUND, pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_RESET_REQUIRED)
)
GUEST: Final = pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU


class Nvml:
    """The GPUs of this machine, or those of `wanted` (numbers or UUIDs, of a GPU or of a MIG instance). `place` begins their names.

    Raises InputError where the driver cannot be used, or has no such GPU.
    """

    def __init__(self, place: str, wanted: Collection[str] = ()) -> None:
        try:
            pynvml.nvmlInit()
            found = [_gpu(place, number) for number in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            remedy = REMEDY.get(error.value, "see what nvidia-smi says")
            raise InputError(Fault("NVML", f"{error}", remedy)) from error
        keys = {key: gpu for number, gpu in enumerate(found) for key in (str(number), gpu.id)}
        keys |= {part: keys[str(number)] for number in range(len(found)) for part in _instances(number)}
        if unknown := [name for name in wanted if name not in keys]:
            raise InputError(Fault("--gpus", f"no GPU {', '.join(unknown)} here", f"give some of {', '.join(keys) or 'none'}"))
        self._gpus = tuple(dict.fromkeys(keys[name] for name in wanted)) if wanted else tuple(found)
        if not self._gpus:
            raise InputError(Fault("NVML", "this machine has no GPU", "run on a node that has some"))
        self._handles: dict[str, Any] = {}

    def gpus(self) -> tuple[Gpu, ...]:
        """See `Devices.gpus`."""
        return self._gpus

    def read(self, gpu: Gpu) -> Reading:
        """See `Devices.read`."""
        enforced_w = self._ask(gpu, lambda handle: _watts(pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)))
        limit_w = self._maybe(gpu, pynvml.nvmlDeviceGetPowerManagementLimit)
        draw_mw = self._maybe(gpu, pynvml.nvmlDeviceGetPowerUsage)
        return Reading(enforced_w if limit_w is None else _watts(limit_w), enforced_w, None if draw_mw is None else draw_mw / 1000)

    def limit(self, gpu: Gpu, watts: int) -> None:
        """See `Devices.limit`."""
        self._ask(gpu, lambda handle: pynvml.nvmlDeviceSetPowerManagementLimit(handle, watts * 1000))

    def close(self) -> None:
        """See `Devices.close`."""
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()

    def _maybe(self, gpu: Gpu, asked: Callable[[Any], int]) -> int | None:
        """Ask what not every GPU can tell."""
        try:
            return int(self._ask(gpu, asked))
        except Refused:
            return None

    def _ask(self, gpu: Gpu, asked: Callable[[Any], Any]) -> Any:
        try:
            if gpu.id not in self._handles:
                self._handles[gpu.id] = pynvml.nvmlDeviceGetHandleByUUID(gpu.id)
            return asked(self._handles[gpu.id])
        except pynvml.NVMLError as error:
            self._handles.pop(gpu.id, None)
            if error.value in LOST:
                raise Lost(str(error)) from error
            if error.value == pynvml.NVML_ERROR_UNINITIALIZED:
                with suppress(pynvml.NVMLError):
                    pynvml.nvmlInit()
            raise Refused(str(error)) from error


def _gpu(place: str, number: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(number)
    name, uuid = f"{place}/{number}", str(pynvml.nvmlDeviceGetUUID(handle))
    with suppress(pynvml.NVMLError):
        if pynvml.nvmlDeviceGetVirtualizationMode(handle) == GUEST:
            return Gpu(uuid, name, 0, UNLIMITED_W, UNLIMITED_W, "a vGPU has no power limit; its host's agent caps the GPU")
    try:
        lowest_mw, highest_mw = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
        default_mw = pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)
    except pynvml.NVMLError as error:
        return Gpu(uuid, name, 0, UNLIMITED_W, UNLIMITED_W, f"its power limit cannot be set: {error}")
    return Gpu(uuid, name, math.ceil(lowest_mw / 1000), highest_mw // 1000, default_mw // 1000)


def _instances(number: int) -> list[str]:
    """UUIDs of the MIG instances of a GPU; none where it is not divided."""
    found: list[str] = []
    with suppress(pynvml.NVMLError):
        handle = pynvml.nvmlDeviceGetHandleByIndex(number)
        for part in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            with suppress(pynvml.NVMLError):
                found.append(str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, part))))
    return found


def _watts(milliwatts: int) -> int:
    """Whole watts, never less than there are: what is reported is not below what is enforced."""
    return math.ceil(milliwatts / 1000)
