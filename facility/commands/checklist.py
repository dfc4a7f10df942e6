"""Checklist: what must be true before a daemon may be left alone with a site, filled in from what the broker said in a while. Pure.

pass      it was seen to be so            fail   it was seen to be otherwise
not seen  nothing told it; what to do so that it is seen stands beside it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from facility.bus.interface import MAX_PAYLOAD_BYTES, Message
from facility.bus.messages import CapDesired, CapReported, Rejected, Status, decode
from facility.bus.topics import Topics
from facility.sensors import sensors
from facility.site import Site
from facility.telemetry.balance import Balance, balances
from facility.telemetry.nodes import Nodes
from facility.telemetry.survey import Finding
from facility.verify import fallback_caps, fits

Result = Literal["pass", "fail", "not seen"]

DROPPED = "$SYS/broker/publish/messages/dropped"
FALLBACK_SHARE = 0.8
BYTES_A_READING = 40
"""What a reading takes in the history, its index included."""
JOURNAL_MB = 2048
"""What thirty days of cycles take, at most."""
SKEW = timedelta(seconds=2)
"""How far the daemon's clock may be from ours, beside the time on the way."""


@dataclass(frozen=True)
class Item:
    """One line of the list; `remedy` is empty where it passed."""

    name: str
    result: Result
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Machine:
    """What was found beside the bus: bytes that are free, what is amiss with certificates and keys, patterns that the broker refused us, and
    how many bytes of a message of `MAX_PAYLOAD_BYTES` came back on a topic of ours; None: none did.
    """

    free_bytes: int
    cautions: tuple[str, ...]
    refused: tuple[str, ...]
    echoed: int | None


class Checklist:
    """Hears messages for a while; then `items` are what it has to say."""

    def __init__(self, site: Site) -> None:
        self._site, self._topics = site, Topics(site.bus.root, site.id)
        self._ordered: dict[str, CapDesired] = {}
        self._reported: dict[str, CapReported] = {}
        self._nodes, self._heard_at = Nodes(), datetime.min.replace(tzinfo=UTC)
        self._limits = 0
        self._dropped: int | None = None
        self._skew: timedelta | None = None

    def hear(self, message: Message, now: datetime) -> bool:
        """Take in a message that came at `now`; True where it is of no interest to anybody else."""
        if message.topic == DROPPED:
            self._dropped = int(message.payload) if message.payload.isdigit() else None
            return True
        self._told(message, now)
        return False

    def items(self, findings: tuple[Finding, ...], machine: Machine) -> tuple[Item, ...]:
        """Fill in the list, from what a survey found beside."""
        return (
            *self._sensors(findings),
            *self._balances({found.sensor.key: found.heard.last for found in findings if found.heard.last is not None}),
            *(self._agent(pool) for pool in self._site.pools),
            self._limit(),
            self._clock(findings),
            *self._broker(machine),
            self._fallback(),
            *self._secrets(machine),
            self._disk(machine),
        )

    def _told(self, message: Message, now: datetime) -> None:
        self._heard_at = now
        name, ids = self._topics.parse(message.topic) or ("", {})
        if not message.payload:
            return
        try:
            if name == "cap_desired":
                self._ordered[ids["pool"]] = decode(message.payload, CapDesired)
            elif name == "cap_reported":
                self._reported[ids["pool"]] = decode(message.payload, CapReported)
            elif name == "cap_node_reported":
                self._nodes.take(ids["pool"], ids["node"], decode(message.payload, CapReported))
            elif name == "grid_limit":
                self._limits += 1
            elif name == "status" and not message.retain:
                status = decode(message.payload, Status)
                if status.heartbeat is not None:
                    self._skew = datetime.fromtimestamp(status.heartbeat / 1000, now.tzinfo) - now
        except Rejected:
            return

    def _sensors(self, findings: tuple[Finding, ...]) -> Iterator[Item]:
        asked = {"every sensor is heard": {"missing", "refused"}, "what they tell is plausible": {"wrong unit", "range", "doubled"}}
        for what, verdicts in asked.items():
            bad = [found.sensor.key for found in findings if found.verdict in verdicts]
            says = f"{len(findings) - len(bad)} of {len(findings)}"
            remedy = f"{_some(bad)}: see the table above; `absent: true` says that a site has no such sensor" if bad else ""
            yield Item(what, "fail" if bad else "pass", says, remedy)
        slow = [found.sensor.key for found in findings if found.verdict == "slow"]
        remedy = f"{_some(slow)}: say period_s" if slow else ""
        yield Item("they speak as often as expected", "fail" if slow else "pass", f"{len(slow)} slower", remedy)

    def _balances(self, last: Mapping[str, float]) -> Iterator[Item]:
        for balance in balances(self._site):
            yield _balanced(balance, last)

    def _agent(self, pool: str) -> Item:
        name, model = f"the agent of {pool} obeys and reads back", self._site.gpu_models[self._site.pools[pool].gpu_model]
        ordered, reported = self._ordered.get(pool), self._nodes.of(pool, self._heard_at) or self._reported.get(pool)
        if reported is None:
            return Item(name, "not seen", "it reported nothing", "start the agent, and see that it may publish cap/HALL/POOL/reported")
        if not model.min_cap_w <= reported.enforced_cap_w <= model.max_cap_w:
            says = f"it enforces {reported.enforced_cap_w} W, which {model.min_cap_w} to {model.max_cap_w} W cannot be"
            return Item(name, "fail", says, "see the unit it reports in, and gpu_models of the site file")
        if ordered is None:
            return Item(name, "not seen", f"it enforces {reported.enforced_cap_w} W, and nothing was ordered", "let the daemon run, and ask again")
        highest_w = max([ordered.cap_w, *(group.cap_w for group in ordered.groups)])
        if (reported.epoch, reported.seq) != (ordered.epoch, ordered.seq):
            says = f"ordered by {ordered.epoch}-{ordered.seq}, it confirms {reported.epoch}-{reported.seq}"
            return Item(name, "fail", says, "see its log, and its way here")
        if reported.enforced_cap_w > highest_w:
            return Item(name, "fail", f"{highest_w} W was ordered, {reported.enforced_cap_w} W is enforced", "see whether it may set caps")
        return Item(name, "pass", f"{reported.enforced_cap_w} W, as ordered")

    def _limit(self) -> Item:
        if self._limits:
            return Item("the grid's limit is told", "pass", "heard")
        says = f"not told; the site file's {self._site.grid.import_limit_kw:g} kW is used"
        return Item("the grid's limit is told", "not seen", says, "retain it on grid/FEED/limit, or live by the site file")

    def _clock(self, findings: tuple[Finding, ...]) -> Item:
        late = [found.sensor.key for found in findings if found.verdict == "clock"]
        if late:
            return Item("clocks agree", "fail", f"{len(late)} sensors are measured at other times", f"{_some(late)}: set the senders' clocks")
        if self._skew is None:
            return Item("clocks agree", "pass" if findings else "not seen", "senders' do; no daemon was heard")
        if abs(self._skew) > SKEW:
            return Item("clocks agree", "fail", f"the daemon's is {self._skew.total_seconds():+.1f} s from this machine's", "keep both by NTP")
        return Item("clocks agree", "pass", "senders', the daemon's and this machine's")

    def _broker(self, machine: Machine) -> Iterator[Item]:
        conf = "take the limits of `facility check SITE --broker-conf`"
        if self._dropped is None:
            yield Item("the broker loses nothing", "not seen", "it does not tell what it dropped", f"let this user read $SYS/#; {conf}")
        else:
            result: Result = "fail" if self._dropped else "pass"
            yield Item("the broker loses nothing", result, f"{self._dropped} messages dropped since its start", conf if self._dropped else "")
        if machine.echoed is None:
            says = "what this user publishes on svc/ does not come back"
            yield Item("it passes long messages", "not seen", says, "ask again as the service's user, with --broker mqtt://USER@...")
        else:
            whole = machine.echoed >= MAX_PAYLOAD_BYTES
            yield Item("it passes long messages", "pass" if whole else "fail", f"{machine.echoed} bytes", "" if whole else conf)
        refused = "; ".join(machine.refused)
        remedy = "take `facility check SITE --acl`" if refused else ""
        yield Item("access rules let us read", "fail" if refused else "pass", refused or "every pattern", remedy)

    def _fallback(self) -> Item:
        feeders = {
            name: feeder.model_copy(update={"rating_kw": FALLBACK_SHARE * feeder.rating_kw}) for name, feeder in self._site.feeders.items()
        }
        site, caps = self._site.model_copy(update={"feeders": feeders}), fallback_caps(self._site)
        over = [violation.asset for violation in fits(site, caps, max(site.weather.outdoor_by_hour_c))]
        says = f"above {100 * FALLBACK_SHARE:.0f} % of {', '.join(over)}" if over else f"within {100 * FALLBACK_SHARE:.0f} % of every feeder"
        return Item("fallback caps fit", "fail" if over else "pass", says, "lower pools.X.fallback_cap_w, or leave it out" if over else "")

    def _secrets(self, machine: Machine) -> Iterator[Item]:
        if not machine.cautions:
            yield Item("certificates, keys, passwords", "pass", "none ends soon, none is for others to read")
        for caution in machine.cautions:
            yield Item("certificates, keys, passwords", "fail", caution, "as it says")

    def _disk(self, machine: Machine) -> Item:
        a_day = sum(86_400 / sensor.period_s for sensor in sensors(self._site) if not sensor.absent)
        days = self._site.history.raw_days
        need = int(a_day * days * BYTES_A_READING) + JOURNAL_MB * 2**20
        says = f"{machine.free_bytes / 2**30:,.1f} GiB free; the journal and {days:g} days of readings take some {need / 2**30:,.1f}"
        enough = machine.free_bytes >= need
        return Item("there is room on the disk", "pass" if enough else "fail", says, "" if enough else "give it room, or keep less: history.raw_days")


def _balanced(balance: Balance, last: Mapping[str, float]) -> Item:
    name = f"the meters of {balance.name} balance"
    if not balance.whole:
        return Item(name, "not seen", "generation hangs on it, which nobody measures")
    missing = [key for key in (balance.meter, *balance.parts) if key not in last]
    if missing:
        return Item(name, "not seen", f"without {_some(missing)}", "let them be heard, and ask again")
    through_kw, metered_kw = balance.through_kw(sum(last[key] for key in balance.parts)), last[balance.meter]
    says = f"metered {metered_kw:,.1f} kW, what hangs on it {through_kw:,.1f} kW"
    if abs(metered_kw - through_kw) <= balance.tolerance_kw:
        return Item(name, "pass", says)
    return Item(name, "fail", says, "compare the meters, their transformer ratios, and base_kw of the halls there")


def _some(keys: Iterable[str]) -> str:
    first, *more = keys
    return f"{first} and {len(more)} more" if more else first
