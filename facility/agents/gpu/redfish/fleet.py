"""Fleet: the GPUs of many nodes as devices, each behind its node's management controller.

A controller that does not answer when the agent starts, or knows no GPU because its node is off, is walked later, and its GPUs come then.
One that falls silent keeps what it was told last: its GPUs go on, and what they enforce is what was read last.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from facility.agents.gpu.device import UNLIMITED_W, Gpu, Lost, Reading, Refused
from facility.agents.gpu.redfish.nodes import Node
from facility.agents.gpu.redfish.service import Service
from facility.agents.gpu.redfish.walk import Found, walk, watts

log = logging.getLogger(__name__)

MOST_WORKERS: Final = 64
WALK_AGAIN_S: Final = 15.0


class Fleet:
    """See `Devices`. Raises InputError for certificates that cannot be used."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._services = {node.name: Service(node) for node in nodes}
        self._places: dict[str, tuple[Service, Found]] = {}
        self._gpus: dict[str, tuple[Gpu, ...]] = {}
        self._lock, self._over = threading.Lock(), threading.Event()
        with ThreadPoolExecutor(min(len(nodes), MOST_WORKERS)) as several:
            missing = [name for name, there in zip(self._services, several.map(self._walk, self._services), strict=True) if not there]
        if missing:
            threading.Thread(target=self._walk_later, args=(missing,), daemon=True).start()

    def gpus(self) -> tuple[Gpu, ...]:
        """See `Devices.gpus`."""
        with self._lock:
            return tuple(gpu for name in self._services for gpu in self._gpus.get(name, ()))

    def read(self, gpu: Gpu) -> Reading:
        """See `Devices.read`: the limit that we write, the lowest of all that are known, and the draw."""
        service, found = self._places[gpu.id]
        set_w: int | None = None
        lowest_w, draw_w = UNLIMITED_W, None
        for limit in found.limits:
            resource = service.get(limit.path)
            told = limit.of(resource)
            off = told.get("ControlMode") == "Disabled"
            limit_w = None if off else watts(told.get("SetPoint"))
            limit_w = watts(told.get("AllowableMax")) or UNLIMITED_W if limit_w is None else limit_w
            set_w, lowest_w = limit_w if set_w is None else set_w, min(lowest_w, limit_w)
            drawn = resource.get("PowerWatts") if limit.kind == "metrics" else resource.get("Sensor")
            reading = drawn.get("Reading") if isinstance(drawn, dict) else None
            if draw_w is None and isinstance(reading, int | float):
                draw_w = float(reading)
        if set_w is None:
            raise Refused(gpu.cannot)
        return Reading(set_w, lowest_w, draw_w)

    def limit(self, gpu: Gpu, watts: int) -> None:
        """See `Devices.limit`."""
        service, found = self._places[gpu.id]
        first = found.limits[0]
        service.patch(first.path, first.body(watts, service.get(first.path)))

    def close(self) -> None:
        """See `Devices.close`."""
        self._over.set()
        for service in self._services.values():
            service.close()

    def _walk(self, name: str) -> bool:
        """Find the GPUs behind a controller; whether it knows any."""
        service = self._services[name]
        try:
            every = [(found, _gpu(service, f"{name}/{number}", found)) for number, found in enumerate(walk(service.get))]
        except (Lost, Refused) as error:
            log.warning("%s: %s", name, error)
            return False
        if not every and name not in self._gpus:
            log.warning("%s: its management controller knows no GPU", name)
        with self._lock:
            self._places |= {gpu.id: (service, found) for found, gpu in every}
            self._gpus[name] = tuple(gpu for _, gpu in every)
        return bool(every)

    def _walk_later(self, names: list[str]) -> None:
        while names and not self._over.wait(WALK_AGAIN_S):
            names = [name for name in names if not self._walk(name)]


def _gpu(service: Service, name: str, found: Found) -> Gpu:
    unknown = Gpu(f"{name} {found.path}", name, 0, UNLIMITED_W, UNLIMITED_W, "its management controller lets no power limit be set")
    if not found.limits:
        return unknown
    told = found.limits[0].of(service.get(found.limits[0].path))
    lowest_w, highest_w = watts(told.get("AllowableMin")), watts(told.get("AllowableMax"))
    if highest_w is None:
        return unknown
    return Gpu(unknown.id, name, lowest_w or 0, highest_w, watts(told.get("DefaultSetPoint")) or highest_w)
