"""Ink: the colours and words that all charts share.

Colours are Okabe and Ito's, which people with any kind of colour vision tell apart (jfly.uni-koeln.de/color). One that begins with @ is
the page's own, light or dark; its script puts it in.
"""

from __future__ import annotations

from html import escape

BLUE, ORANGE, GREEN, PURPLE, SKY, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a8a"
INK, SOFT, RULE, CLEAR = "@ink", "@soft", "@rule", "rgba(0,0,0,0)"
IN_TURN = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
"""For things of one kind, one after another."""

LOW_TO_HIGH = ((0.0, "#3f68b1"), (0.5, "#9c9b90"), (1.0, "#f2cb2e"))
"""From blue over grey to yellow, ever lighter, and seen on a light page and a dark one."""

LONGEST_LABEL = 14


def label(text: str, *, full: bool = False) -> str:
    """Text from a file, safe in Plotly's own markup, and short unless asked for in full."""
    cut = text if full or len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
    return escape(cut, quote=False)
