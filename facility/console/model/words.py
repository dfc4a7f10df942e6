"""Words: numbers and instants as an operator reads them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

NOTHING: Final = "\u2013"
"""What stands where nobody knows."""


def number(value: float | None, digits: int = 0) -> str:
    """Write a number with its thousands apart.

    >>> number(12345.6), number(-0.2), number(None) == NOTHING
    ('12,346', '0', True)
    """
    if value is None:
        return NOTHING
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if not float(text.replace(",", "")) else text


def power(kw: float | None) -> str:
    """Write a power, kW; from 100 MW on in MW.

    >>> power(812.4), power(250_000)
    ('812 kW', '250 MW')
    """
    if kw is None:
        return NOTHING
    return f"{number(kw)} kW" if abs(kw) < 100_000 else f"{number(kw / 1000)} MW"


def clock(instant: datetime, zone: ZoneInfo, now: datetime) -> str:
    """Write an instant by the site's clock: the time of day, with its date where that is another.

    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 7, 15, 12, tzinfo=UTC)
    >>> clock(noon, ZoneInfo("UTC"), noon), clock(noon + timedelta(days=1), ZoneInfo("UTC"), noon)
    ('12:00', 'Thu 16 Jul 12:00')
    """
    local = instant.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == now.astimezone(zone).date() else f"{local:%a %d %b %H:%M}"


def lasting(seconds: float) -> str:
    """Write a duration.

    >>> lasting(4.2), lasting(130), lasting(7300)
    ('4 s', '2 min', '2 h 2 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


UTC_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d)?(?:Z|\+00:00| UTC)?")


def local(text: str, zone: ZoneInfo, now: datetime) -> str:
    """Write the instants in a sentence of the daemon's, which are UTC, by the site's clock.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 7, 15, 12, tzinfo=UTC)
    >>> local("waits until 2026-07-15T15:21Z", ZoneInfo("Europe/Berlin"), noon)
    'waits until 17:21'
    >>> local("cap 250 W from 2026-07-15 11:51 until 2026-07-16 12:51 UTC", ZoneInfo("Europe/Berlin"), noon)
    'cap 250 W from 13:51 until Thu 16 Jul 14:51'
    """

    def instant(found: re.Match[str]) -> str:
        return clock(datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00"), zone, now)

    return UTC_INSTANT.sub(instant, text)


KINDS: Final = {
    "cap_w": "cap",
    "import_limit_kw": "import limit",
    "hold": "hold jobs",
    "release": "release",
    "run": "run",
    "pause": "pause",
    "manual": "MANUAL",
    "freeze": "freeze",
    "stop": "STOP",
}


def override(kind: str, value: float | None) -> str:
    """Say what an override asks for.

    >>> override("cap_w", 250), override("stop", None)
    ('cap 250 W', 'STOP')
    """
    unit = {"cap_w": " W", "import_limit_kw": " kW"}.get(kind, "")
    return KINDS.get(kind, kind) + ("" if value is None else f" {value:,g}{unit}")
