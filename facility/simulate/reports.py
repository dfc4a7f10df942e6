"""What the plant says of itself on the bus: what its points measure, which jobs there are, what obeys which order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from facility.bus.messages import (
    BatteryReported,
    CapGroup,
    CapReported,
    CoolingReported,
    HallSetpoint,
    JobReported,
    JobSpec,
    Meta,
)
from facility.bus.messages.codec import Report
from facility.bus.topics import Topics
from facility.sensors import Sensor
from facility.simulate.plant import Plant
from facility.simulate.scheduler import RehearsedJob
from facility.site import Site

READINGS = ("draw_kw", "done_gpu_h", "power_kw", "energy_kwh")
"""Fields of a report that move all the time."""
MEASUREMENTS = ("power_kw", "energy_kwh", "stored_kwh")
"""Fields of a report that a meter knows too."""


def milliseconds(instant: datetime) -> int:
    """Return an instant as milliseconds since 1970."""
    return round(instant.timestamp() * 1000)


def without_readings(report: Report) -> Report:
    """Return what of a report stays the same until an order or a state changes."""
    moving = {name: None for name in READINGS if name in report.__struct_fields__}
    return msgspec.structs.replace(report, timestamp=0, **moving)


def without_measurements(report: Report) -> Report:
    """Return a battery's or cooling plant's report without what meters measure of it."""
    if not isinstance(report, BatteryReported | CoolingReported):
        return report
    return msgspec.structs.replace(report, **{name: None for name in MEASUREMENTS if name in report.__struct_fields__})


def describe(sensor: Sensor, site: Site, period_s: float) -> Meta:
    """Tell what a point measures, and every how many seconds."""
    feeder = None
    match sensor.asset_type:
        case "pool":
            feeder = site.pools[sensor.asset].feeder
        case "cooling":
            feeder = site.cooling_plants[sensor.asset].feeder
        case "battery":
            feeder = site.batteries[sensor.asset].feeder
        case "feeder":
            feeder = sensor.asset
    return Meta(unit=sensor.unit, period_s=period_s, low=sensor.low, high=sensor.high, feeder=feeder)


def specify(job: RehearsedJob, site: Site) -> JobSpec:
    """Tell what a job needs; `work_gpu_h` is all of its work, what is done of it stands in its reports."""
    return JobSpec(
        submit=job.submit,
        gpus=job.gpus,
        work_gpu_h=job.work_gpu_h,
        pool=job.pool,
        deadline=job.deadline,
        tenant=None if job.contract is None else site.contracts[job.contract].tenant,
        contract=job.contract,
        curve=job.curve,
        elastic=job.elastic,
    )


def reports(plant: Plant, topics: Topics) -> Iterator[tuple[str, Report]]:
    """Tell what everything that obeys orders does now, by topic."""
    now_ms = milliseconds(plant.now)
    for name, pool in plant.pools.items():
        caps = ((workload, gpus, cap_w) for workload in pool.running for gpus, cap_w in pool.caps_of(workload) if gpus)
        yield (
            topics.cap_reported(pool.pool.hall, name),
            CapReported(
                timestamp=now_ms,
                epoch=pool.orders.epoch,
                seq=pool.orders.seq,
                enforced_cap_w=pool.enforced_cap_w,
                groups=tuple(CapGroup(workload=workload, gpus=gpus, cap_w=cap_w) for workload, gpus, cap_w in caps),
                draw_kw=pool.gpu_kw,
                gpus=pool.there,
            ),
        )
    for job in plant.scheduler.jobs.values():
        running = plant.pools[job.pool].running.get(job.id)
        yield (
            topics.job(job.id, "reported"),
            JobReported(
                timestamp=now_ms,
                epoch=job.orders.epoch,
                seq=job.orders.seq,
                state=job.state,
                done_gpu_h=job.done_gpu_h,
                gpus=0 if running is None else running.gpus,
            ),
        )
    for name, room in plant.cooling.items():
        yield (
            topics.cooling(name, "reported"),
            CoolingReported(
                timestamp=now_ms,
                epoch=room.orders.epoch,
                seq=room.orders.seq,
                halls={hall: HallSetpoint(temperature_c=air.setpoint_c) for hall, air in plant.halls_of(name).items()},
                power_kw=room.power_kw,
                stored_kwh=room.tank.stored_kwh if room.tank else None,
            ),
        )
    for name, battery in plant.batteries.items():
        yield (
            topics.battery(name, "reported"),
            BatteryReported(
                timestamp=now_ms,
                epoch=battery.orders.epoch,
                seq=battery.orders.seq,
                power_kw=battery.power_kw,
                energy_kwh=battery.energy_kwh,
            ),
        )
