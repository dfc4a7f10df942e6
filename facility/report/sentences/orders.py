"""What the service orders, and what devices and schedulers report, in words."""

from __future__ import annotations

from facility.bus import messages as m
from facility.report.sentences.place import Place, Says, because, number_of


def _cap_desired(told: m.CapDesired, place: Place) -> str:
    caps = [f"{group.cap_w} W for {group.workload} ({number_of(group.gpus)})" for group in told.groups]
    rest = f"{told.cap_w} W {'else' if caps else 'for all'}"
    return f"pool {place.ids['pool']}: {', '.join([*caps, rest])}, until {place.at(told.valid_until)}{because(told.reason)}"


def _cap_reported(told: m.CapReported, place: Place) -> str:
    groups = "".join(f", {group.cap_w} W for {group.workload}" for group in told.groups)
    node = f"node {place.ids['node']} of " if "node" in place.ids else ""
    return f"{node}pool {place.ids['pool']} enforces at most {told.enforced_cap_w} W{groups}"


def _job_spec(told: m.JobSpec, place: Place) -> str:
    due = "" if told.deadline is None else f", due {place.at(told.deadline)}"
    whose = f" of {told.tenant or told.contract}" if told.tenant or told.contract else ""
    return f"job {place.ids['job']}{whose}: {number_of(told.gpus)} in {told.pool}, {told.work_gpu_h:g} GPU h left{due}"


def _job_desired(told: m.JobDesired, place: Place) -> str:
    if told.action == "run":
        order = f"run on {number_of(told.gpus)}"
    else:
        order = "hold" if told.until is None else f"hold until {place.at(told.until)}"
    return f"job {place.ids['job']}: {order}{because(told.reason)}"


def _job_reported(told: m.JobReported, place: Place) -> str:
    on = f" on {number_of(told.gpus)}" if told.state == "running" else ""
    return f"job {place.ids['job']} is {told.state}{on}"


def _cooling_desired(told: m.CoolingDesired, place: Place) -> str:
    parts = [f"{hall} at {point.temperature_c:.1f} degC" for hall, point in told.halls.items()]
    parts += [f"supply at {told.supply_c:g} degC"] if told.supply_c is not None else []
    parts += [f"tank {_flow(told.store_kw)}"] if told.store_kw is not None else []
    return f"cooling {place.ids['plant']}: {', '.join(parts) or 'as it is'}, until {place.at(told.valid_until)}"


def _cooling_reported(told: m.CoolingReported, place: Place) -> str:
    drawn = "" if told.power_kw is None else f" draws {told.power_kw:.1f} kW"
    halls = ", ".join(f"{hall} at {point.temperature_c:.1f} degC" for hall, point in told.halls.items())
    return f"cooling {place.ids['plant']}{drawn}{': ' if halls else ''}{halls}"


def _battery_desired(told: m.BatteryDesired, place: Place) -> str:
    return f"battery {place.ids['battery']}: {_flow(told.power_kw)}, until {place.at(told.valid_until)}"


def _battery_reported(told: m.BatteryReported, place: Place) -> str:
    does = "" if told.power_kw is None else f": {_flow(told.power_kw)}"
    holds = "" if told.energy_kwh is None else f", holds {told.energy_kwh:.1f} kWh"
    return f"battery {place.ids['battery']}{does}{holds}"


def _flow(power_kw: float) -> str:
    return "rest" if not round(power_kw, 1) else f"{'charge' if power_kw > 0 else 'discharge'} {abs(power_kw):.4g} kW"


def _genset(told: m.GensetDesired, place: Place) -> str:
    order = f"run at {told.power_kw:.4g} kW" if told.power_kw else "off"
    return f"genset {place.ids['genset']}: {order}, until {place.at(told.valid_until)}"


def _solar(told: m.SolarDesired, place: Place) -> str:
    order = "all that the sky gives" if told.limit_kw is None else f"at most {told.limit_kw:.4g} kW"
    return f"solar {place.ids['solar']}: {order}, until {place.at(told.valid_until)}"


ORDERS: dict[type, Says] = {
    m.CapDesired: _cap_desired,
    m.CapReported: _cap_reported,
    m.JobSpec: _job_spec,
    m.JobDesired: _job_desired,
    m.JobReported: _job_reported,
    m.CoolingDesired: _cooling_desired,
    m.CoolingReported: _cooling_reported,
    m.BatteryDesired: _battery_desired,
    m.BatteryReported: _battery_reported,
    m.GensetDesired: _genset,
    m.SolarDesired: _solar,
}
