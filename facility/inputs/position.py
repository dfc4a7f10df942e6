"""Position files: the `import_kw` of an earlier plan's `plan.csv`, less its `export_kw`, as what was committed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from facility.inputs.series import Quantity, Series, intervals, read_series
from facility.inputs.table import read_table, refused
from facility.site import Site

IMPORT = Quantity("committed import", "import_kw", r"import_kw", "kw", 0, 1e7)
EXPORT = Quantity("committed export", "export_kw", r"export_kw", "kw", 0, 1e7)


def read_position(path: str, site: Site, *, start: datetime, end: datetime, timezone: str | None) -> Series:
    """Read what of `path` lies in `[start, end)`, kW.

    Raises InputError as `read_series` does, for a file of another time altogether, and for a plan of another site (told by the
    `summary.json` beside it).
    """
    _refuse_other_site(path, site)
    frame = read_table(path)
    begin, last = intervals(path, frame[str(frame.columns[0])], timezone)
    first, final = (_aware(at) for at in (begin[0], last[-1]))
    if first >= end or final <= start:
        found = f"covers {first:%Y-%m-%d %H:%M} to {final:%Y-%m-%d %H:%M} UTC, nothing of the time that is planned"
        raise refused(path, found, "give the position of that time, or leave --position out")
    span = {"start": max(start, first), "end": min(end, final)}
    drawn = read_series(f"{path}:import_kw", IMPORT, **span, timezone=timezone, currency=site.currency)
    if "export_kw" not in frame.columns:
        return drawn
    given = read_series(f"{path}:export_kw", EXPORT, **span, timezone=timezone, currency=site.currency)
    return replace(drawn, value=drawn.value - given.value)


def _refuse_other_site(path: str, site: Site) -> None:
    try:
        told = json.loads((Path(path).parent / "summary.json").read_text(encoding="utf-8"))
        other = told["site"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if other != site.id:
        raise refused(path, f"is a plan of site {other}, not of {site.id}", "give the position of this site")


def _aware(at: object) -> datetime:
    return datetime.fromisoformat(f"{at}+00:00")
