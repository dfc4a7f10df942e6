"""`facility check`: a site file's faults, its schema, or the bus as a document."""

from __future__ import annotations

import json

from facility.errors import Fault, InputError


def run_check(site_file: str | None, settings: tuple[str, ...], *, schema: bool, asyncapi: bool, as_json: bool) -> int:
    """Check `site_file`; raises InputError with every fault."""
    from facility.config import assumed_curves, load_site
    from facility.config import schema as site_schema

    if schema:
        print(json.dumps(site_schema(), indent=2))
        return 0
    if site_file is None and not asyncapi:
        raise InputError(Fault("facility check", "no site file given", "name one, or ask for --schema or --asyncapi"))
    site = load_site(site_file, settings) if site_file is not None else None
    if asyncapi:
        from facility.bus.topics import asyncapi as document

        print(json.dumps(document(site), indent=2))
        return 0
    assert site is not None
    from facility.verify import fallback_caps

    facts = {
        "site": site.id,
        "halls": len(site.halls),
        "pools": len(site.pools),
        "gpus": sum(pool.gpus for pool in site.pools.values()),
        "feeders": len(site.feeders),
        "import_limit_kw": site.grid.import_limit_kw,
        "fallback_caps_w": fallback_caps(site),
        "assumed_curves": list(assumed_curves(site)),
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return 0
    print(f"{site_file}: fine. {site.name}: {facts['gpus']:,} GPUs in {facts['pools']} pools, {facts['halls']} halls.")
    for pool, cap_w in fallback_caps(site).items():
        print(f"fallback cap of {pool}: {cap_w} W")
    for curve in assumed_curves(site):
        print(f"assumed curve: {curve}; nobody measured it on this GPU model")
    return 0
