"""A tank of chilled water beside a plant, that does what its plant was last told, as far as its cold and the heat allow."""

from __future__ import annotations

from facility.site import ThermalStore


class Tank:
    """`stored_kwh` of cold, and the `charge_kw` of the last step (negative: it takes heat)."""

    def __init__(self, store: ThermalStore) -> None:
        self.store = store
        self.stored_kwh = store.start_share * store.capacity_kwh
        self.wanted_kw = self.charge_kw = 0.0

    def step(self, seconds: float, heat_kw: float, spare_kw: float) -> None:
        """Go on for `seconds` beside halls that give off `heat_kw` and a plant with `spare_kw` left (negative: it lacks that)."""
        store, hours = self.store, seconds / 3600
        kept_kwh = self.stored_kwh * (1 - store.loss_share_per_h) ** hours
        least_kw = -min(store.discharge_kw, heat_kw, kept_kwh / hours if hours else 0.0)
        most_kw = min(store.charge_kw, spare_kw, (store.capacity_kwh - kept_kwh) / hours if hours else 0.0)
        self.charge_kw = max(least_kw, min(self.wanted_kw, most_kw))
        self.stored_kwh = kept_kwh + self.charge_kw * hours
