"""Rules of the connection, its tariff and the calendar."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from importlib import resources

from facility.config.rules.parts import Breach, Known, expand


def grid(site: Known) -> Iterator[Breach]:
    """Windows that overlap."""
    spans: list[tuple[str, str]] = []
    for window in expand(site, ("grid", "limit_windows", "*")):
        begin, end = (site.get(*window, key) for key in ("from_local", "to_local"))
        if begin is None or end is None or end <= begin:
            continue
        for a, z in spans:
            if begin < z and a < end:
                yield (*window, "from_local"), f"{begin}-{end} overlaps {a}-{z}", "windows that do not overlap"
        spans.append((begin, end))


def reserves(site: Known) -> Iterator[Breach]:
    """Assets that share an id where reserves tell them apart by it."""
    for kind, other in (("batteries", "pools"), ("cooling_plants", "pools"), ("cooling_plants", "batteries")):
        if site.ids("grid", "reserves"):
            for name in site.ids(kind):
                if name in site.ids(other):
                    yield (kind, name), f"{other} has a `{name}` too", "another id: with reserves, what holds them needs a name of its own"


def export(site: Known) -> Iterator[Breach]:
    """Prices of what may not be given back."""
    keys = ("export_price_per_mwh", "export_fee_per_mwh")
    price, fee = (site.get("tariff", key) for key in keys)
    if price is not None and fee is not None:
        yield ("tariff", keys[1]), f"{fee}, beside {keys[0]}", "one of the two: a price, or a fee off the energy price"
    for key, value in zip(keys, (price, fee), strict=True):
        if value is not None and site.get("grid", "export_limit_kw") == 0:
            yield ("tariff", key), f"{value}, and nothing may be given back", "a grid.export_limit_kw above 0, or leave it out"


def peaks(site: Known) -> Iterator[Breach]:
    """Demand charges that contradict each other."""
    price = site.get("tariff", "peak_price_per_kw")
    if price and site.ids("tariff", "demand_charges"):
        yield ("tariff", "peak_price_per_kw"), f"{price}, beside demand_charges", "one of the two: a demand charge of all day is the same"
    for charge in expand(site, ("tariff", "demand_charges", "*")):
        share, highest = (site.get(*charge, key) for key in ("ratchet_share", "highest_of_year_kw"))
        if share and highest == 0:
            yield (*charge, "ratchet_share"), f"{share} of nothing", "give highest_of_year_kw, the highest mean of the past months"


def times(site: Known) -> Iterator[Breach]:
    """Zones and times that do not exist."""
    zone = site.get("timezone")
    zones = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    if zone is not None and zone not in zones:
        close = get_close_matches(zone, zones, 1)
        yield ("timezone",), f"no time zone `{zone}`", f"an IANA zone such as {close[0] if close else 'Europe/Berlin'}"
    for path in expand(site, ("sample_jobs", "*", "submit_local")):
        if site.get(*path) == "24:00":
            yield path, "24:00, which is no time of a day", "from 00:00 to 23:59"
