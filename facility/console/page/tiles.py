"""Tiles: the glance as HTML, a text for each tile; made once for everybody who looks. Whatever comes from the bus is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from facility.console.hub import Frame
from facility.console.model.glance import CapNow, Glance, HallNow, Next
from facility.console.model.words import NOTHING, clock, lasting, local, number, power
from facility.site import Site

MOST_HALLS: Final = 6
MOST_NAMED: Final = 8
"""Pools that are named in the picture of caps; of more, each is a bar only."""


def tiles(site: Site, frame: Frame, zone: ZoneInfo) -> Mapping[str, str]:
    """Every tile by its name."""
    return {name: draw(site, frame.glance, zone) for name, draw in TILES.items()} | {"banner": banner(frame)}


def banner(frame: Frame) -> str:
    """What is wrong with what is shown: who is not heard, since when. Empty where all is well."""
    if frame.away_s is not None:
        return _warn(f"The broker has not answered for {lasting(frame.away_s)}. What stands here is as old; nothing can be set until it is back.")
    now = frame.glance
    if now.mode == "starting":
        return _warn("No daemon was heard yet.")
    if not now.alive:
        since = "" if now.silent_s is None else f" for {lasting(now.silent_s)}"
        return _warn(f"The daemon has not been heard{since}. What stands here is as old; caps fall back by themselves when they expire.")
    return ""


def old(frame: Frame) -> bool:
    """Whether what is shown is to be seen as old."""
    return frame.away_s is not None or not frame.glance.alive


def _warn(text: str) -> str:
    return f'<div role="alert" class="warn">{escape(text)}</div>'


def _mode(_site: Site, now: Glance, zone: ZoneInfo) -> str:
    mode = now.mode if now.alive or now.mode == "starting" else "not heard"
    spare = " (a standby waits)" if now.spares else ""
    kind = {"NORMAL": "good", "HOLD": "care", "MANUAL": "hand", "SAFE": "bad", "starting": "care"}.get(mode, "bad")
    return f'<span class="mode {kind}">{escape(mode)}</span><span class="why">{escape(local(now.why, zone, now.now))}{spare}</span>'


def _clock(_site: Site, now: Glance, zone: ZoneInfo) -> str:
    local = now.now.astimezone(zone)
    return f'<span class="date">{local:%a %d %b}</span> <span class="time">{local:%H:%M}</span>'


def _power(_site: Site, now: Glance, zone: ZoneInfo) -> str:
    kw, limit = now.import_kw, now.limit_kw
    share = 0.0 if kw is None or not limit else kw / limit
    kind = "over" if share > 1 else "near" if share > 0.98 else ""
    over = ", above the limit" if share > 1 else ""
    room = "" if kw is None else f"{power(limit - kw)} below it" if share <= 1 else f"{power(kw - limit)} above it"
    silent = f"not measured for {lasting(now.age_s)}" if kw is None and now.age_s is not None else "not measured yet" if kw is None else ""
    return (
        _head("Power from the grid")
        + f'<p class="big {kind}">{power(kw)}<small> of {power(limit)}{over}</small></p>'
        + _bar(share, kind, f"{100 * share:.0f} % of the limit")
        + _foot(silent or room, _then(now.next_limit, "limit", " kW", zone, now))
    )


def _price(site: Site, now: Glance, zone: ZoneInfo) -> str:
    return (
        _head("Price of energy")
        + f'<p class="big">{number(now.price_per_mwh)}<small> {escape(site.currency)}/MWh</small></p>'
        + _foot(_then(now.next_price, "", "", zone, now) or "nothing else is expected", "")
    )


def _cost(site: Site, now: Glance, zone: ZoneInfo) -> str:
    begun = now.cost_since
    whole = begun is not None and (begun.astimezone(zone).hour, begun.astimezone(zone).minute) == (0, 0)
    since = NOTHING if begun is None else "since midnight" if whole else f"since {clock(begun, zone, now.now)}, when this page began to look"
    saves = now.saving_pct
    compared = "" if saves is None else f"{abs(saves):.1f} % {'less' if saves >= 0 else 'more'} than without control"
    plan = "" if now.planned_cost is None else f"plan: {number(now.planned_cost)} {site.currency}, {compared}"
    cost = NOTHING if begun is None else number(now.cost, 0 if now.cost >= 1000 else 2)
    return _head("Cost of energy today") + f'<p class="big">{cost}<small> {escape(site.currency)}</small></p>' + _foot(since, plan)


def _jobs(_site: Site, now: Glance, _zone: ZoneInfo) -> str:
    return (
        _head("Jobs")
        + f'<p class="big">{now.running:,}<small> running</small></p><p class="big second">{now.held + now.waiting:,}<small> waiting</small></p>'
        + _foot(f"{now.held:,} of them held by the plan" if now.held else "none is held", "")
    )


def _battery(_site: Site, now: Glance, _zone: ZoneInfo) -> str:
    store = now.store
    if store is None:
        return _head("Battery") + '<p class="big">none</p>'
    share = 0.0 if store.held_kwh is None else store.held_kwh / store.capacity_kwh
    kw = store.charge_kw
    does = "" if kw is None else "rests" if abs(kw) < 0.5 else f"{'charges' if kw > 0 else 'gives'} {power(abs(kw))}"
    held = f'<p class="big">{number(store.held_kwh)}<small> of {number(store.capacity_kwh)} kWh</small></p>'
    return _head("Battery") + held + _bar(share, "store", f"{100 * share:.0f} % full") + _foot(does, "")


def _halls(_site: Site, now: Glance, _zone: ZoneInfo) -> str:
    def room_k(hall: HallNow) -> float:
        return hall.recommended_c - hall.air_c if hall.air_c is not None else -1.0

    shown = sorted(now.halls, key=room_k)[:MOST_HALLS] if len(now.halls) > MOST_HALLS else now.halls
    lines = []
    for hall in shown:
        air = hall.air_c
        kind = "" if air is None or air <= hall.recommended_c else "over" if air > hall.allowable_c else "near"
        words = {"": "", "near": " warm", "over": " too hot"}[kind]
        value = f"{number(air, 1)}{'' if air is None else ' °C'}"
        share = 0.0 if air is None else (air - 15) / (hall.allowable_c - 15)
        label = f"{value}, recommended up to {hall.recommended_c:g}, allowed up to {hall.allowable_c:g} °C"
        mark = (hall.recommended_c - 15) / (hall.allowable_c - 15)
        lines.append(
            f'<li><span class="name">{escape(hall.id)}</span>{_bar(share, kind, label, mark)}<span class="of {kind}">{value}{words}</span></li>'
        )
    rest = f"{len(now.halls) - len(shown)} cooler halls are not shown" if len(shown) < len(now.halls) else ""
    return _head("Halls") + f'<ul class="bars">{"".join(lines) or "<li>none is measured</li>"}</ul>' + _foot("the mark: recommended", rest)


def _caps(_site: Site, now: Glance, _zone: ZoneInfo) -> str:
    if len(now.caps) <= MOST_NAMED:
        lines = "".join(
            f'<li data-pool="{escape(cap.id)}"><span class="name">{escape(cap.id)}</span>{_bar(cap.share or 0.0, "cap", _said(cap))}'
            f'<span class="of">{NOTHING if cap.sent_w is None else f"{cap.sent_w} W"}{_mark(cap)}</span></li>'
            for cap in now.caps
        )
        return _head("Caps") + f'<ul class="bars">{lines}</ul>' + _foot("highest cap in each pool, of the most its GPUs can be set to", "")
    halls: dict[str, list[CapNow]] = {}
    for cap in now.caps:
        halls.setdefault(cap.hall, []).append(cap)
    groups = "".join(
        f'<div class="strip"><span class="name">{escape(hall)}</span><span class="cells">'
        + "".join(_cell(cap) for cap in caps)
        + "</span></div>"
        for hall, caps in halls.items()
    )
    known = [cap.share for cap in now.caps if cap.share is not None]
    mean = f"mean of the highest caps: {100 * sum(known) / len(known):.0f} % of the most" if known else "none was sent yet"
    return _head(f"Caps of {len(now.caps)} pools") + f'<div class="strips" role="img" aria-label="{mean}">{groups}</div>' + _foot(mean, "")


def _cell(cap: CapNow) -> str:
    height = max(100 * (cap.share or 0.0), 4.0)
    return f'<i data-pool="{escape(cap.id)}" title="{escape(_said(cap))}" style="height:{height:.0f}%"></i>'


def _said(cap: CapNow) -> str:
    sent = "nothing sent" if cap.sent_w is None else f"up to {cap.sent_w} W"
    enforced = "" if cap.enforced_w is None else f", enforced {cap.enforced_w} W"
    return f"{cap.id}: {sent}{enforced}{', overridden' if cap.overridden else ''}"


def _mark(cap: CapNow) -> str:
    return ' <small title="an override is in force">by hand</small>' if cap.overridden else ""


def _alarms(_site: Site, now: Glance, zone: ZoneInfo) -> str:
    if not now.alarms:
        aside = f"{now.shelved} put aside" if now.shelved else ""
        return _head("Alarms") + '<p class="big">none</p>' + _foot(aside, _doubted(now), _broken(now))
    lines = "".join(
        f'<li class="{alarm.severity}"><b>{SIGN[alarm.severity]} {escape(alarm.severity)}</b> {escape(local(alarm.cause, zone, now.now))} '
        f"<small>since {clock(alarm.since, zone, now.now)}</small></li>"
        for alarm in now.alarms[:3]
    )
    more = f"and {len(now.alarms) - 3} more" if len(now.alarms) > 3 else ""
    return _head(f"Alarms: {len(now.alarms)}") + f'<ul class="alarms">{lines}</ul>' + _foot(more, _doubted(now), _broken(now))


SIGN: Final = {"critical": "⬣", "alarm": "▲", "warning": "●"}
"""Shapes, so that colour is not all that tells."""


def _doubted(now: Glance) -> str:
    return f"{now.doubted} sensor{'s are' if now.doubted > 1 else ' is'} not believed" if now.doubted else ""


def _broken(now: Glance) -> str:
    return f"the plan breaks {now.broken} limit{'s' if now.broken > 1 else ''}: see below" if now.broken else ""


TILES: Final[Mapping[str, Callable[[Site, Glance, ZoneInfo], str]]] = {
    "mode": _mode,
    "clock": _clock,
    "power": _power,
    "price": _price,
    "cost": _cost,
    "jobs": _jobs,
    "battery": _battery,
    "alarms": _alarms,
    "caps": _caps,
    "halls": _halls,
}


def _head(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def _foot(*lines: str) -> str:
    return "".join(f'<p class="foot">{escape(line)}</p>' for line in lines if line)


def _bar(share: float, kind: str, label: str, mark: float | None = None) -> str:
    width = 100 * min(max(share, 0.0), 1.0)
    at = "" if mark is None else f'<u style="left:{100 * mark:.1f}%"></u>'
    return f'<span class="bar {kind}" role="img" aria-label="{escape(label)}" title="{escape(label)}"><i style="width:{width:.1f}%"></i>{at}</span>'


def _then(coming: Next | None, what: str, unit: str, zone: ZoneInfo, now: Glance) -> str:
    return "" if coming is None else f"{what} {number(coming.value)}{unit} from {clock(coming.at, zone, now.now)}".strip()
