"""GPUs of a site file as the model's curves, hosts and pools."""

from __future__ import annotations

from facility.overrides.arbitrate import Bounds
from facility.problem.maintenance import gpus_left
from facility.site import Site
from facility.steps import Edges
from models.work.gpu import Curve, Host
from models.work.pool import Pool


def curve_of(site: Site, gpu_model: str, kind: str) -> Curve:
    """The curve of one kind of work on one GPU model, through the caps that can be set."""
    model = site.gpu_models[gpu_model]
    points = model.curves[kind].points
    curve = Curve(tuple(float(p.cap_w) for p in points), tuple(p.draw_w for p in points), tuple(p.speed for p in points))
    return curve.settable(model.power_step_w)


def host_of(site: Site, pool_id: str) -> Host:
    """The machine around the GPUs of a pool."""
    pool = site.pools[pool_id]
    model = site.gpu_models[pool.gpu_model]
    return Host(model.idle_w, pool.host_idle_w, pool.host_run_w, float(model.min_cap_w), model.power_step_w)


def pool_of(site: Site, pool_id: str, bounds: Bounds, edges: Edges, gone: int = 0) -> Pool:
    """A pool less what fixed maintenance takes, with the caps that `bounds` command for its idle GPUs.

    The `gone` ones do no work in any step, and may draw what an idle one does.
    """
    pool, host = site.pools[pool_id], host_of(site, pool_id)
    available, powered = gpus_left(site, pool_id, edges)
    return Pool(
        id=pool_id,
        hall=pool.hall,
        feeder=pool.feeder,
        host=host,
        max_cap_w=site.gpu_models[pool.gpu_model].max_cap_w,
        available=tuple(max(gpus - gone, 0.0) for gpus in available),
        idle_cap_w=tuple(host.min_cap_w if cap is None else cap for cap in bounds.pool_cap_w[pool_id]),
        liquid_share=pool.liquid_share,
        powered=powered,
    )
