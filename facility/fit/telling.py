"""Telling: estimates beside the site file's values, in words, as JSON, and as YAML to paste."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from facility.fit.cooling import PlantFit
from facility.fit.estimate import Estimate
from facility.fit.points import CurveFit
from facility.site import Site


@dataclass(frozen=True)
class Found:
    """All that was fitted of one site; `files` are those that it was fitted to."""

    site: Site
    files: tuple[str, ...]
    curves: tuple[CurveFit, ...]
    idle: tuple[Estimate, ...]
    plants: tuple[PlantFit, ...]

    @property
    def estimates(self) -> Iterator[Estimate]:
        """Every estimate, told or not."""
        for curve in self.curves:
            yield from curve.estimates
        yield from self.idle
        for plant in self.plants:
            yield from plant.estimates

    @property
    def notes(self) -> Iterator[str]:
        """What is to be said beside the figures."""
        for curve in self.curves:
            yield from (f"{curve.model}/{curve.curve}: {note}" for note in curve.notes)
        for plant in self.plants:
            yield from (f"{plant.plant}: {note}" for note in plant.notes)
            if plant.bias_pct is not None and plant.spread_pct is not None:
                (said, fitted), (usual, left) = plant.bias_pct, plant.spread_pct
                yield (
                    f"{plant.plant}: over {plant.intervals} intervals it drew {said:+.1f} % against the site file's figures "
                    f"(usually {usual:.1f} % off), {fitted:+.1f} % against the fitted ones (usually {left:.1f} % off)"
                )


def rows(found: Found) -> Iterator[tuple[str, str, str, str]]:
    """Rows (key with unit, site file, fitted with its error, remark) of the table that is printed."""
    for each in found.estimates:
        label = f"{each.key}, {each.unit}" if each.unit and not each.key.endswith(f"_{each.unit.lower()}") else each.key
        was = "-" if each.was is None else f"{each.was:.4g}"
        if each.value is None:
            yield label, was, "?", each.why
            continue
        error = "" if each.error is None else f" ± {each.error:.2g}" if each.error > 1e-9 * abs(each.value) else " ± 0"
        yield label, was, f"{each.value:.4g}{error}", "; ".join(filter(None, ["OFF" if each.off else "new" if each.was is None else "", each.why]))


def as_json(found: Found) -> dict[str, Any]:
    """`fit.json`: every estimate, the points of every curve, how well the plants are told."""
    return {
        "site": found.site.id,
        "telemetry": list(found.files),
        "estimates": [asdict(each) | {"off": each.off} for each in found.estimates],
        "curves": [asdict(curve) | {"estimates": None} for curve in found.curves],
        "plants": [{key: value for key, value in asdict(plant).items() if key != "estimates"} for plant in found.plants],
        "notes": list(found.notes),
    }


def as_yaml(found: Found) -> str:
    """What the telemetry tells, as YAML that can be pasted into the site file, or laid over it by `based_on`."""
    tree: dict[str, Any] = {}
    for curve in found.curves:
        kept = curve.kept(found.site.gpu_models[curve.model])
        if len(kept) >= 2 and curve.curve:
            points = [f"{{cap_w: {p.cap_w}, draw_w: {p.draw_w:.6g}, speed: {p.speed:.6g}}}" for p in kept]
            source = f"facility fit, {curve.readings} readings of {', '.join(found.files)}"
            _put(tree, ["gpu_models", curve.model, "curves", curve.curve], {"source": _quoted(source), "points": points})
    for each in (*found.idle, *(one for plant in found.plants for one in plant.estimates)):
        if each.value is not None and each.error is not None:
            was = "" if each.was is None else f", was {each.was:.6g}"
            _put(tree, each.key.split("."), f"{each.value:.6g} # +- {each.error:.2g}{was}")
    return "".join(f"{line}\n" for line in _lines(tree))


def _put(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _lines(tree: dict[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{key}:"
            yield from (f"{indent}  - {item}" for item in value)
        else:
            yield f"{indent}{key}: {value}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
