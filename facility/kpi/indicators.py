"""Indicators: the key figures of a span, from what its meters counted; each says what it is made of, or why nobody knows it."""

from __future__ import annotations

from facility.kpi import effectiveness
from facility.kpi.effectiveness import CATEGORY, PLACES, named
from facility.kpi.figure import Figure
from facility.kpi.metered import Metered
from facility.site import Site

GENERATION = "a meter of each solar plant (`metered: true`)"
"""What is needed where energy is made on site."""
WATER = "a meter of water, `sustainability.water_meters`"
HEAT = "a meter of heat that is used outside, `sustainability.heat_meters`"
READINGS = "readings of the meters: none was believed in this time"


def indicators(site: Site, metered: Metered, *, annual: bool) -> tuple[Figure, ...]:
    """The figures of one span; `annual` says that it is a whole year, without which they are interim."""
    return (
        *_power(site, metered, annual=annual),
        *_reuse(metered, annual=annual),
        _renewable(site, metered, annual=annual),
        _carbon(site, metered, annual=annual),
        *_water(metered, annual=annual),
    )


def _power(site: Site, metered: Metered, *, annual: bool) -> tuple[Figure, Figure]:
    told = site.sustainability
    (total, it), covered = metered.sums(metered.total_kwh, metered.it_kwh)
    where = told.it_metered_at
    category = None if where is None else CATEGORY[where]
    says = f"of {_kwh(total)} in all and {_kwh(it)} of pools" if total is not None and it is not None else ""
    says += f", measured at {PLACES[where]}" if where and says else ""
    says += "; network and storage in the halls' base load count as overhead" if says and any(hall.base_kw for hall in site.halls.values()) else ""
    says += "; without a category: `sustainability.it_metered_at` does not say where pools are measured" if says and where is None else ""
    value = effectiveness.pue(total, it)
    unknown = "" if value is not None else _lacking(metered, (GENERATION, metered.total_kwh is None))
    pue = Figure("pue", named("PUE", category, annual=annual), value, "", "ISO/IEC 30134-2, clauses 5, 6 and 9", says, unknown, covered)
    stated = "" if told.design_pue is not None else "`sustainability.design_pue` in the site file"
    design = Figure("design_pue", "dPUE", told.design_pue, "", "ISO/IEC 30134-2, clause 9", "as the site file states it", stated)
    return pue, design if told.design_pue is not None else Figure("design_pue", "dPUE", None, "", design.source, "", stated)


def _reuse(metered: Metered, *, annual: bool) -> tuple[Figure, Figure]:
    (reused, total, it), covered = metered.sums(metered.reused_kwh, metered.total_kwh, metered.it_kwh)
    erf, ere = effectiveness.erf(reused, total), effectiveness.ere(total, reused, it)
    lacks = (HEAT, metered.reused_kwh is None), (GENERATION, metered.total_kwh is None)
    says = f"{_kwh(reused)} of heat used outside" if reused is not None else ""
    unknown = "" if erf is not None else _lacking(metered, *lacks)
    return (
        Figure("erf", named("ERF", None, annual=annual), erf, "", "ISO/IEC 30134-6, clause 5", says, unknown, covered),
        Figure("ere", named("ERE", None, annual=annual), ere, "", "The Green Grid, white paper 29", says, unknown, covered),
    )


def _renewable(site: Site, metered: Metered, *, annual: bool) -> Figure:
    bought = site.sustainability.renewables
    (drawn, solar, total), covered = metered.sums(metered.drawn_kwh, metered.own_solar_kwh, metered.total_kwh)
    shares = bought.guarantees_of_origin_share, bought.power_purchase_share
    value, says = None, ""
    if drawn is not None and solar is not None and total is not None and shares[0] is not None and shares[1] is not None:
        value = effectiveness.ref((shares[0] + shares[1]) * drawn + solar, total)
        says = f"guarantees of origin {shares[0]:.0%} and power purchase {shares[1]:.0%} of what was drawn, {_kwh(solar)} made on site and used"
    unstated = "`sustainability.renewables`: both shares, 0 where there is no such contract", None in shares
    unknown = "" if value is not None else _lacking(metered, unstated, (GENERATION, metered.total_kwh is None))
    return Figure("ref", named("REF", None, annual=annual), value, "", "ISO/IEC 30134-3, clause 5", says, unknown, covered)


def _carbon(site: Site, metered: Metered, *, annual: bool) -> Figure:
    (carbon, it), covered = metered.sums(metered.carbon_kg, metered.it_kwh)
    where = site.sustainability.it_metered_at
    value = effectiveness.cue(carbon, it)
    says = f"{carbon:,.1f} kg, where the energy was drawn (no contract lessens it), and of fuel" if carbon is not None else ""
    unknown = "" if value is not None else _lacking(metered, ("the carbon intensity of the grid", metered.carbon_kg is None))
    name = named("CUE", None if where is None else CATEGORY[where], annual=annual)
    return Figure("cue", name, value, "kg/kWh", "ISO/IEC 30134-8, clause 5", says, unknown, covered)


def _water(metered: Metered, *, annual: bool) -> tuple[Figure, Figure]:
    """Of category 1, all that came in; of category 2, less what left to be used again (30134-9, clause 6)."""
    (came, left, it), covered = metered.sums(metered.water_in_m3, metered.water_out_m3, metered.it_kwh)
    used = None if came is None or left is None else came - left
    unknown = _lacking(metered, (WATER, metered.water_in_m3 is None)) if effectiveness.wue(came, it) is None else ""
    source = "ISO/IEC 30134-9, clauses 5 and 6"
    first, second = (
        "" if came is None else f"{came:,.2f} m3 came in",
        "" if came is None or left is None else f"{came:,.2f} m3 came in, {left:,.2f} m3 left to be used again",
    )
    return (
        Figure("wue1", named("WUE", 1, annual=annual), effectiveness.wue(came, it), "l/kWh", source, first, unknown, covered),
        Figure("wue2", named("WUE", 2, annual=annual), effectiveness.wue(used, it), "l/kWh", source, second, unknown, covered),
    )


def _lacking(metered: Metered, *lacks: tuple[str, bool]) -> str:
    """What is needed for a figure that is not known; readings where everything else is there."""
    found = [what for what, missing in lacks if missing]
    return f"needs {' and '.join(found or [READINGS])}" if len(metered.hours) else "no time has passed"


def _kwh(energy_kwh: float | None) -> str:
    return "" if energy_kwh is None else f"{energy_kwh:,.1f} kWh"
