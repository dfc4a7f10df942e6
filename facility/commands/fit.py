"""`facility fit`: a site file held against what was recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from facility.config import load_site
from facility.config.rules import nearest
from facility.durations import parse_duration
from facility.errors import Fault, InputError
from facility.fit.cooling import fit_plants
from facility.fit.estimate import Estimate
from facility.fit.points import CurveFit, fit_curves, idle
from facility.fit.telemetry import ROWS, WORDS, Telemetry, read_telemetry
from facility.fit.telling import Found, as_json, as_yaml, rows
from facility.site import Site

FINE, NO = 0, 1
SHORTEST = timedelta(minutes=1)


@dataclass(frozen=True)
class Asked:
    """The options of the command line, as written."""

    telemetry: Sequence[str]
    columns: Sequence[str] = ()
    pool: str | None = None
    curve: str | None = None
    every: str = "10min"
    timezone: str | None = None


def run_fit(site_file: str, settings: Sequence[str], asked: Asked, out: Path | None, *, as_json_: bool) -> int:
    """Fit and tell; 0 where the site file agrees with all that the telemetry tells, 1 where it is off or nothing is told."""
    site = load_site(site_file, settings)
    every = parse_duration(asked.every, "--every")
    if every < SHORTEST:
        raise InputError(Fault("--every", f"{asked.every} is too short for a hall to answer", "ask for a minute or more"))
    telemetry = read_telemetry(asked.telemetry, _names(asked.columns), asked.timezone)
    found = fitted(site, telemetry, asked.pool, asked.curve, every / timedelta(seconds=1))
    if not any(True for _ in found.estimates) and not any(True for _ in found.notes):
        known = ", ".join((*ROWS, *(f"site/cooling/{plant}/power_kw" for plant in site.cooling_plants)))
        raise InputError(Fault("--telemetry", "nothing in it belongs to this site", f"record some of {known}"))
    if out is not None:
        _write(found, out)
    if as_json_:
        print(json.dumps(as_json(found), indent=2, allow_nan=False))
    else:
        _print(Console(), found, out)
    told = [each for each in found.estimates if each.value is not None]
    return FINE if told and not any(each.off for each in told) else NO


def fitted(site: Site, telemetry: Telemetry, pool: str | None, curve: str | None, every_s: float) -> Found:
    """Fit all that `telemetry` tells of `site`; the rows of GPUs are those of `pool`."""
    curves: tuple[CurveFit, ...] = ()
    idles: tuple[Estimate, ...] = ()
    if telemetry.rows:
        name = _model(site, pool)
        model = site.gpu_models[name]
        if "cap_w" in telemetry.rows or "throughput" in telemetry.rows or "util_pct" not in telemetry.rows:
            curves = tuple(fit_curves(name, model, telemetry, _kind(site, name, telemetry, curve)))
        still = idle(name, model, telemetry)
        idles = () if still is None else (still,)
    return Found(site, telemetry.files, curves, idles, tuple(fit_plants(site, telemetry, every_s)))


def _model(site: Site, pool: str | None) -> str:
    """The GPU model whose rows these are."""
    if pool is not None:
        if pool not in site.pools:
            raise InputError(Fault("--pool", f"the site has no pool `{pool}`", nearest(pool, site.pools)))
        return site.pools[pool].gpu_model
    if len(site.gpu_models) > 1:
        raise InputError(Fault("--pool", f"not given, and the site has the GPU models {', '.join(site.gpu_models)}", "say whose GPUs were recorded"))
    return next(iter(site.gpu_models))


def _kind(site: Site, model: str, telemetry: Telemetry, curve: str | None) -> str | None:
    """The kind of work of rows that do not say it."""
    known = site.gpu_models[model].curves
    if curve is None and (telemetry.curves == "").any():
        if len(known) > 1:
            remedy = "say which kind of work was recorded, or add a column `curve`"
            raise InputError(Fault("--curve", f"not given, and {model} has {', '.join(known)}", remedy))
        return next(iter(known))
    return curve


def _names(columns: Sequence[str]) -> dict[str, str]:
    """What files call our quantities."""
    names = {}
    for said in columns:
        ours, equals, theirs = said.partition("=")
        if not ours or not equals or not theirs:
            found = "half of it is empty" if equals else "no `=`"
            raise InputError(Fault(f"--column {said}", found, "write OURS=THEIRS, such as cap_w=power_limit"))
        if ours not in (*ROWS, *WORDS, "time") and ours.count("/") != 3:
            raise InputError(Fault(f"--column {said}", f"`{ours}` is nothing that is fitted", nearest(ours, (*ROWS, *WORDS, "time"))))
        names[ours] = theirs
    return names


def _write(found: Found, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "fit.yaml").write_text(as_yaml(found), encoding="utf-8")
        (out / "fit.json").write_text(json.dumps(as_json(found), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(Fault(f"--out {out}", f"cannot be written: {error.strerror}", "name a folder that you may write")) from None


def _print(console: Console, found: Found, out: Path | None) -> None:
    table = Table(show_edge=False)
    table.add_column("key", overflow="fold")
    table.add_column("site file", justify="right")
    table.add_column("telemetry", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for row in rows(found):
        table.add_row(*row)
    console.print(table)
    for note in found.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    off = sum(each.off for each in found.estimates)
    told = sum(each.value is not None for each in found.estimates)
    blind = int(np.sum([each.value is None for each in found.estimates]))
    console.print(f"{off} of {told} figures are off by more than their error bar (95 %); {blind} are not told by this telemetry", highlight=False)
    if out is not None:
        console.print(f"written: {out}/fit.yaml fit.json", highlight=False, markup=False, soft_wrap=True)
    elif told:
        console.print(as_yaml(found), highlight=False, markup=False, soft_wrap=True, end="")
