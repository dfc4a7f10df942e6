"""Rules of a site's part in NVIDIA DSX Exchange: points that exist there, as sensors that exist here."""

from __future__ import annotations

from collections.abc import Iterator

from facility.config.rules.mapping import sensor
from facility.config.rules.parts import Breach, Known, expand, nearest
from facility.config.strict_yaml import KeyPath
from facility.dsx.facts import POINTS
from facility.dsx.naming import expression
from facility.site.mapping import HOLE


def exchange(site: Known) -> Iterator[Breach]:
    """A profile without its part, and points that cannot be."""
    if site.get("bus", "profile") == "dsx" and site.get("bus", "dsx") is None and not site.malformed("bus", "dsx"):
        yield ("bus", "profile"), "dsx, and nothing says what the site's part in it is", "give bus.dsx, with agent at least"
    for point in expand(site, ("bus", "dsx", "points", "*")):
        yield from _types(site, point)
        yield from _names(site, point)
        yield from sensor(site, point)


def _types(site: Known, point: KeyPath) -> Iterator[Breach]:
    kind, what = site.get(*point, "object_type"), site.get(*point, "point_type")
    if kind is not None and kind not in POINTS:
        yield (*point, "object_type"), kind, nearest(kind, POINTS)
    elif kind is not None and what is not None and what not in POINTS[kind]:
        yield (*point, "point_type"), f"{what} of a {kind}", nearest(what, POINTS[kind])


def _names(site: Known, point: KeyPath) -> Iterator[Breach]:
    pattern, template = site.get(*point, "id"), site.get(*point, "sensor")
    if pattern is None:
        return
    try:
        known = expression(pattern).groupindex
    except ValueError as error:
        yield (*point, "id"), f"{pattern}: {error}", "text with `*` for any text and `{name}` for what is captured, each name once"
        return
    for name in HOLE.findall(template or ""):
        if name not in known:
            yield (*point, "sensor"), f"`{{{name}}}` is captured nowhere", "write it in braces as a part of id"
