"""`facility check`: a site file's faults, its schema, the bus as a document, the broker's configuration, or what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from facility.errors import Fault, InputError

if TYPE_CHECKING:
    from facility.bus.roles import Foreign
    from facility.site import Site


def run_check(
    site_file: str | None,
    settings: tuple[str, ...],
    *,
    schema: bool = False,
    asyncapi: bool = False,
    acl: bool = False,
    broker_conf: bool = False,
    unit: bool = False,
    dashboard: bool = False,
    alert_rules: bool = False,
    as_json: bool = False,
    listen: str | None = None,
    broker: str | None = None,
) -> int:
    """Check `site_file`, and where `listen` says how long what the broker says; raises InputError with every fault."""
    from facility.config import load_site
    from facility.config import schema as site_schema

    if schema:
        print(json.dumps(site_schema(), indent=2))
        return 0
    if site_file is None and not (asyncapi or dashboard or alert_rules):
        remedy = "name one, or ask for --schema, --asyncapi, --dashboard or --alert-rules"
        raise InputError(Fault("facility check", "no site file given", remedy))
    site = load_site(site_file, settings) if site_file is not None else None
    if dashboard or alert_rules:
        from facility.metrics import shipped

        print(shipped.dashboard_json() if dashboard else shipped.alert_rules())
        return 0
    if asyncapi:
        from facility.bus.document import asyncapi as document
        from facility.dsx.channels import described

        dsx = site.bus.dsx if site is not None and site.bus.profile == "dsx" else None
        print(json.dumps(document(site) if dsx is None else described(document(site), dsx), indent=2))
        return 0
    assert site is not None
    assert site_file is not None
    if unit:
        from facility.process.unit import unit as service

        print(service(site, site_file, settings))
        return 0
    if acl or broker_conf:
        from facility.bus import mosquitto

        print(mosquitto.acl(site, _foreign(site)) if acl else mosquitto.conf(site))
        return 0
    if listen is not None:
        from facility.commands.listen import run_listen

        return run_listen(site, listen, broker, as_json=as_json)
    _tell(site, site_file, as_json=as_json)
    return 0


def _tell(site: Site, site_file: str, *, as_json: bool) -> None:
    """Print what a site without fault is like, and the warnings."""
    from facility.bus.caution import cautions
    from facility.config import assumed_curves
    from facility.dsx.party import cautions as exchange_cautions
    from facility.verify import fallback_caps

    dsx = site.bus.dsx if site.bus.profile == "dsx" else None
    warnings = [*_warnings(site), *cautions(site.bus, datetime.now(UTC)), *(() if dsx is None else exchange_cautions(dsx))]
    facts = {
        "site": site.id,
        "halls": len(site.halls),
        "pools": len(site.pools),
        "gpus": sum(pool.gpus for pool in site.pools.values()),
        "feeders": len(site.feeders),
        "import_limit_kw": site.grid.import_limit_kw,
        "fallback_caps_w": fallback_caps(site),
        "assumed_curves": list(assumed_curves(site)),
        "warnings": warnings,
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    size = f"{facts['gpus']:,} GPUs, pools: {facts['pools']}, halls: {facts['halls']}"
    print(f"{site_file}: {'no fault, but see the warnings' if warnings else 'fine'}. {site.name}: {size}.")
    for pool, cap_w in fallback_caps(site).items():
        print(f"fallback cap of {pool}: {cap_w} W")
    for curve in assumed_curves(site):
        print(f"assumed curve: {curve}; nobody measured it on this GPU model")
    for warning in warnings:
        print(f"warning: {warning}")


def _foreign(site: Site) -> Foreign:
    """The topics beside our own tree that a site reads and writes."""
    from facility.bus.roles import Foreign
    from facility.dsx.channels import accesses
    from facility.telemetry.sources import sources

    own = f"{site.bus.root}/{site.id}/"
    heard = (pattern for source in sources(site) for pattern in source.patterns)
    dsx = site.bus.dsx if site.bus.profile == "dsx" else None
    more = () if dsx is None else tuple(accesses(dsx))

    def of(*what: str) -> tuple[str, ...]:
        return tuple(pattern for *kind, pattern in more if kind == list(what))

    readings = (*(pattern for pattern in heard if not pattern.startswith(own)), *of("in", "building"))
    written = tuple(rule.topic for rule in site.bus.set_points)
    read_back = tuple(rule.read_back.topic for rule in site.bus.set_points if rule.read_back is not None)
    return Foreign(readings, of("in", "grid"), of("out", "grid"), of("out", "building"), written, read_back)


def _warnings(site: Site) -> Iterator[str]:
    """What is no fault of the file, but cannot work: limits below what the site draws at rest, fallback caps that do not fit."""
    from facility.verify import at_rest_kw, fallback_caps, fits

    lowest_kw = min([site.grid.import_limit_kw, *(window.import_limit_kw for window in site.grid.limit_windows)])
    if (rest_kw := at_rest_kw(site)) > lowest_kw:
        yield f"idle GPUs and halls draw {rest_kw:,.0f} kW, more than the import limit of {lowest_kw:,.0f} kW"
    for violation in fits(site, fallback_caps(site), max(site.weather.outdoor_by_hour_c)):
        yield f"the fallback caps do not fit: {violation.asset} at {violation.amount:,.0f} of {violation.allowed:,.0f} kW"
