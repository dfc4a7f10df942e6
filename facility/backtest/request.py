"""Request: what `facility backtest` was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from facility import __version__
from facility.durations import parse_duration, parse_instant
from facility.errors import Fault, InputError
from facility.site import Site

CONTROLLERS = ("foresight", "ours", "rules", "none")
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Request:
    """The options of the command line, as written. Without `cycle` the site's `control.cycle_s`."""

    site: str
    start: str
    end: str
    prices: str | None = None
    weather: str | None = None
    carbon: str | None = None
    jobs: str | None = None
    jobs_from: str | None = None
    timezone: str | None = None
    cycle: str | None = None
    foresight_h: float = 48.0
    published: str = "12:45"
    seed: int = 0
    controllers: Sequence[str] = CONTROLLERS
    settings: Sequence[str] = ()

    def fingerprint(self) -> dict[str, object]:
        """What a result depends on, to tell whether an earlier one may go on: the version, the options, and a digest of each file."""
        options = [field.name for field in fields(self) if field.name != "controllers"]
        told: dict[str, object] = {"facility": __version__, **{name: getattr(self, name) for name in options}}
        for name in ("site", "prices", "weather", "carbon", "jobs"):
            path = Path(str(told[name]).partition(":")[0]) if told[name] else None
            if path is not None and path.exists():
                told[f"{name} file"] = blake2b(path.read_bytes(), digest_size=16).hexdigest()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


@dataclass(frozen=True)
class Span:
    """From `start` until `end`, UTC, in cycles of `cycle`; at the local time `published` of a day the prices of the next one are known."""

    start: datetime
    end: datetime
    cycle: timedelta
    published: timedelta


def span_of(request: Request, site: Site) -> Span:
    """The span of a request. InputError tells every fault of its options at once."""
    zone, faults = ZoneInfo(site.timezone), list[Fault]()
    instants: list[datetime] = []
    for option, said in (("--from", request.start), ("--to", request.end)):
        try:
            instants.append(parse_instant(said, zone, option)[0])
        except InputError as error:
            faults += error.faults
    if len(instants) == 2 and instants[0] >= instants[1]:
        faults.append(Fault("--to", f"{request.end} is not after --from {request.start}", "give a later one; it is not part of the span"))
    cycle = timedelta(seconds=site.control.cycle_s)
    if request.cycle is not None:
        try:
            cycle = parse_duration(request.cycle, "--cycle")
        except InputError as error:
            faults += error.faults
    if not (SHORTEST <= cycle <= LONGEST and not cycle % MINUTE and not timedelta(hours=1) % cycle):
        faults.append(Fault("--cycle", f"{cycle} does not divide an hour into whole minutes", "give one such as 5min or 15min"))
    if request.timezone is not None and request.timezone not in available_timezones():
        faults.append(Fault("--timezone", f"{request.timezone!r} is no IANA zone", "give one such as Europe/Berlin"))
    if request.jobs_from is not None and request.jobs is None:
        faults.append(Fault("--jobs-from", "there is no --jobs", "give the job file it is an instant of, or leave it out"))
    if not 1 <= request.foresight_h <= 168:
        faults.append(Fault("--foresight", f"{request.foresight_h:g} h is no horizon for it", "give from 1 to 168 hours"))
    hour, _, minute = request.published.partition(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        faults.append(Fault("--published", f"{request.published!r} is no time of a day", "write it like 12:45"))
    if unknown := [name for name in request.controllers if name not in CONTROLLERS]:
        faults.append(Fault("--only", f"{unknown[0]!r} is none of those compared", f"name of {', '.join(CONTROLLERS)}"))
    if faults:
        raise InputError(*faults)
    return Span(instants[0], instants[1], cycle, timedelta(hours=int(hour), minutes=int(minute)))
