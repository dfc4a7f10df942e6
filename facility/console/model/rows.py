"""Rows: pools, jobs, tenants, feeders, overrides and alarms as rows of tables.

A row is what is shown, by column, and how its columns are sorted (`Row.order`, where that is not as shown). Rows of jobs are made
again only where something was told of the job: there may be ten thousand.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from facility.bus.messages import ContractState, JobDesired, JobReported, JobSpec
from facility.console.model.glance import RANK
from facility.console.model.heard import Heard
from facility.console.model.words import NOTHING, clock, local, number, override
from facility.site import Contract


@dataclass(frozen=True)
class Row:
    """One row. `shown` holds texts and numbers by column; `about` is what it is of, as the bus calls it: `pool/h1/h1-a`."""

    id: str
    about: str
    shown: dict[str, Any]
    order: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def found_by(self) -> str:
        """What a search looks in."""
        return " ".join(str(value) for value in (self.id, *self.shown.values())).lower()


def pools(heard: Heard) -> Iterator[Row]:
    """A row for each pool, by hall."""
    site, now, zone = heard.site, heard.beat.now(), ZoneInfo(heard.site.timezone)
    for name, pool in sorted(site.pools.items(), key=lambda each: (each[1].hall, each[0])):
        sent, report = heard.caps.get(name), heard.reports.get(name)
        groups: Counter[int] = Counter()
        for group in sent.groups if sent else ():
            groups[group.cap_w] += _count(group.gpus)
        texts = [f"{gpus} at {cap} W" for cap, gpus in sorted(groups.items(), reverse=True)]
        highest = max(groups, default=sent.cap_w) if sent else None
        most = site.gpu_models[pool.gpu_model].max_cap_w
        kw = heard.value(f"{pool.hall}/pool/{name}/it_power_kw")
        yield Row(
            name,
            f"pool/{pool.hall}/{name}",
            {
                "name": name,
                "hall": pool.hall,
                "gpus": f"{pool.gpus:,}",
                "cap": ", ".join(texts[:3]) + (" …" if len(texts) > 3 else "") or (f"{sent.cap_w} W" if sent else NOTHING),
                "share": None if highest is None else round(100 * min(highest / most, 1)),
                "enforced": NOTHING if report is None else f"{report.enforced_cap_w} W",
                "power": number(kw, 1),
                "why": local(sent.reason, zone, now) if sent else "nothing was sent yet",
            },
            {"gpus": pool.gpus, "cap": highest or 0, "enforced": report.enforced_cap_w if report else 0, "power": kw or 0.0},
        )


def feeders(heard: Heard) -> Iterator[Row]:
    """A row for each feeder, those that hang under one behind it, further in."""
    site = heard.site
    under: defaultdict[str | None, list[str]] = defaultdict(list)
    for name, feeder in site.feeders.items():
        under[feeder.parent].append(name)
    pools: defaultdict[str, list[str]] = defaultdict(list)
    for name, pool in site.pools.items():
        pools[pool.feeder].append(name)

    def walk(parent: str | None, depth: int) -> Iterator[Row]:
        for name in under[parent]:
            feeder = site.feeders[name]
            kw = heard.value(f"site/feeder/{name}/power_kw")
            fed = pools[name]
            yield Row(
                name,
                f"feeder/{name}",
                {
                    "name": name,
                    "depth": depth,
                    "rating": number(feeder.rating_kw),
                    "power": number(kw, 1),
                    "share": None if kw is None else round(100 * max(kw, 0) / feeder.rating_kw),
                    "feeds": ", ".join(fed[:6]) + (f" and {len(fed) - 6} more" if len(fed) > 6 else ""),
                },
                {"rating": feeder.rating_kw, "power": kw or 0.0},
            )
            yield from walk(name, depth + 1)

    yield from walk(None, 0)


def tenants(heard: Heard, jobs: Jobs) -> Iterator[Row]:
    """A row for each tenant: what it rents, and its jobs."""
    site = heard.site
    rented: Counter[str] = Counter()
    contracts: defaultdict[str, list[str]] = defaultdict(list)
    terms: dict[str, Contract | ContractState] = {**site.contracts, **heard.contracts}
    for name, contract in terms.items():
        rented[contract.tenant] += contract.gpus
        contracts[contract.tenant].append(name)
    by_state = jobs.by_tenant()
    for name in dict.fromkeys((*site.tenants, *contracts, *by_state)):
        states = by_state.get(name, Counter())
        yield Row(
            name or "none",
            f"tenant/{name}",
            {
                "name": site.tenants[name].name if name in site.tenants else name or "no tenant",
                "contracts": ", ".join(contracts[name]) or NOTHING,
                "gpus": f"{rented[name]:,}",
                "running": f"{states['running']:,}",
                "held": f"{states['held'] + states['waiting']:,}",
            },
            {"gpus": rented[name], "running": states["running"], "held": states["held"] + states["waiting"]},
        )


def overrides(heard: Heard) -> Iterator[Row]:
    """A row for each override in force, by whom and until when."""
    now, zone = heard.beat.now(), ZoneInfo(heard.site.timezone)
    for target, state in sorted(heard.overrides.items()):
        for it in state.overrides:
            shown = {
                "target": target,
                "what": override(it.kind, it.effective if it.effective is not None else it.value),
                "by": it.by,
                "priority": it.priority,
                "until": clock(it.end, zone, now),
                "reason": it.reason,
            }
            yield Row(it.id, target, shown, {"until": it.end})


def alarms(heard: Heard) -> Iterator[Row]:
    """A row for each alarm that stands, the worst first."""
    now, zone = heard.beat.now(), ZoneInfo(heard.site.timezone)
    for it in sorted(heard.alarms.values(), key=lambda a: (a.shelved is not None, RANK.index(a.severity), a.since)):
        aside = f" (put aside until {clock(it.shelved.until, zone, now)} by {it.shelved.by})" if it.shelved else ""
        shown = {
            "severity": it.severity,
            "cause": local(it.cause, zone, now) + aside,
            "place": it.place or NOTHING,
            "since": clock(it.since, zone, now),
            "remedy": it.remedy,
        }
        yield Row(it.id, f"alarm/{it.id}", shown, {"since": it.since, "severity": RANK.index(it.severity)})


class Jobs:
    """The rows of all jobs, kept up to date by what was told since."""

    def __init__(self, heard: Heard) -> None:
        self._heard, self._zone = heard, ZoneInfo(heard.site.timezone)
        self._rows: dict[str, Row] = {}
        self._stands: dict[str, tuple[str, str]] = {}
        """Tenant and state of each."""
        self._standing: Counter[tuple[str, str]] = Counter()
        self._sorted: list[str] | None = None
        """Jobs in their order; None where it may be another by now."""

    def refresh(self) -> bool:
        """Make the rows of jobs of which something was told; whether there were any."""
        changed, self._heard.changed_jobs = self._heard.changed_jobs, set()
        now = self._heard.beat.now()
        for job in changed:
            spec, order, report = self._heard.specs.get(job), self._heard.orders.get(job), self._heard.job_reports.get(job)
            if spec is None and order is None and report is None:
                self._rows.pop(job, None)
                self._stand(job, None)
            else:
                self._rows[job], stands = self._row(job, spec, order, report, now)
                self._stand(job, stands)
        return bool(changed)

    def rows(self) -> list[Row]:
        """All of them, those that are held first, then those that run, wait, are done."""
        if self._sorted is None:
            self._sorted = sorted(self._rows, key=lambda job: (self._rows[job].order["state"], job))
        return [self._rows[job] for job in self._sorted]

    def counts(self) -> tuple[int, int, int]:
        """Count the jobs that run, are held and wait."""
        states: Counter[str] = Counter()
        for (_, state), jobs in self._standing.items():
            states[state] += jobs
        return states["running"], states["held"], states["waiting"]

    def by_tenant(self) -> dict[str, Counter[str]]:
        """Count jobs by state for each tenant."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for (tenant, state), jobs in self._standing.items():
            if jobs:
                found[tenant][state] = jobs
        return found

    def _stand(self, job: str, stands: tuple[str, str] | None) -> None:
        before = self._stands.pop(job, None)
        if before is not None:
            self._standing[before] -= 1
        if stands is not None:
            self._stands[job] = stands
            self._standing[stands] += 1
        if before != stands:
            self._sorted = None

    def _row(
        self, job: str, spec: JobSpec | None, order: JobDesired | None, report: JobReported | None, now: datetime
    ) -> tuple[Row, tuple[str, str]]:
        state = job_state(order, report)
        contract = (spec.contract if spec else None) or self._heard.site.jobs.contract or ""
        terms = self._heard.site.contracts.get(contract)
        tenant = (spec.tenant if spec else None) or (terms.tenant if terms else "")
        done = None if report is None or spec is None or not spec.work_gpu_h or report.done_gpu_h is None else report.done_gpu_h / spec.work_gpu_h
        until = order.until if order is not None and state == "held" else None
        deadline = spec.deadline if spec else None
        pool = spec.pool if spec else ""
        shown = {
            "name": job,
            "state": state,
            "tenant": tenant or NOTHING,
            "pool": pool or NOTHING,
            "gpus": f"{spec.gpus:,}" if spec else NOTHING,
            "done": None if done is None else round(100 * min(done, 1)),
            "deadline": NOTHING if deadline is None else clock(deadline, self._zone, now),
            "until": NOTHING if until is None else clock(until, self._zone, now),
            "why": local(order.reason, self._zone, now) if order else "",
        }
        late = datetime.max.replace(tzinfo=now.tzinfo)
        gpus = spec.gpus if spec else 0
        order_by = {"state": STATES.index(state), "gpus": gpus, "done": done or 0.0, "deadline": deadline or late, "until": until or late}
        return Row(job, f"job/{job}", shown, order_by), (tenant, state)


STATES = ("held", "running", "waiting", "done")
"""What a job may be: kept back by us, running, submitted and not yet told anything, done."""


def job_state(order: JobDesired | None, report: JobReported | None) -> str:
    """Say where a job stands: what its scheduler reports, and whether it waits because it is held."""
    if report is not None and report.state != "waiting":
        return report.state
    return "held" if order is not None and order.action == "hold" else "waiting"


def _count(gpus: int | tuple[str, ...]) -> int:
    return gpus if isinstance(gpus, int) else len(gpus)
