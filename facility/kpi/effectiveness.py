"""Effectiveness: the ratios of ISO/IEC 30134 (in Europe EN 50600-4). Sums of one span in, a ratio out; what is not known stays None.

    PUE = E_DC / E_IT                             power usage effectiveness        part 2, clause 5
    ERF = E_reuse / E_DC                          energy reuse factor              part 6, clause 5
    ERE = (E_DC - E_reuse) / E_IT                 energy reuse effectiveness       The Green Grid, white paper 29: (1 - ERF) PUE
    REF = E_ren / E_DC                            renewable energy factor          part 3, clause 5
    CUE = CO2 / E_IT                              carbon usage effectiveness       part 8, clause 5
    WUE = W / E_IT                                water usage effectiveness        part 9, clause 5

| symbol | name | unit |
|---|---|---|
| E_DC | all energy that the data centre used: imported, less exported, made on site, less what batteries hold more | kWh |
| E_IT | energy of the information technology, where `it_metered_at` says that it is measured | kWh |
| E_reuse | heat that left to be used outside of the data centre | kWh |
| E_ren | renewable energy: contracts with guarantees of origin, power purchase agreements, made on site | kWh |
| CO2 | of the energy imported and of fuel burnt on site | kg |
| W | water | l |

A ratio is of the sums of its span and never a mean of shorter spans' ratios: an hour at little load would count as much as one at full. The
standard's figures are of a year; over less than that they are interim (`named`).
"""

from __future__ import annotations

from typing import Final, Literal

ItMeteredAt = Literal["ups-output", "pdu-output", "equipment-input"]
"""Where the energy of the information technology is measured."""

CATEGORY: Final[dict[ItMeteredAt, int]] = {"ups-output": 1, "pdu-output": 2, "equipment-input": 3}
"""The category of a PUE by that (part 2, clause 6: basic, intermediate, advanced)."""
PLACES: Final[dict[ItMeteredAt, str]] = {
    "ups-output": "the output of the UPS",
    "pdu-output": "the output of the PDUs",
    "equipment-input": "the input of the equipment",
}
"""The same in words."""


def ratio(part: float | None, whole: float | None) -> float | None:
    """`part` by `whole`; None where either is not known, or there is no whole.

    >>> ratio(3.0, 2.0), ratio(None, 2.0), ratio(3.0, 0.0)
    (1.5, None, None)
    """
    return None if part is None or whole is None or whole <= 0 else part / whole


def pue(total_kwh: float | None, it_kwh: float | None) -> float | None:
    """Power usage effectiveness (30134-2); below 1 only where meters err."""
    return ratio(total_kwh, it_kwh)


def erf(reused_kwh: float | None, total_kwh: float | None) -> float | None:
    """Energy reuse factor (30134-6), 0 to 1."""
    return ratio(reused_kwh, total_kwh)


def ere(total_kwh: float | None, reused_kwh: float | None, it_kwh: float | None) -> float | None:
    """Energy reuse effectiveness, as The Green Grid has it: what a PUE leaves out."""
    return None if total_kwh is None or reused_kwh is None else ratio(total_kwh - reused_kwh, it_kwh)


def ref(renewable_kwh: float | None, total_kwh: float | None) -> float | None:
    """Renewable energy factor (30134-3), 0 to 1: what was made or bought beyond one's own use counts for nothing."""
    found = ratio(renewable_kwh, total_kwh)
    return None if found is None else min(found, 1.0)


def cue(carbon_kg: float | None, it_kwh: float | None) -> float | None:
    """Carbon usage effectiveness (30134-8), kg/kWh."""
    return ratio(carbon_kg, it_kwh)


def wue(water_m3: float | None, it_kwh: float | None) -> float | None:
    """Water usage effectiveness (30134-9), l/kWh, which is m3/MWh."""
    return None if water_m3 is None else ratio(1000 * water_m3, it_kwh)


def named(figure: str, category: int | None, *, annual: bool) -> str:
    """A figure's name with its category, and an `i` before it where it is interim (part 2, clause 9).

    >>> named("PUE", 2, annual=False), named("WUE", None, annual=True)
    ('iPUE2', 'WUE')
    """
    return f"{'' if annual else 'i'}{figure}{'' if category is None else category}"
