"""A battery that does what it was last told, as far as its power and its energy allow.

    energy += efficiency * charge - discharge / efficiency       min_share * capacity <= energy <= capacity

Without a valid order it rests.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from facility.simulate.obedience import Obedience
from facility.site import Battery

if TYPE_CHECKING:
    from facility.bus.messages import BatteryDesired


class BatteryPlant:
    """One battery: `power_kw` at its terminals (positive charges) in the last step, and `energy_kwh` stored."""

    def __init__(self, battery: Battery) -> None:
        self.battery = battery
        self.energy_kwh = battery.start_share * battery.capacity_kwh
        self.power_kw = self.wanted_kw = 0.0
        self.orders = Obedience()

    def obey(self, command: BatteryDesired, now: datetime) -> str | None:
        """Apply a command; return why it was refused, None where it was taken."""
        refusal = self.orders.take(command, now)
        if refusal is None:
            self.wanted_kw = command.power_kw
        return refusal

    def step(self, seconds: float, now: datetime) -> None:
        """Charge or discharge for `seconds` (above 0); rest once nothing valid says otherwise."""
        if self.orders.silent(now):
            self.wanted_kw = 0.0
        battery, hours = self.battery, seconds / 3600
        room_kw = (battery.capacity_kwh - self.energy_kwh) / battery.efficiency / hours
        left_kw = (self.energy_kwh - battery.min_share * battery.capacity_kwh) * battery.efficiency / hours
        most_kw, least_kw = min(battery.charge_kw, max(0.0, room_kw)), -min(battery.discharge_kw, max(0.0, left_kw))
        self.power_kw = max(least_kw, min(most_kw, self.wanted_kw))
        gain = battery.efficiency if self.power_kw > 0 else 1 / battery.efficiency
        self.energy_kwh += gain * self.power_kw * hours
