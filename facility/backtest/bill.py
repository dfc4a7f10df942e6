"""Bill: what a span cost one controller, on plant truth and by the site's own tariff.

| item      | what                                                                                              |
|-----------|---------------------------------------------------------------------------------------------------|
| energy    | energy drawn x its price                                                                          |
| fees      | fees, network fees and tax on it                                                                  |
| standing  | the span's share of the standing charge                                                           |
| peak      | demand charges, for the highest billing interval of each month, the span's share of that month    |
| carbon    | the carbon price                                                                                  |
| wear      | of batteries, per kWh given                                                                       |
| export    | what is paid for energy given back, as a negative cost                                            |
| short     | penalties of rentals and services that had less than their floor                                  |
| late      | penalties of jobs for work not done by their deadline                                             |
| carried   | work that may still be done after the span, at the mean price and at the highest cap: for everybody alike, and dear |
| stored    | energy that batteries hold more than at the beginning, as a negative cost at the mean price       |

`lost_value` is what rentals would have been worth at full speed beyond what was delivered; limits ask for some of it, so it stands beside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facility.backtest.loop import DONE, JobOutcome, Lived
from facility.backtest.world import World
from facility.forecast import Forecast, expect
from facility.problem.electrical import losses_to_meter
from facility.steps import Edges
from facility.tariff import charges, fees_per_mwh, month_share, standing_charge
from models.horizon import Floats


@dataclass(frozen=True)
class Bill:
    """Money by item, carbon, kg, and what was paid for each interval beside peaks and penalties, money, shape (T,)."""

    items: dict[str, float]
    carbon_kg: float
    lost_value: float
    by_interval: Floats
    truth: Forecast

    @property
    def cost(self) -> float:
        """All items together, money."""
        return sum(self.items.values())


def bill(world: World, lived: Lived) -> Bill:
    """What `lived` cost."""
    site, span = world.site, world.span
    edges: Edges = (*(interval.time for interval in lived.intervals), span.end)
    truth = expect(site, edges, world.signals)
    hours = np.array([interval.hours for interval in lived.intervals])
    net_kw = np.array([interval.import_kw for interval in lived.intervals])
    mwh, back_mwh = np.maximum(net_kw, 0.0) * hours / 1000, np.maximum(-net_kw, 0.0) * hours / 1000
    fees = fees_per_mwh(site, edges, truth.price_per_mwh)
    carbon_kg = mwh * truth.carbon_g_per_kwh
    paid_per_mwh = truth.price_per_mwh + fees
    mean_per_kwh = float(paid_per_mwh @ hours) / hours.sum() / 1000
    tariff = site.tariff
    sold = truth.price_per_mwh - (tariff.export_fee_per_mwh or 0.0) if tariff.export_price_per_mwh is None else tariff.export_price_per_mwh
    out_kwh = sum(interval.battery_out_kw * interval.hours for interval in lived.intervals)
    wear_per_mwh = max((battery.wear_price_per_mwh for battery in site.batteries.values()), default=0.0)
    month_peaks = {key: charges(site)[key[0]] for key in lived.peaks_kw}
    short, lost = _served(world, lived)
    items = {
        "energy": float(truth.price_per_mwh @ mwh),
        "fees": float(fees @ mwh),
        "standing": standing_charge(site, edges),
        "peak": sum(
            charge.price_per_kw * lived.peaks_kw[name, month] * month_share(site, span.start, span.end, month)
            for (name, month), charge in month_peaks.items()
        ),
        "carbon": float(carbon_kg.sum()) * site.carbon.price_per_tonne / 1000,
        "wear": wear_per_mwh * out_kwh / 1000,
        "export": -float(np.sum(sold * back_mwh)),
        "short": short,
        "late": sum(_penalty(world, job) * (job.work_gpu_h - job.done_gpu_h) for job in lived.jobs if is_missed(job, world)),
        "carried": mean_per_kwh * sum(_kwh_per_gpu_h(world, job) * (job.work_gpu_h - job.done_gpu_h) for job in lived.jobs if _goes_on(job, world)),
        "stored": -mean_per_kwh * (lived.intervals[-1].battery_kwh - lived.start_kwh),
    }
    by_interval = paid_per_mwh * mwh - sold * back_mwh
    return Bill({name: money + 0.0 for name, money in items.items()}, float(carbon_kg.sum()), lost, by_interval, truth)


def is_missed(job: JobOutcome, world: World) -> bool:
    """Whether a job was not done by its deadline, which lies in the span."""
    return job.finished is None and job.deadline <= world.span.end and job.work_gpu_h - job.done_gpu_h > DONE


def _goes_on(job: JobOutcome, world: World) -> bool:
    return job.finished is None and job.deadline > world.span.end


def _served(world: World, lived: Lived) -> tuple[float, float]:
    """Penalties for what rentals lacked of their floor on the mean of the span, and the value of what they lacked of full speed, money."""
    penalties = lost = 0.0
    for name, contract in world.site.contracts.items():
        if contract.gpus and contract.pool is not None:
            start, end = contract.has_gpus
            hours = max((min(end, world.span.end) - max(start, world.span.start)).total_seconds() / 3600, 0.0)
            full, had = contract.gpus * hours, lived.served_gpu_h.get(name, 0.0)
            penalties += contract.penalty_per_gpu_h * max(contract.least_speed * full - had, 0.0)
            lost += contract.value_per_gpu_h * max(full - had, 0.0)
    return penalties, lost


def _penalty(world: World, job: JobOutcome) -> float:
    site, told = world.site, world.by_id[job.id]
    contract = site.contracts[told.contract] if told.contract else None
    named = contract is not None and "penalty_per_gpu_h" in contract.model_fields_set
    return contract.penalty_per_gpu_h if contract is not None and named else site.jobs.unfinished_penalty_per_gpu_h


def _kwh_per_gpu_h(world: World, job: JobOutcome) -> float:
    """What a GPU hour of a job takes at the highest cap over a GPU that idles, at the grid and with its share of cooling, kWh."""
    site, told = world.site, world.by_id[job.id]
    pool = site.pools[told.pool]
    model = site.gpu_models[pool.gpu_model]
    top = model.curves[told.curve].points[-1]
    kw = (top.draw_w - model.idle_w + pool.host_run_w - pool.host_idle_w) / 1000 / top.speed
    thermal = site.halls[pool.hall].thermal
    cooling = 0.0 if thermal is None or thermal.cooling_plant is None else 1 / site.cooling_plants[thermal.cooling_plant].cop_at_25c
    return kw * losses_to_meter(site, pool.feeder) * (1 + cooling)
