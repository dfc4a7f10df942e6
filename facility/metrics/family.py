"""Families: metrics of one site, put together with the library's own classes; every series carries the site's id.

Names follow Prometheus' conventions: `facility_`, what it is of, what it is, the base unit (watts, joules, seconds, celsius, ratio), `_total`
for what only rises. Money has no base unit: it is in the currency of its label. A value that nobody knows is a series that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
)

from facility.daemon.tally import SECONDS, Distribution

W_PER_KW, J_PER_KWH = 1000.0, 3.6e6
Row = tuple[tuple[str, ...], float | None]
"""The values of a series' labels, and its own."""


class Families:
    """Metrics of the site `site`; `says` is the help that people read beside a metric."""

    def __init__(self, site: str) -> None:
        self._site = site

    def gauge(self, name: str, says: str, rows: Iterable[Row], labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
        """What is now."""
        family = GaugeMetricFamily(f"facility_{name}", says, labels=("site", *labels))
        for values, value in rows:
            if value is not None:
                family.add_metric((self._site, *values), value)
        return family

    def one(self, name: str, says: str, value: float | None) -> GaugeMetricFamily:
        """What is now, of the whole site."""
        return self.gauge(name, says, [((), value)])

    def counter(self, name: str, says: str, rows: Iterable[Row], labels: tuple[str, ...] = ()) -> CounterMetricFamily:
        """What only rises, since the process began; `_total` is added to the name."""
        family = CounterMetricFamily(f"facility_{name}", says, labels=("site", *labels))
        for values, value in rows:
            if value is not None:
                family.add_metric((self._site, *values), value)
        return family

    def counts(self, name: str, says: str, label: str, counted: Mapping[str, int], always: Iterable[str] = ()) -> CounterMetricFamily:
        """Counts by one label; those of `always` are there from the beginning, so that the first one shows as a rise."""
        return self.counter(name, says, (((key,), counted.get(key, 0)) for key in dict.fromkeys((*always, *sorted(counted)))), (label,))

    def times(
        self, name: str, says: str, rows: Iterable[tuple[tuple[str, ...], Distribution]], labels: tuple[str, ...] = ()
    ) -> HistogramMetricFamily:
        """Times, by bucket."""
        family = HistogramMetricFamily(f"facility_{name}", says, labels=("site", *labels))
        for values, told in rows:
            buckets = [(str(end) if isfinite(end) else "+Inf", float(count)) for end, count in zip(SECONDS, told.at_most, strict=True)]
            family.add_metric((self._site, *values), buckets, told.sum_s)
        return family

    def state(self, name: str, says: str, states: Mapping[str, bool]) -> StateSetMetricFamily:
        """Which one of several states it is in; the label has the metric's own name."""
        family = StateSetMetricFamily(f"facility_{name}", says, labels=("site",))
        family.add_metric((self._site,), dict(states))
        return family

    def info(self, name: str, says: str, **facts: str) -> InfoMetricFamily:
        """What stays as it is; `_info` is added to the name."""
        family = InfoMetricFamily(f"facility_{name}", says, labels=("site",))
        family.add_metric((self._site,), facts)
        return family
