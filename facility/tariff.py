"""The tariff's calendar: which instants its windows hold, and what each step of a plan costs by them.

    paid = (energy + fees + network fee) * (1 + tax)        per kWh drawn;  energy comes from a file, else from the site

The one place where local time is money. Windows begin and end at quarters of an hour of the site's local clock, so a day of 23
or 25 hours has as many quarters as it has; every zone is a whole number of quarters off UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from facility.inputs.series import Series
from facility.site import DemandCharge, Site, Window
from facility.steps import Edges, as_datetime64
from facility.windows import inside
from models.horizon import Floats

QUARTER = timedelta(minutes=15)
ALL = "peak"
"""The demand charge that `peak_price_per_kw` stands for: every interval of the month."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def holds(window: Window, local: datetime) -> bool:
    """Whether `local`, a time of the site's clock, lies in `window`."""
    return (
        inside(window, f"{local:%H:%M}")
        and (window.weekdays is None or WEEKDAYS[local.weekday()] in window.weekdays)
        and (window.months is None or local.month in window.months)
        and (window.dates is None or local.date().isoformat() in window.dates)
    )


def quarters(site: Site, edges: Edges, value: Callable[[datetime], float]) -> Series:
    """`value`, a function of the site's local time, at every quarter of an hour of `edges`."""
    first = edges[0].astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    local, begins, ends = _quarters(first, int((edges[-1] - first) / QUARTER) + 1, site.timezone)
    return Series("site file", "", begins, ends, np.array([value(instant) for instant in local], float))


@lru_cache(maxsize=8)
def _quarters(first: datetime, count: int, timezone: str) -> tuple[tuple[datetime, ...], np.ndarray, np.ndarray]:
    """`count` quarters of an hour from `first` on: their beginnings by the local clock, and both ends; a cycle asks for the same ones often."""
    zone, start = ZoneInfo(timezone), [first + i * QUARTER for i in range(count)]
    begins = as_datetime64(start)
    return tuple(instant.astimezone(zone) for instant in start), begins, begins + np.timedelta64(QUARTER)


def by_quarter(site: Site, edges: Edges, value: Callable[[datetime], float]) -> Floats:
    """Means over each step of `value`, a function of the site's local time that is constant in quarters of an hour, shape (T,)."""
    return np.asarray(quarters(site, edges, value).means(as_datetime64(edges)), float)


def energy_price_per_mwh(site: Site, edges: Edges) -> Floats:
    """The site's own energy price, money/MWh, shape (T,)."""
    tariff = site.tariff
    hourly = tariff.energy_price_by_hour_per_mwh or (tariff.energy_price_per_mwh or 0.0,) * 24

    def price(local: datetime) -> float:
        return next((w.energy_price_per_mwh for w in tariff.windows if holds(w, local)), hourly[local.hour])

    return by_quarter(site, edges, price)


def fees_per_mwh(site: Site, edges: Edges, energy_per_mwh: Floats) -> Floats:
    """What is paid on top of `energy_per_mwh`: fees, network fees, and the tax on all of it, money/MWh, shape (T,)."""
    tariff = site.tariff

    def network(local: datetime) -> float:
        return next((w.fee_per_mwh for w in tariff.network_fee_windows if holds(w, local)), 0.0)

    fees = tariff.fees_per_mwh + by_quarter(site, edges, network)
    return np.asarray(fees + tariff.tax_share * (energy_per_mwh + fees), float)


def standing_charge(site: Site, edges: Edges) -> float:
    """The horizon's share of the standing charge, money: each hour has its share of its own month."""

    def share(local: datetime) -> float:
        return timedelta(hours=1) / _left(_first(local))

    hours = np.array([(b - a) / timedelta(hours=1) for a, b in pairwise(edges)])
    return site.tariff.standing_charge_per_month * float(by_quarter(site, edges, share) @ hours)


def charges(site: Site) -> dict[str, DemandCharge]:
    """The site's demand charges by id."""
    price = site.tariff.peak_price_per_kw
    return {ALL: DemandCharge(price_per_kw=price)} if price else site.tariff.demand_charges


def paced(site: Site, edges: Edges) -> Site:
    """`site` with demand charges for a plan of some days of a month: the share of them that its steps have of what is left of the month.

    A peak is paid for once and used on all days to come. Where these are alike, what a kW more saves on each of them is to be held against
    such a share, and the last days against the whole; a plan that held one day against the whole would keep too low at first, and would have to
    pay for more later all the same. Charges of a few dates (coincident peaks) stay whole. Shares are the same all through a local day.
    """
    told = charges(site)
    if not told:
        return site
    today = edges[0].astimezone(ZoneInfo(site.timezone)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    share = min((edges[-1] - edges[0]) / _left(today), 1.0)
    less = {
        name: charge if charge.dates is not None else charge.model_copy(update={"price_per_kw": charge.price_per_kw * share})
        for name, charge in told.items()
    }
    return site.model_copy(update={"tariff": site.tariff.model_copy(update={"peak_price_per_kw": 0.0, "demand_charges": less})})


def month_share(site: Site, start: datetime, end: datetime, month: str) -> float:
    """How much of a local month, such as 2023-07, lies between two instants."""
    first = datetime.fromisoformat(f"{month}-01").replace(tzinfo=ZoneInfo(site.timezone))
    begins, ends = max(start, first), min(end, first.astimezone(UTC) + _left(first))
    return max((ends - begins) / _left(first), 0.0)


def _first(local: datetime) -> datetime:
    """The beginning of a local month."""
    return local.replace(day=1, hour=0, minute=0, fold=0)


def _left(local: datetime) -> timedelta:
    """What is left of a local month."""
    after = (_first(local) + timedelta(days=32)).replace(day=1)
    return after.astimezone(UTC) - local.astimezone(UTC)


def billing_interval(site: Site, instant: datetime) -> datetime:
    """The beginning of the billing interval that `instant` lies in, UTC: aligned to the site's wall clock."""
    local = instant.astimezone(ZoneInfo(site.timezone))
    into = timedelta(minutes=local.minute % site.tariff.billing_interval_min, seconds=local.second, microseconds=local.microsecond)
    return (instant - into).astimezone(UTC)


def in_window(site: Site, window: Window, interval: datetime) -> bool:
    """Whether any of the billing interval that begins at `interval` lies in `window`."""
    zone, length = ZoneInfo(site.timezone), timedelta(minutes=site.tariff.billing_interval_min)
    begins = [interval]
    while begins[-1] + QUARTER < interval + length:
        begins.append(begins[-1] + QUARTER)
    return any(holds(window, begin.astimezone(zone)) for begin in begins)


def billing_intervals(site: Site, edges: Edges) -> Iterator[tuple[datetime, list[tuple[int, float]]]]:
    """Each billing interval that the steps touch: its beginning, and the seconds of each step inside it, (step, s)."""
    length = timedelta(minutes=site.tariff.billing_interval_min)
    start, t = billing_interval(site, edges[0]), 0
    while start < edges[-1]:
        while edges[t + 1] <= start:
            t += 1
        inside, u = [], t
        while u < len(edges) - 1 and edges[u] < start + length:
            inside.append((u, (min(edges[u + 1], start + length) - max(edges[u], start)).total_seconds()))
            u += 1
        yield start, inside
        start += length
