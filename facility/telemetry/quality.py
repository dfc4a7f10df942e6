"""Quality: what of everything that was told is believed, and what stands in for the rest.

    own readings (`belief`) -> several of one quantity (`redundancy`) -> sums against meters (`balance`) -> `stand_in`

So each later step uses only what the ones before believe, and a value that is derived carries the worst verdict of its inputs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from facility.site import Site
from facility.telemetry.balance import Balances
from facility.telemetry.belief import Belief, belief
from facility.telemetry.lasting import Lasting
from facility.telemetry.readings import Readings
from facility.telemetry.redundancy import agreed, astray
from facility.telemetry.stand_in import StandIns
from facility.verdict import Doubt, Verdict

NEVER = frozenset({"awaited", "unheard"})
OUTDOOR = "site/weather/outdoor/temperature_c"


@dataclass(frozen=True)
class Believed:
    """Beliefs by the key of each quantity, doubts by that of each sensor that is not good, and who is not heard."""

    beliefs: Mapping[str, Belief]
    doubts: Mapping[str, Doubt]
    stale: tuple[str, ...]


class Quality:
    """Follows the readings of a site. `judge` is to be asked with rising instants."""

    def __init__(self, site: Site, readings: Readings) -> None:
        self._site, self._readings = site, readings
        self._balances, self._stand_ins = Balances(site), StandIns(site)
        self._twins: defaultdict[str, list[str]] = defaultdict(list)
        for key, sensor in readings.sensors.items():
            if sensor.redundant_to:
                self._twins[sensor.redundant_to].append(key)
        self._drifts, self._since = Lasting(), Lasting()
        self._began: datetime | None = None

    def listen(self, now: datetime) -> None:
        """Know since when the process listens: sensors are awaited from then on."""
        if self._began is None:
            self._began = now

    def judge(self, now: datetime, caps_w: Mapping[str, int]) -> Believed:
        """Judge everything at `now`; `caps_w` is the highest cap that agents report, by pool."""
        self.listen(now)
        began = self._began or now
        readings = self._readings
        own = {key: belief(track, now, readings.patience(key), began) for key, track in readings.tracks.items()}
        stale = tuple(key for key, it in own.items() if it.value is None and not self._absent(key, it))
        one = {key: it for key, it in own.items() if not readings.sensors[key].redundant_to}
        for key, twins in self._twins.items():
            sensor, told = readings.sensors[key], {name: own[name] for name in (key, *twins)}
            one[key] = agreed(sensor, told)
            own |= astray(sensor, told, now, self._drifts)
        one |= self._balances.broken(one, now)
        self._stand_in(one, now, caps_w)
        seen = own | one
        for key, twins in self._twins.items():
            for name in (key, *twins):
                if name != key or one[key].verdict == Verdict.GOOD:
                    seen[name] = own[name]._replace(value=one[key].value, measured=one[key].measured, stands_in="those beside it")
        doubts = {}
        for key, it in seen.items():
            since = self._since.since(key, now, holds=it.verdict != Verdict.GOOD)
            if since is not None and not self._absent(key, it):
                doubts[key] = Doubt(key, it.verdict, it.kind, it.says, since, it.value, it.stands_in, it.measured, it.about)
        return Believed(one, doubts, stale)

    def _absent(self, key: str, it: Belief) -> bool:
        """Whether there is no such sensor, as the site file says, so that its silence is no doubt."""
        return self._readings.sensors[key].absent and it.kind in NEVER

    def _stand_in(self, one: dict[str, Belief], now: datetime, caps_w: Mapping[str, int]) -> None:
        """Put in what stands in, from the leaves of the tree to the meter."""
        site, put = self._site, self._stand_ins
        highs_kw: dict[str, float] = {}
        for name, pool in site.pools.items():
            key = f"{pool.hall}/pool/{name}/it_power_kw"
            if not one[key].measured:
                one[key] = put.pool(one[key], name, caps_w, one.get(f"{pool.hall}/pool/{name}/gpu_power_kw"))
            highs_kw[name] = one[key].high or 0.0
        outdoor_c = one[OUTDOOR].value if one[OUTDOOR].measured else None
        for name in site.cooling_plants:
            if not one[key := f"site/cooling/{name}/power_kw"].measured:
                one[key] = put.cooling(one[key], name, highs_kw, outdoor_c)
        for name in site.batteries:
            if not one[key := f"site/battery/{name}/power_kw"].measured:
                one[key] = put.battery(one[key], name)
        for balance in self._balances.all:
            if not one[balance.meter].measured:
                one[balance.meter] = put.feeder(one[balance.meter], balance, one)
        self._stand_in_slow(one, now)

    def _stand_in_slow(self, one: dict[str, Belief], now: datetime) -> None:
        """Put in what stands in for temperatures and stores, from what was heard last."""
        site, put = self._site, self._stand_ins
        for name, hall in site.halls.items():
            if hall.thermal is not None and not one[key := f"{name}/hall/{name}/air_temperature_c"].measured:
                last_c, since = self._last(key, one[key], now)
                one[key] = one[key] if last_c is None else put.hall(one[key], name, last_c, since, now)
        for name in site.batteries:
            if not (it := one[key := f"site/battery/{name}/energy_kwh"]).measured and it.kind != "awaited":
                one[key] = put.battery_energy(it, name, *self._last(key, it, now), now)
        for name, plant in site.cooling_plants.items():
            key = f"site/cooling/{name}/stored_kwh"
            if plant.store is not None and not (it := one[key]).measured and it.kind != "awaited":
                one[key] = put.tank(it, name, *self._last(key, it, now), now)
        if not one[OUTDOOR].measured:
            last_c, since = self._last(OUTDOOR, one[OUTDOOR], now)
            one[OUTDOOR] = one[OUTDOOR] if last_c is None else put.outdoors(one[OUTDOOR], last_c, since)

    def _last(self, key: str, it: Belief, now: datetime) -> tuple[float | None, datetime]:
        """What was told of a quantity last, and the instant from which it is not believed any more."""
        tracks = [self._readings.tracks[name] for name in (key, *self._twins.get(key, ()))]
        heard = [(track.newest_at, track.used) for track in tracks if track.newest_at is not None]
        if not heard:
            return None, now
        at, value = max(heard)
        stuck = self._since.since(f"stuck {key}", now, holds=it.kind == "stuck")
        return value, at if stuck is None else stuck
