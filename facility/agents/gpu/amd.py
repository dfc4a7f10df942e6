"""AMD: power caps of AMD GPUs through their driver; the only file that knows its library, which comes with ROCm (`amdsmi`).

Setting a cap needs root and is not possible for a guest of a virtual GPU. The driver counts microwatts and has one limit for each GPU:
what is set is what is enforced. Source: AMD SMI library, Python interface, power control.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final

from facility.agents.gpu.device import UNLIMITED_W, Gpu, Lost, Reading, Refused
from facility.errors import Fault, InputError

LOST: Final = frozenset((31, 33))
"""AMDSMI_STATUS_NOT_FOUND and _NO_SLOT."""
DRAWS: Final = ("socket_power", "current_socket_power", "average_socket_power")
"""Where the draw stands, W: which of them is told depends on the generation."""
SENSOR: Final = 0
MICRO: Final = 1_000_000


class Amd:
    """The GPUs of this machine, or those of `wanted` (numbers or UUIDs). `place` begins their names.

    Raises InputError where the driver cannot be used, or has no such GPU, and ImportError or OSError without its library.
    """

    def __init__(self, place: str, wanted: Collection[str] = ()) -> None:
        self._smi = smi = _library()
        try:
            smi.amdsmi_init()
            handles = list(smi.amdsmi_get_processor_handles())
            found = [_gpu(smi, f"{place}/{number}", handle) for number, handle in enumerate(handles)]
        except smi.AmdSmiException as error:
            raise InputError(Fault("AMD SMI", _said(error), "see what amd-smi says")) from error
        keys = {key: gpu for number, gpu in enumerate(found) for key in (str(number), gpu.id)}
        if unknown := [name for name in wanted if name not in keys]:
            raise InputError(Fault("--gpus", f"no GPU {', '.join(unknown)} here", f"give some of {', '.join(keys) or 'none'}"))
        self._gpus = tuple(dict.fromkeys(keys[name] for name in wanted)) if wanted else tuple(found)
        if not self._gpus:
            raise InputError(Fault("AMD SMI", "this machine has no GPU", "run on a node that has some"))
        self._handles = {gpu.id: handle for gpu, handle in zip(found, handles, strict=True)}

    def gpus(self) -> tuple[Gpu, ...]:
        """See `Devices.gpus`."""
        return self._gpus

    def read(self, gpu: Gpu) -> Reading:
        """See `Devices.read`."""
        cap_w = math.ceil(self._ask(gpu, self._smi.amdsmi_get_power_cap_info)["power_cap"] / MICRO)
        try:
            told = self._ask(gpu, self._smi.amdsmi_get_power_info)
        except Refused:
            told = {}
        draws = [told.get(name) for name in DRAWS]
        return Reading(cap_w, cap_w, next((float(draw) for draw in draws if isinstance(draw, int | float) and draw > 0), None))

    def limit(self, gpu: Gpu, watts: int) -> None:
        """See `Devices.limit`."""
        self._ask(gpu, lambda handle: self._smi.amdsmi_set_power_cap(handle, SENSOR, watts * MICRO))

    def close(self) -> None:
        """See `Devices.close`."""
        with suppress(self._smi.AmdSmiException):
            self._smi.amdsmi_shut_down()

    def _ask(self, gpu: Gpu, asked: Callable[[Any], Any]) -> Any:
        try:
            return asked(self._handles[gpu.id])
        except self._smi.AmdSmiException as error:
            if getattr(error, "err_code", None) in LOST:
                raise Lost(_said(error)) from error
            raise Refused(_said(error)) from error


def _library() -> Any:
    import amdsmi

    return amdsmi


def _gpu(smi: Any, name: str, handle: Any) -> Gpu:
    uuid = str(smi.amdsmi_get_gpu_device_uuid(handle))
    try:
        told = smi.amdsmi_get_power_cap_info(handle)
    except smi.AmdSmiException as error:
        return Gpu(uuid, name, 0, UNLIMITED_W, UNLIMITED_W, f"its power cap cannot be set: {_said(error)}")
    lowest_w, highest_w = math.ceil(told["min_power_cap"] / MICRO), told["max_power_cap"] // MICRO
    if highest_w <= lowest_w:
        return Gpu(uuid, name, 0, UNLIMITED_W, UNLIMITED_W, "it names no range for its power cap, as guests of a virtual GPU do")
    return Gpu(uuid, name, lowest_w, highest_w, (told["default_power_cap"] or told["max_power_cap"]) // MICRO)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())
