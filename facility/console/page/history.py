"""History: what was measured in the last hour, day or week, a point at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nicegui import ui

from facility.console.hub import Hub
from facility.console.model.words import lasting
from facility.console.page.charts import past as drawn
from facility.console.past import SPANS, Past, StoreFault
from facility.errors import InputError

SAID = {
    "meter/import_kw": "power from the grid, kW",
    "pool/it_power_kw": "pool {}, kW",
    "pool/gpu_power_kw": "GPUs of pool {}, kW",
    "hall/air_temperature_c": "air of hall {}, °C",
    "cooling/power_kw": "cooling plant {}, kW",
    "cooling/stored_kwh": "tank of {}, kWh",
    "feeder/power_kw": "feeder {}, kW",
    "battery/energy_kwh": "battery {}, kWh",
    "battery/power_kw": "battery {}, kW",
    "weather/temperature_c": "outdoors, °C",
}


def said(point: str) -> str:
    """A point in an operator's words.

    >>> said("h1/hall/h1/air_temperature_c")
    'air of hall h1, °C'
    """
    _, sort, asset, quantity = (*point.split("/", 3), "", "", "")[:4]
    return SAID.get(f"{sort}/{quantity}", point).format(asset)


class HistoryPanel:
    """A point, a span, a chart. It reads in a thread, when it is asked."""

    def __init__(self, hub: Hub, past: Past, dark: Callable[[], bool]) -> None:
        self._hub, self._past, self._dark = hub, past, dark
        self._meter = f"site/meter/{hub.site.grid.feed}/import_kw"
        with ui.element("div").classes("row2"):
            options = {self._meter: said(self._meter)}
            self._point = ui.select(options, value=self._meter, label="What", with_input=True, on_change=self.read).props("dense outlined")
            self._span = ui.toggle(list(SPANS), value="hour", on_change=self.read).props('no-caps aria-label="how far back"')
        self._words = ui.html('<p class="foot">reading …</p>', sanitize=False)
        self._chart = ui.echart({}, renderer="svg").props('role="img" aria-label="what was measured"').style("height:300px;width:100%")
        ui.timer(0.1, self._begin, once=True)

    async def _begin(self) -> None:
        try:
            points = await asyncio.to_thread(self._past.points)
        except (StoreFault, InputError) as error:
            self._trouble(error)
            return
        self._point.set_options({point: said(point) for point in dict.fromkeys((self._meter, *points))}, value=self._meter)
        await self.read()

    async def read(self, _event: Any = None) -> None:
        """Read and draw what is asked for."""
        point, span, now = str(self._point.value), str(self._span.value), self._hub.now()
        try:
            curve = await asyncio.to_thread(self._past.curve, point, span, now)
        except (StoreFault, InputError) as error:
            self._trouble(error)
            return
        known = [value for _, value in curve if value is not None]
        each = lasting(SPANS[span][1].total_seconds())
        words = f"means of {each}, from {min(known):,.1f} to {max(known):,.1f}" if known else "nothing was measured then"
        self._words.set_content(f'<p class="foot">{words}</p>')
        options = drawn({said(point): curve}, self._hub.zone, now, dark=self._dark())
        self._chart.options.clear()
        self._chart.options.update(options)
        self._chart.update()

    def _trouble(self, error: Exception) -> None:
        self._words.set_content('<p class="foot">The history cannot be read now.</p>')
        del error
