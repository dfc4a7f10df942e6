"""The site file's reader: what is shipped loads, and every fault is told at once with its place, finding and remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import ValidationError

from facility.config import assumed_curves, load_site, schema
from facility.config.strict_yaml import parse
from facility.errors import Fault, InputError
from facility.site import Maintenance, Part, Site
from facility.site.maintenance import EVER_SINCE, FOR_GOOD

SITES = Path(__file__).parents[2] / "site_configs"

SMALL = """\
id: small
name: Small
timezone: Europe/Berlin
currency: EUR
grid:
  import_limit_kw: 100
  limit_windows:
    - {from_local: 17:00, to_local: 20:00, import_limit_kw: 90}
    - {from_local: 20:00, to_local: 24:00, import_limit_kw: 95}
tariff: {energy_price_per_mwh: 80}
weather: {outdoor_by_hour_c: [20,20,20,20,20,20,20,20,20,20,20,20,20,20,20,20,20,20,20,20,20,20,20,20]}
gpu_models:
  a100:
    min_cap_w: 100
    max_cap_w: 400
    idle_w: 50
    curves:
      train:
        source: made up
        points:
          - {cap_w: 100, draw_w: 102, speed: 0.2}
          - {cap_w: 200, draw_w: 196, speed: 0.8}
          - {cap_w: 400, draw_w: 380, speed: 1}
      guess: {source: made up, assumed: true, points: [{cap_w: 400, draw_w: 380, speed: 1}]}
  h100:
    min_cap_w: 200
    max_cap_w: 700
    idle_w: 80
    curves:
      train: {source: made up, assumed: true, points: [{cap_w: 700, draw_w: 650, speed: 1}]}
feeders:
  root: {rating_kw: 120}
  ups: {rating_kw: 100, parent: root}
  row: {rating_kw: 90, parent: ups}
halls:
  h1:
    feeder: ups
    thermal: {heat_capacity_kwh_per_k: 5, resistance_k_per_kw: 1, start_c: 24, cooling_plant: chiller}
cooling_plants:
  chiller: {feeder: root, design_heat_kw: 80, max_heat_kw: 90, pump_kw: 3, fan_kw: 2}
pools:
  p1: {hall: h1, feeder: row, gpu_model: a100, gpus: 100, fallback_cap_w: 200}
batteries:
  b1: {feeder: root, capacity_kwh: 10, charge_kw: 5, discharge_kw: 5}
tenants:
  t1: {name: Tenant}
contracts:
  c1: {tenant: t1, kind: reserved, pool: p1, gpus: 60, curve: train}
  c2: {tenant: t1, kind: spot, pool: p1, gpus: 40, curve: train}
jobs:
  curve: train
  contract: c1
sample_jobs:
  - {submit_local: 06:30, duration_h: 2, gpus: 8, slack_h: 4, contract: c1, curve: train}
"""


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the small site with texts exchanged; each text must stand in it."""
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file = folder / "site.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def faults(file: Path, *overrides: str) -> tuple[Fault, ...]:
    """Load and return the faults."""
    with pytest.raises(InputError) as raised:
        load_site(file, overrides)
    return raised.value.faults


def line_of(text: str) -> int:
    """Return the line of the small site that begins with `text`."""
    return next(i for i, line in enumerate(SMALL.splitlines(), 1) if line.strip().startswith(text))


def test_the_small_site_loads(tmp_path: Path) -> None:
    site = load_site(written(tmp_path))
    assert site.grid.limit_windows[0].from_local == "17:00"
    assert site.sample_jobs[0].submit_local == "06:30"


# --- a file based on another ---

OVER = "based_on: site.yaml\nid: other\ngrid: {import_limit_kw: 80}\npools:\n  p1: {gpus: 101}\ntariff: {energy_price_per_mwh: 70}\n"


def over(folder: Path, text: str, *changes: tuple[str, str]) -> Path:
    written(folder, *changes)
    file = folder / "other.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_says_what_is_different_from_the_one_it_is_based_on(tmp_path: Path) -> None:
    base, site = load_site(written(tmp_path)), load_site(over(tmp_path, OVER + "sample_jobs: []\n"))
    assert (site.id, site.grid.import_limit_kw, site.pools["p1"].gpus, site.sample_jobs) == ("other", 80, 101, ())
    assert site.grid.limit_windows == base.grid.limit_windows
    assert site.pools["p1"].feeder == "row"
    same = site.model_copy(update={key: getattr(base, key) for key in ("id", "based_on", "grid", "pools", "tariff", "sample_jobs")})
    assert same == base


def test_a_file_that_a_base_names_stands_beside_the_base(tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    written(tmp_path / "bases", ("jobs:\n", "bus: {broker: mqtts://bus, ca_file: ca.pem, cert_file: own.pem}\njobs:\n"))
    file = tmp_path / "other.yaml"
    file.write_text(OVER.replace("site.yaml", "bases/site.yaml") + "bus: {cert_file: own.pem}\n", encoding="utf-8")
    bus = load_site(file).bus
    assert (bus.ca_file, bus.cert_file) == (str(tmp_path / "bases" / "ca.pem"), str(tmp_path / "own.pem"))


def test_each_fault_names_the_file_in_which_it_stands(tmp_path: Path) -> None:
    found = faults(over(tmp_path, OVER.replace("101", "9"), ("parent: ups", "parent: upps")), "grid.import_limit_kw=-1")
    row = line_of("row:")
    assert [fault.place.removeprefix(f"{tmp_path}/") for fault in found] == [
        "other.yaml: grid.import_limit_kw (--set)", "other.yaml: pools.p1.gpus (line 5)", f"site.yaml: feeders.row.parent (line {row})",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("based_on: 5\n", "other.yaml: based_on (line 1)", "5"),
        ("based_on: none.yaml\n", "none.yaml", "No such file"),
        ("id: x\nbased_on: other.yaml\n", "other.yaml: based_on (line 2)", "other.yaml is no site file by itself"),
    ],
)
def test_what_cannot_be_based_upon_is_refused(tmp_path: Path, text: str, place: str, found: str) -> None:
    (fault,) = faults(over(tmp_path, text))
    assert fault.place.endswith(place)
    assert found in fault.found


# --- what is shipped ---


@pytest.mark.parametrize("name", sorted(path.stem for path in SITES.glob("*.yaml")))
def test_a_shipped_site_loads_and_is_named_as_its_file(name: str) -> None:
    assert load_site(SITES / f"{name}.yaml").id == name


def test_phoenix_draws_what_the_trial_drew_and_its_weights_add_to_one() -> None:
    site = load_site(SITES / "phoenix-256gpu.yaml")
    curves = site.gpu_models["a100"].curves
    firm = list(site.contracts.values())
    assert sum(c.gpus * curves[c.curve or ""].points[-1].draw_w for c in firm) / 1000 == pytest.approx(94.844, abs=0.01)
    assert sum(c.weight or 0 for c in firm) == pytest.approx(1, abs=1e-12)
    assert sum(c.gpus for c in firm) == site.pools["trial"].gpus == 256
    assert all(c.value_per_gpu_h == pytest.approx(1000 * (c.weight or 0) / c.gpus, rel=1e-12) for c in firm)


def test_frankfurt_has_a_hundred_thousand_gpus_in_24_halls_and_names_every_assumed_curve_in_use() -> None:
    site = load_site(SITES / "frankfurt.yaml")
    assert sum(pool.gpus for pool in site.pools.values()) == 100_000
    assert len(site.halls) == 24
    assert all(sum(pool.hall == hall for pool in site.pools.values()) >= 2 for hall in site.halls)
    assert {name.partition("/")[0] for name in assumed_curves(site)} == {"h100", "h200", "gb200"}
    unmeasured = [c for model in site.gpu_models.values() for c in model.curves.values() if c.assumed]
    assert all("ASSUMED" in curve.source for curve in unmeasured)


def test_demo_fits_at_its_lowest_caps_and_not_quite_at_its_highest_on_the_first_ups() -> None:
    site = load_site(SITES / "demo.yaml")
    pools = [pool for pool in site.pools.values() if pool.hall == "h1"]

    def worst_kw(cap_w: int) -> float:
        return site.halls["h1"].base_kw + sum(pool.gpus * (cap_w + pool.host_run_w) for pool in pools) / 1000

    rating_kw = site.feeders["ups-1"].rating_kw
    assert worst_kw(100) < 0.8 * rating_kw
    assert rating_kw < worst_kw(400) < 1.1 * rating_kw


# --- every class of fault: its place, what was found, the remedy ---

TRAIN = "gpu_models.a100.curves.train.points"
PLANT = "cooling_plants.chiller."
ONE_LEVEL = "set_point: {levels_c: [18], usual_c: 18, cop_gain_per_k: 0.1, approach_k_per_kw: 0.01}"
WINDOW = "grid.limit_windows."
FAULTS = [
    # text, its replacement, path of the fault, beginning of its line, found, remedy
    # keys and types
    (
        "  import_limit_kw",
        "  import_limt_kw",
        "grid.import_limt_kw",
        "import_limit_kw",
        "unknown key",
        "you mean `import_limit_kw`?",
    ),
    ("  import_limit_kw: 100", "  feed: main", "grid.import_limit_kw", "grid:", "missing", "most that may be drawn, kW"),
    ("limit_kw: 100", "limit_kw: '100'", "grid.import_limit_kw", "import_limit_kw", "the text `100`", "a number, without quotes"),
    ("limit_kw: 100", "limit_kw: true", "grid.import_limit_kw", "import_limit_kw", "true", "a number"),
    ("limit_kw: 100", "limit_kw: 12:30", "grid.import_limit_kw", "import_limit_kw", "the text `12:30`", "a number"),
    ("limit_kw: 100", "limit_kw: 1e999", "grid.import_limit_kw", "import_limit_kw", "inf", "finite number"),
    ("limit_kw: 100", "limit_kw: -1", "grid.import_limit_kw", "import_limit_kw", "-1", "greater than 0"),
    ("limit_kw: 100", "limit_kw:", "grid.import_limit_kw", "import_limit_kw", "nothing", "a number"),
    ("gpus: 60", "gpus: 60.0", "contracts.c1.gpus", "c1", "60.0", "a whole number"),
    ("name: Small", "name: 12", "name", "name", "12", "text; put it in quotes"),
    ("assumed: true", "assumed: yes", "gpu_models.a100.curves.guess.assumed", "guess", "the text `yes`", "true or false"),
    ("kind: spot", "kind: sport", "contracts.c2.kind", "c2", "the text `sport`", "one of reserved, on-demand or spot"),
    ("currency: EUR", "currency: euro", "currency", "currency", "the text `euro`", "three capital letters"),
    ("17:00", "25:00", WINDOW + "0.from_local", "- {from_local: 17", "the text `25:00`", "a time of day"),
    ("  b1:", "  B 1:", "batteries.B 1", "b1", "the text `B 1`", "lower-case letters"),
    ("[20,20,", "[20,", "weather.outdoor_by_hour_c", "weather", "a list of 23", "at least 24"),
    ("{energy_price_per_mwh: 80}", "{}", "tariff", "tariff", "an empty mapping", "exactly one of"),
    ("gpus: 60, curve: train", "gpus: 60", "contracts.c1", "c1", "a mapping of", "needs a pool and a curve"),
    ("  b1: {", "  b1: 5 # {", "batteries.b1", "b1", "5", "a mapping of keys"),
    ("currency: EUR", "name: Other", "name", "name", "given twice, on lines 2 and 4", "keep one"),
    # references
    ("parent: root", "parent: rot", "feeders.ups.parent", "ups", "no `rot` in feeders", "did you mean `root`?"),
    ("feeder: ups\n", "feeder: upps\n", "halls.h1.feeder", "feeder: ups", "no `upps` in feeders", "did you mean `ups`?"),
    ("_plant: chiller", "_plant: chillr", "halls.h1.thermal.cooling_plant", "thermal", "no `chillr`", "did you mean `chiller`?"),
    ("{feeder: root, d", "{feeder: x, d", "cooling_plants.chiller.feeder", "chiller", "no `x`", "use one of root, ups, row"),
    ("hall: h1", "hall: h9", "pools.p1.hall", "p1", "no `h9` in halls", "use one of h1"),
    ("feeder: row", "feeder: raw", "pools.p1.feeder", "p1", "no `raw` in feeders", "did you mean `row`?"),
    ("gpu_model: a100", "gpu_model: a10", "pools.p1.gpu_model", "p1", "no `a10` in gpu_models", "did you mean `a100`?"),
    ("{feeder: root, c", "{feeder: x, c", "batteries.b1.feeder", "b1", "no `x`", "use one of"),
    ("tenant: t1", "tenant: t7", "contracts.c1.tenant", "c1", "no `t7` in tenants", "use one of t1"),
    ("pool: p1", "pool: p7", "contracts.c1.pool", "c1", "no `p7` in pools", "use one of p1"),
    ("60, curve: train", "60, curve: trian", "contracts.c1.curve", "c1", "model of pool `p1`", "did you mean `train`?"),
    ("  curve: train\n", "  curve: tune\n", "jobs.curve", "curve: train", "model of any pool", "use one of train, guess"),
    ("  contract: c1", "  contract: zz", "jobs.contract", "contract: c1", "no `zz` in contracts", "use one of c1, c2"),
    ("jobs:\n", "quotes: {price_per_gpu_h: {b: 2}}\njobs:\n", "quotes.price_per_gpu_h.b", "jobs:", "no `b` in gpu_models", "use one of a100"),
    ("contract: c1, c", "contract: c3, c", "sample_jobs.0.contract", "- {submit", "no `c3`", "use one of c1, c2"),
    ("c1, curve: train", "c1, curve: tran", "sample_jobs.0.curve", "- {submit", "no curve `tran`", "did you mean `train`?"),
    # the electrical tree
    ("120}", "120, parent: row}", "feeders", "feeders", "no root", "at exactly one feeder"),
    ("120}", "120, parent: row}", "feeders.root.parent", "root", "root under row under ups under root", "elsewhere"),
    ("parent: root}", "parent: root, redundancy_group: a}", "feeders.ups.redundancy_group", "ups", "`a` has no other", "of two feeders"),
    (
        "{rating_kw: 100, parent: root}\n  row: {",
        "{rating_kw: 100, parent: root, redundancy_group: a}\n  row: {redundancy_group: a, ",
        "feeders.row.redundancy_group",
        "row",
        "ups, above row, is in `a` too",
        "beside each other",
    ),
    (", parent: root", "", "feeders", "feeders", "2 roots: root, ups", "at exactly one feeder"),
    # curves and caps
    ("cap_w: 200, d", "cap_w: 100, d", TRAIN + ".1.cap_w", "- {cap_w: 200", "100 after 100", "above 100"),
    ("draw_w: 196", "draw_w: 101", TRAIN + ".1.draw_w", "- {cap_w: 200", "101 after 102", "at least 102"),
    ("speed: 0.8", "speed: 0.1", TRAIN + ".1.speed", "- {cap_w: 200", "0.1 after 0.2", "at least 0.2"),
    ("380, speed: 1}", "380, speed: 0.9}", TRAIN + ".2.speed", "- {cap_w: 400", "0.9", "1.0"),
    ("draw_w: 102", "draw_w: 104", TRAIN + ".0.draw_w", "- {cap_w: 100", "104 W under", "at most 103"),
    ("cap_w: 400, d", "cap_w: 401, d", TRAIN + ".2.cap_w", "- {cap_w: 400", "401 W", "from 100 to 400"),
    ("min_cap_w: 200", "min_cap_w: 701", "gpu_models.h100.max_cap_w", "max_cap_w: 700", "700", "at least min_cap_w, 701"),
    ("cap_w: 200}", "cap_w: 99}", "pools.p1.fallback_cap_w", "p1", "99 W", "from 100 to 400"),
    ("gpus: 100", "gpus: 99", "pools.p1.gpus", "p1", "contracts (c1, c2) take 100", "at least 100"),
    # sensors
    (
        "jobs:\n  curve",
        "sensors: {h1/hall/h1/air_temperature: {}}\njobs:\n  curve",
        "sensors.h1/hall/h1/air_temperature",
        "jobs:",
        "the site has no such sensor",
        "did you mean `h1/hall/h1/air_temperature_c`?",
    ),
    (
        "jobs:\n  curve",
        "sensors: {h1/hall/h1/air_temperature_c: {redundant: [h1/pool/p1/it_power_kw]}}\njobs:\n  curve",
        "sensors.h1/hall/h1/air_temperature_c.redundant.0",
        "jobs:",
        "h1/pool/p1/it_power_kw is another sensor already",
        "a point of its own",
    ),
    (
        "jobs:\n  curve",
        "sensors: {h1/hall/h1/air_temperature_c: {absent: true}}\njobs:\n  curve",
        "sensors.h1/hall/h1/air_temperature_c.absent",
        "jobs:",
        "a hall without this cannot be run",
        "leave out its thermal",
    ),
    # contracts
    (
        "gpus: 60, curve: train",
        f"gpus: 60, curve: train, demand_by_hour_gpus: {[0] * 23 + [61]}",
        "contracts.c1.demand_by_hour_gpus",
        "c1",
        "61 GPUs, but the contract has 60",
        "at most 60",
    ),
    (
        "jobs:\n  curve",
        "maintenance: {m: {pool: p9, gpus: 1, start: '2026-07-15T08:00Z', end: '2026-07-15T09:00Z'}}\njobs:\n  curve",
        "maintenance.m.pool",
        "jobs:",
        "no `p9` in pools",
        "use one of p1",
    ),
    (
        "jobs:\n  curve",
        "maintenance: {m: {pool: p1, gpus: 1, start: '2026-07-15T08:00Z', end: '2026-07-15T09:00Z'}}\njobs:\n  curve",
        "maintenance.m.gpus",
        "jobs:",
        "takes 1 GPUs of p1, but its contracts leave 0 of 100",
        "at most 0 at once",
    ),
    ("gpus: 100", "gpus: 100, spare_gpus: 1", "pools.p1.spare_gpus", "p1:", "1 of 100 GPUs, but contracts that may not pause take 100", "at most 0"),
    ("gpus: 100", "gpus: 100, spare_gpus: 101", "pools.p1.spare_gpus", "p1:", "101 of 100 GPUs", "at most"),
    (
        "jobs:\n  curve",
        "maintenance: {m: {pool: p1, gpus: 1, start: '2026-07-15T08:00', end: '2026-07-15T09:00Z'}}\njobs:\n  curve",
        "maintenance.m.start",
        "jobs:",
        "2026-07-15T08:00",
        "an instant with an offset",
    ),
    (
        "jobs:\n  curve",
        "maintenance: {m: {pool: p1, gpus: 1, hours: 2, earliest: '2026-07-15T08:00Z', latest: '2026-07-15T09:00Z'}}\njobs:\n  curve",
        "maintenance.m",
        "jobs:",
        "",
        "room for its hours",
    ),
    (
        "jobs:\n  curve",
        "maintenance: {m: {pool: p1, gpus: 1, hours: 2, start: '2026-07-15T08:00Z'}}\njobs:\n  curve",
        "maintenance.m",
        "jobs:",
        "",
        "either start and end, or hours, earliest and latest",
    ),
    ("gpus: 60, curve: train", "gpus: 60, slow_hours: 1, curve: train", "contracts.c1", "c1", "", "a tier or a greatest_slowdown"),
    ("gpus: 60, curve: train", "gpus: 60, tier: T6, curve: train", "contracts.c1.tier", "c1", "the text `T6`", "T4 or T5"),
    ("gpus: 60, curve: train", "gpus: 60, greatest_slowdown: 0.9, curve: train", "contracts.c1.greatest_slowdown", "c1", "0.9", "than or equal to 1"),
    # time, heat, grid
    ("Europe/Berlin", "Europe/Berln", "timezone", "timezone", "no time zone `Europe/Berln`", "Europe/Berlin"),
    ("to_local: 20:00", "to_local: 17:00", WINDOW + "0.to_local", "- {from_local: 17", "17:00", "above from_local"),
    (
        "from_local: 20:00",
        "from_local: 19:00",
        WINDOW + "1.from_local",
        "- {from_local: 20",
        "overlaps 17:00-20:00",
        "not overlap",
    ),
    ("start_c: 24", "start_c: 24, allowable_max_c: 27", "halls.h1.thermal.allowable_max_c", "thermal", "27", "above rec"),
    ("fan_kw: 2", "fan_kw: 2, free_cooling_full_below_c: 25", PLANT + "free_cooling_none_above_c", "chiller", "25", "above free"),
    (
        "fan_kw: 2",
        "fan_kw: 2, capacity_by_outdoor: [{outdoor_c: 30, share: 1}, {outdoor_c: 30, share: 0.8}]",
        PLANT + "capacity_by_outdoor.1.outdoor_c",
        "chiller",
        "30 after 30",
        "above 30",
    ),
    ("90, pump_kw: 3", "90, pump_kw: 3, stages: [{max_heat_kw: 50, cop_at_25c: 5}, {max_heat_kw: 39, cop_at_25c: 4}]",
     PLANT + "max_heat_kw", "chiller", "its stages take 89 kW", "at most 89"),
    ("90, pump_kw: 3", "90, pump_kw: 3, stages: [{max_heat_kw: 90, cop_at_25c: 1.4}]",
     PLANT + "stages.0.cop_at_25c", "chiller", "1.4", "at least the plant's cop_min, 1.5"),
    ("gpus: 100,", "gpus: 100, liquid_share: 0.8,", "pools.p1.liquid_share", "p1", "hall `h1` has no liquid loop",
     "give halls.h1.thermal.liquid_plant"),
    ("start_c: 24", "start_c: 24, liquid_plant: wet", "halls.h1.thermal.liquid_plant", "thermal", "no `wet`", "use one of chiller"),
    ("fan_kw: 2", "fan_kw: 2, store: {capacity_kwh: 50, charge_kw: 10, discharge_kw: 0}", PLANT + "store.discharge_kw", "chiller",
     "0", "greater than 0"),
    ("fan_kw: 2", "fan_kw: 2, store: {capacity_kwh: 50, charge_kw: 10, discharge_kw: 9, loss_share_per_h: 1}",
     PLANT + "store.loss_share_per_h", "chiller", "1", "less than 1"),
    ("fan_kw: 2", "fan_kw: 2, set_point: {levels_c: [18, 18], usual_c: 18, cop_gain_per_k: 0.1, approach_k_per_kw: 0.01}",
     PLANT + "set_point.levels_c", "chiller", "18 after 18", "levels that rise"),
    ("fan_kw: 2", "fan_kw: 2, set_point: {levels_c: [18, 21], usual_c: 20, cop_gain_per_k: 0.1, approach_k_per_kw: 0.01}",
     PLANT + "set_point.usual_c", "chiller", "20", "one of levels_c: 18, 21"),
    ("fan_kw: 2", "fan_kw: 2, store: {capacity_kwh: 5, charge_kw: 1, discharge_kw: 1}, " + ONE_LEVEL,
     PLANT + "set_point", "chiller", "beside a store", "a tank holds cold for a steady supply"),
    ("06:30", "24:00", "sample_jobs.0.submit_local", "- {submit", "no time of a day", "to 23:59"),
    ("b1: {", "b1: {ride_through_feeder: raw, ", "batteries.b1.ride_through_feeder", "b1", "no `raw`", "did you mean `row`?"),
    ("b1: {", "b1: {ride_through_feeder: row, ", "batteries.b1.ride_through_feeder", "b1", "for 0 min", "give ride_through_min"),
    (
        "mwh: 80}",
        "mwh: 80, peak_price_per_kw: 5, demand_charges: {a: {price_per_kw: 1}}}",
        "tariff.peak_price_per_kw",
        "tariff",
        "beside demand_charges",
        "one of the two",
    ),
    (
        "mwh: 80}",
        "mwh: 80, demand_charges: {a: {price_per_kw: 1, ratchet_share: 0.8}}}",
        "tariff.demand_charges.a.ratchet_share",
        "tariff",
        "0.8 of nothing",
        "give highest_of_year_kw",
    ),
    (
        "mwh: 80}",
        "mwh: 80, demand_charges: {a: {price_per_kw: 1, from_local: '17:05'}}}",
        "tariff.demand_charges.a.from_local",
        "tariff",
        "17:05",
        "a quarter of an hour",
    ),
    (
        "mwh: 80}",
        "mwh: 80, windows: [{energy_price_per_mwh: 1, from_local: '17:00', to_local: '16:00'}]}",
        "tariff.windows.0.to_local",
        "tariff",
        "16:00",
        "split a window over midnight",
    ),
    (
        "mwh: 80}",
        "mwh: 80, export_fee_per_mwh: 5}",
        "tariff.export_fee_per_mwh",
        "tariff",
        "nothing may be given back",
        "a grid.export_limit_kw above 0",
    ),
    (
        "mwh: 80}",
        "mwh: 80, export_fee_per_mwh: 5, export_price_per_mwh: 70}",
        "tariff.export_fee_per_mwh",
        "tariff",
        "beside export_price_per_mwh",
        "one of the two",
    ),
    (
        "import_limit_kw: 100",
        "feeds: {n: {feeder: ups, import_limit_kw: 9}}\n  import_limit_kw: 100",
        "grid.feeds.n.feeder",
        "import_limit_kw: 100",
        "`ups` hangs under",
        "a root, such as root",
    ),
    ("batteries:", "solar: {s: {feeder: raw}}\nbatteries:", "solar.s.feeder", "batteries:", "no `raw`", "did you mean `row`?"),
    ("batteries:", "gensets: {s: {feeder: raw}}\nbatteries:", "gensets.s.feeder", "batteries:", "no `raw`", "did you mean `row`?"),
    (
        "batteries:",
        "gensets: {s: {max_kw: 3}}\nsolar: {s: {peak_kw: 3}}\nbatteries:",
        "gensets.s",
        "batteries:",
        "solar plant too",
        "an id of its own",
    ),
    ("b1: {", "b1: {start_share: 0.05, ", "batteries.b1.start_share", "b1", "0.05", "at least min_share, 0.1"),
    ("batteries:", "history: {raw_days: 9, minute_days: 5}\nbatteries:", "history.minute_days", "batteries:", "5", "at least raw_days, 9"),
]


def test_caps_of_the_site_file_are_multiples_of_the_settable_step(tmp_path: Path) -> None:
    """400 W is a multiple of 40 W, 100 W and a fallback of 110 W are not; of 25 W all are."""
    file = written(tmp_path, ("fallback_cap_w: 200", "fallback_cap_w: 110"))
    told = {(fault.place.split(": ")[1].split(" ")[0], fault.found, fault.remedy) for fault in faults(file, "gpu_models.a100.power_step_w=40")}
    assert told == {
        ("gpu_models.a100.min_cap_w", "100 W, no multiple of power_step_w, 40", "80 or 120"),
        ("pools.p1.fallback_cap_w", "110 W, no multiple of power_step_w, 40", "80 or 120"),
    }
    assert load_site(written(tmp_path), ("gpu_models.a100.power_step_w=25",)).gpu_models["a100"].power_step_w == 25


@pytest.mark.parametrize("case", FAULTS, ids=[f"{case[2]}-{case[1].strip()}" for case in FAULTS])
def test_a_fault_is_told_with_its_place_and_remedy(tmp_path: Path, case: tuple[str, ...]) -> None:
    old, new, path, line, found, remedy = case
    file = written(tmp_path, (old, new))
    here = [fault for fault in faults(file) if fault.place == f"{file}: {path} (line {line_of(line)})"]
    assert any(found in fault.found and remedy in fault.remedy for fault in here), faults(file)


def test_spare_gpus_are_rented_to_nobody_at_any_time_who_may_not_pause_and_taken_by_no_maintenance(tmp_path: Path) -> None:
    """Of 100 GPUs c1 has 60; c2 has 40 and may pause until August, and then 35 that may not."""
    spare, c2 = ("gpus: 100", "gpus: 100, spare_gpus: 10"), "gpus: 40, curve: train}"
    until = "gpus: 40, curve: train, pausable: true, gpus_until: '2026-08-01T00:00Z'}"
    later = "{tenant: t1, kind: spot, pool: p1, gpus: 35, curve: train, gpus_from: '2026-08-01T00:00Z'}"
    (fault,) = faults(written(tmp_path, spare, (c2, f"{until}\n  c3: {later}")))
    assert fault.found == "10 of 100 GPUs, but contracts that may not pause take 95"
    assert "at most 5" in fault.remedy
    repair = "maintenance: {m: {pool: p1, gpus: 31, start: '2026-07-15T08:00Z', end: '2026-07-15T09:00Z'}}\njobs:\n  curve"
    (fault,) = faults(written(tmp_path, spare, (c2, until), ("jobs:\n  curve", repair)))
    assert fault.found == "takes 31 GPUs of p1, but its contracts and its 10 spare leave 30 of 100"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# only a comment\n",
        b"- a\n- b\n",
        b"just text\n",
        b"name: caf\xe9\n",
        b"a: {b\n",
        b"a: \x01\n",
        b"a: 1\n---\nb: 2\n",
    ],
)
def test_a_file_that_is_no_mapping_is_one_fault_with_a_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "site.yaml"
    file.write_bytes(content)
    (fault,) = faults(file)
    assert fault.place.startswith(f"{file} (line ")
    assert fault.remedy


def test_a_missing_file_and_a_folder_are_faults(tmp_path: Path) -> None:
    assert faults(tmp_path / "none.yaml")[0].found == "No such file or directory"
    assert faults(tmp_path)[0].found == "Is a directory"


@pytest.mark.parametrize("bomb", ["a: &x [1]\nb: [*x, *x]", "a: !!python/name:os.system x", "[" * 100_000, "? [a]\n: 1"])
def test_aliases_tags_and_deep_nesting_are_refused(tmp_path: Path, bomb: str) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(bomb, encoding="utf-8")
    assert len(faults(file)) == 1


def test_a_scalar_is_what_stands_there() -> None:
    document = parse("[12:30, NO, on, yes, 012, 1_000, 0x10, .inf, 2023-01-01, '5', true, null, 5, -1.5, 1e3, .5]")
    assert document is not None
    assert document.value[:10] == ("12:30", "NO", "on", "yes", "012", "1_000", "0x10", ".inf", "2023-01-01", "5")
    assert document.value[10:] == (True, None, 5, -1.5, 1000.0, 0.5)
    assert type(document.value[12]) is int


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        ("limit_kw: 100", "limit_kw: x"),
        ("Europe/Berlin", "Mars"),
        ("p1: {hall: h1", "p1: {hall: h9"),
        ("gpus: 100", "gpus: many"),
    )
    paths = [fault.place.split(": ")[1].split(" ")[0] for fault in faults(file)]
    assert paths == ["timezone", "grid.import_limit_kw", "pools.p1.gpus", "pools.p1.hall"]


def test_a_malformed_part_is_not_also_told_as_missing_where_it_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, ("parent: root", "parent: 5"), ("row: {rating_kw: 90", "row: {rating_kw: x"))
    assert {fault.place.split(": ")[1].split(" ")[0] for fault in faults(file)} == {"feeders.ups.parent", "feeders.row.rating_kw"}


# --- overrides ---


def test_an_override_changes_any_key(tmp_path: Path) -> None:
    changes = [
        "grid.import_limit_kw=9000",
        "pools.p1.gpus=500",
        "control.cycle_s=60",
        "sample_jobs.0.submit_local=12:30",
        "grid.limit_windows=[]",
    ]
    site = load_site(written(tmp_path), [*changes, "contracts.c3={tenant: t1, kind: spot}"])
    assert (site.grid.import_limit_kw, site.pools["p1"].gpus, site.control.cycle_s) == (9000, 500, 60)
    assert (site.sample_jobs[0].submit_local, site.grid.limit_windows) == ("12:30", ())
    assert site.contracts["c3"].kind == "spot"
    assert site.grid.feed == "main"


@pytest.mark.parametrize(
    ("override", "found", "remedy"),
    [
        ("grid.import_limt_kw=1", "no key `grid.import_limt_kw`", "did you mean `grid.import_limit_kw`?"),
        ("import_limit_kw=1", "no key `import_limit_kw`", "did you mean `grid.import_limit_kw`?"),
        ("pools.p11.gpus=1", "no key `pools.p11.gpus`", "did you mean `pools.p1.gpus`?"),
        ("sample_jobs.7.gpus=1", "no key `sample_jobs.7.gpus`", "did you mean `sample_jobs.0.gpus`?"),
        ("grid.import_limit_kw", "no `=`", "write KEY=VALUE"),
        ("grid.import_limit_kw=", "no value", "write KEY=VALUE"),
        ("grid.import_limit_kw=*a", "", "aliases"),
        ("grid={feed: a, feed: b}", "`feed` given twice", "keep one"),
    ],
)
def test_an_override_that_leads_nowhere_is_a_fault(tmp_path: Path, override: str, found: str, remedy: str) -> None:
    (fault,) = faults(written(tmp_path), override)
    assert fault.place == f"--set {override}"
    assert found in fault.found
    assert remedy in fault.remedy


def test_an_override_is_as_strict_as_the_file_and_says_where_the_value_came_from(tmp_path: Path) -> None:
    file = written(tmp_path)
    told = {(fault.place, fault.found) for fault in faults(file, "grid.import_limit_kw='9000'", "pools.p1.gpus=1")}
    assert (f"{file}: grid.import_limit_kw (--set)", "the text `9000`") in told
    assert (f"{file}: pools.p1.gpus (--set)", "1 GPUs, but its contracts (c1, c2) take 100") in told


def test_a_misspelt_override_does_not_hide_the_faults_of_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, ("Europe/Berlin", "Mars"))
    assert [fault.place for fault in faults(file, "grd.feed=a")] == ["--set grd.feed=a", f"{file}: timezone (line 3)"]


# --- what else is offered ---


def test_only_assumed_curves_that_are_used_are_named(tmp_path: Path) -> None:
    assert assumed_curves(load_site(written(tmp_path))) == ()
    assert assumed_curves(load_site(written(tmp_path, ("40, curve: train", "40, curve: guess")))) == ("a100/guess",)
    assert assumed_curves(load_site(written(tmp_path), ["jobs.curve=guess"])) == ("a100/guess",)


def test_the_schema_names_its_dialect_and_every_key() -> None:
    described = schema()
    assert described["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"id", "grid", "pools", "contracts"} <= described["properties"].keys()


def owner(kind: type, key: str) -> str:
    """The part that declares a key, which others may share."""
    return next(part.__name__ for part in kind.__mro__ if key in vars(part).get("__annotations__", {}))


def keys_used(kind: Any, value: Any) -> set[tuple[str, str]]:
    """(part, key) of every key that stands in `value`, read as a `kind`."""
    kind = next((inner for inner in get_args(kind) if inner is not type(None)), kind) if get_origin(kind) in (Union, UnionType) else kind
    if get_origin(kind) is Annotated:
        return keys_used(get_args(kind)[0], value)
    if isinstance(kind, type) and issubclass(kind, Part):
        mine = {(owner(kind, name), name) for name in value}
        return mine.union(*(keys_used(kind.model_fields[name].annotation, inner) for name, inner in value.items()))
    if get_origin(kind) is dict:
        return set().union(*(keys_used(get_args(kind)[1], inner) for inner in value.values()))
    if get_origin(kind) is tuple:
        return set().union(*(keys_used(get_args(kind)[0], inner) for inner in value))
    return set()


def keys_known(kind: Any) -> set[tuple[str, str]]:
    """(part, key) of every key that a site file may have."""
    if isinstance(kind, type) and issubclass(kind, Part):
        mine = {(owner(kind, name), name) for name in kind.model_fields}
        return mine.union(*(keys_known(field.annotation) for field in kind.model_fields.values()))
    return set().union(*(keys_known(inner) for inner in get_args(kind)))


def test_every_key_is_shown_in_a_shipped_site_file() -> None:
    """So that whoever wonders how a key is used finds it used."""
    used = set().union(*(keys_used(Site, yaml.safe_load(path.read_text(encoding="utf-8"))) for path in SITES.glob("*.yaml")))
    assert keys_known(Site) - used == {("Tariff", "export_price_per_mwh")}, "the other way, export_fee_per_mwh, is shown"


FIXED, FREE = "either start and end, or hours, earliest and latest", {"hours": 4, "earliest": "2026-07-15T08:00Z", "latest": "2026-07-15T12:00Z"}


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ({"start": "2026-07-15T08:00", "end": "2026-07-15T12:00"}, "write an instant with an offset"),
        ({"start": "in July", "end": "2026-07-15T12:00Z"}, "write an instant with an offset"),
        ({"start": 8, "end": "2026-07-15T12:00Z"}, "write an instant with an offset"),
        ({}, FIXED),
        ({"start": "2026-07-15T08:00Z", "hours": 4}, FIXED),
        ({"start": "2026-07-15T08:00Z", "end": "2026-07-15T12:00Z", "hours": 4}, FIXED),
        ({"start": "2026-07-15T08:00Z", "end": "2026-07-15T08:00Z"}, "end must come after start"),
        (FREE | {"hours": 4.1}, "there must be room for its hours"),
    ],
)
def test_a_maintenance_has_its_time_or_room_for_it(when: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Maintenance.model_validate({"pool": "p", "gpus": 8} | when)


def test_a_maintenance_is_at_a_fixed_time_or_somewhere_in_a_span() -> None:
    fixed = {"start": "2026-07-15T08:00+02:00", "end": "2026-07-15T12:00+02:00"}
    assert [Maintenance.model_validate({"pool": "p", "gpus": 8} | when).hours for when in (fixed, FREE)] == [None, 4]


def test_without_an_end_gpus_leave_for_good_and_without_a_start_they_are_not_there_before() -> None:
    at = datetime(2026, 7, 15, 8, tzinfo=UTC)
    leaves, comes = (Maintenance.model_validate({"pool": "p", "gpus": 8, key: at.isoformat()}) for key in ("start", "end"))
    assert (leaves.fixed, comes.fixed) == ((at, FOR_GOOD), (EVER_SINCE, at))
    assert Maintenance.model_validate({"pool": "p", "gpus": 8} | FREE).fixed is None
