"""Base load: what the halls draw beside GPUs and cooling, where somebody tells another one than the site file's."""

from __future__ import annotations

from facility.site import Site
from facility.verify import fallback_caps, fits


def base_kw(site: Site) -> float:
    """The base load of all halls by the site file, kW."""
    return sum(hall.base_kw for hall in site.halls.values())


def with_base(site: Site, load_kw: float) -> Site:
    """The site with `load_kw` shared among its halls as the file's base load is, equally where it has none."""
    all_kw = base_kw(site)
    shares = {name: hall.base_kw / all_kw if all_kw else 1 / len(site.halls) for name, hall in site.halls.items()}
    halls = {name: hall.model_copy(update={"base_kw": shares[name] * load_kw}) for name, hall in site.halls.items()}
    return site.model_copy(update={"halls": halls})


def too_heavy(site: Site, load_kw: float) -> str | None:
    """Say what breaks where the halls draw `load_kw` and every GPU its fallback cap; None where nothing does that would not anyway."""
    caps, hottest_c = fallback_caps(site), max(site.weather.outdoor_by_hour_c)
    broken = {v.asset: v for v in fits(with_base(site, load_kw), caps, hottest_c)}
    new = broken.keys() - {v.asset for v in fits(site, caps, hottest_c)}
    if load_kw <= base_kw(site) or not new:
        return None
    return f"with {load_kw:g} kW the fallback caps would not fit under {min(new)}; if it is true, raise the halls' base_kw in the site file"
