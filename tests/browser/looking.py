"""What is asked of a page in the browser, as JavaScript: how it looks, how it is heard, how it prints."""

from __future__ import annotations

from typing import Any

CONTRAST = r"""() => {
  const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const numbers = color => (color.match(/[\d.]+/g) || []).map(Number);
  const light = color => { const [r, g, b] = numbers(color).map(channel); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const clear = color => color === "transparent" || numbers(color)[3] === 0;
  const behind = node => {
    while (node && clear(getComputedStyle(node).backgroundColor)) node = node.parentElement;
    return node ? getComputedStyle(node).backgroundColor : "rgb(255, 255, 255)";
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    if (!node.checkVisibility() || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName)) continue;
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim())) continue;
    const style = getComputedStyle(node);
    const both = [light(node.ownerSVGElement ? style.fill : style.color), light(behind(node))];
    found.push([(Math.max(...both) + 0.05) / (Math.min(...both) + 0.05), node.tagName, node.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""
"""Contrast of each visible text with what is behind it (WCAG 2), its element and its words."""

HEARD = """() => {
  const text = id => document.getElementById(id)?.textContent ?? "";
  const said = node => (node.getAttribute("aria-labelledby") || "").split(" ").map(text).join(" ").trim() || node.getAttribute("aria-label")
    || node.labels?.[0]?.textContent || "";
  return [...document.querySelectorAll("[role=img], [role=region], nav, input, select")].map((node, n) => [node.id || n, said(node)]);
}"""
"""What a screen reader calls each picture, region and control."""

OUTSIDE = """() => [...document.querySelectorAll("h1, h2, p, .chart, .main-svg, form *")]
  .filter(node => node.getBoundingClientRect().right > innerWidth + 1).map(node => node.outerHTML.slice(0, 80))"""

NOTES_PAPER = """() => {
  window.printed = [];
  const color = (selector, of) => getComputedStyle(document.querySelector(selector))[of];
  addEventListener("beforeprint", () => {
    const ink = document.querySelectorAll("#chart-power .js-line[style*='stroke: rgb(0, 0, 0)']").length;
    printed.push(color("body", "backgroundColor"), color("#chart-power .ytitle", "fill"), at("chart-power").layout.width, ink > 0);
  });
}"""
"""Notes, in `printed`, how the page looks when it is about to be printed."""

SETTLED = """() => [...document.querySelectorAll(".chart")].every(chart => Math.abs(chart._fullLayout.width - chart.clientWidth) <= 1)"""
"""Whether every chart is as wide as its place, which it is a moment after the window is."""

CELLS = "table => [...table.rows].map(row => [...row.cells].map(cell => cell.textContent))"


def is_readable(page: Any, width: int) -> bool:
    """Whether nothing stands outside of a page that is so wide, every text stands out, and every picture and control has a name. It asserts."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    assert [said for said in page.evaluate(CONTRAST) if said[0] < 4.5] == []
    assert [key for key, said in page.evaluate(HEARD) if len(said) < 3] == []
    return True
