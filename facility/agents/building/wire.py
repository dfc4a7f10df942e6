"""Wire: a set-point as the gateway counts it, in the payloads that it takes and tells."""

from __future__ import annotations

from facility.agents.building.point import Terms
from facility.site.set_points import SetPointRule
from facility.telemetry.paths import MISSING, path
from facility.telemetry.readings import Refusal
from facility.telemetry.scalars import decimal, scalar
from facility.telemetry.units import conversion

HOLE = "{value}"
UNITS = {"temperature_c": "degC", "supply_c": "degC", "store_kw": "kW", "power_kw": "kW", "limit_kw": "kW"}
"""The unit of what is ordered, by the last level of `SetPointRule.order`."""


class Wire:
    """How one point is written and read."""

    def __init__(self, rule: SetPointRule) -> None:
        self.rule = rule
        into = conversion(rule.unit, UNITS[rule.order.rpartition("/")[2]])
        assert into is not None  # the site file's reader has refused what does not fit
        self._scale, self._offset = into.scale * rule.scale, into.offset
        self._path = None if rule.read_back is None or rule.read_back.value is None else path(rule.read_back.value)

    @property
    def terms(self) -> Terms:
        """What holds for the point."""
        rule, step = self.rule, abs(self._scale) if self.rule.whole else 0.0
        return Terms(
            rule.low,
            rule.high,
            None if rule.most_per_min is None else rule.most_per_min / 60,
            max(rule.within, step),
            rule.answers_s,
            rule.yields_s,
            step,
            rule.read_back is not None,
            rule.release is not None,
        )

    def payload(self, value: float | None) -> bytes:
        """What is sent for a value in the order's unit, or to hand the point back."""
        if value is None:
            return (self.rule.release or "").encode()
        count = (value - self._offset) / self._scale
        text = str(round(count)) if self.rule.whole else f"{count:.6f}".rstrip("0").rstrip(".")
        return self.rule.payload.replace(HOLE, "0" if text == "-0" else text).encode()

    def read(self, payload: bytes) -> float | None:
        """What a read-back says, in the order's unit; None where it says nothing that is a number."""
        try:
            told = scalar(payload)
        except Refusal:
            return None
        value = told if self._path is None else self._path.one(told)
        count = None if value is MISSING else decimal(value)
        return None if count is None else self._scale * count + self._offset
