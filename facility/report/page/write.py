"""Write: parts, styles, script and Plotly put into one HTML file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from facility.report.local_clock import Clock
from facility.report.page.parts import Part


def write_page(path: Path, title: str, head: str, parts: Sequence[Part], clock: Clock | None = None) -> None:
    """Write the page `title` to `path`: `head` (HTML) under its name, then `parts`; charts over time and tables by step need the `clock`."""
    from plotly.offline import get_plotlyjs

    told: dict[str, Any] = {"figures": {}, "numbers": {}, "jobs": None}
    if clock is not None:
        told |= {"minutes": clock.minutes, "said": clock.said, "start_ms": clock.start_ms, "zone": clock.zone}
    for part in parts:
        for kind, what in part.data(clock).items():
            told[kind] = what if kind == "jobs" else told[kind] | what
    data = json.dumps(told, allow_nan=False, separators=(",", ":"))
    here = files("facility.report.page")
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    contents = "".join(f'<li><a href="#{part.key}">{escape(part.title)}</a></li>' for part in parts)
    page = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(title)}</title><style>{style}</style></head><body>",
        f"<header>{head}</header>",
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav><main>',
        "<noscript><p>The charts and the long tables of this page need JavaScript; the files beside it have the same numbers.</p></noscript>",
        *(f'<section id="{part.key}"><h2 id="{part.key}-title">{escape(part.title)}</h2>{part.html()}</section>' for part in parts),
        f'</main><script type="application/json" id="data">{_inert(data)}</script>',
        f"<script>{get_plotlyjs()}</script><script>{script}</script></body></html>\n",
    ]
    path.write_text("\n".join(page), encoding="utf-8")


def _inert(text: str) -> str:
    """JSON that cannot end the script it stands in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
