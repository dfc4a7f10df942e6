"""Layers: one document over another. Keys of mappings are laid one by one, everything else as a whole."""

from __future__ import annotations

from functools import reduce
from typing import Any

from facility.config.strict_yaml import Document


def laid(under: Document, file: str, over: Document) -> Document:
    """Lay one document over another one that was read from `file`; each key keeps the line, and the file, in which it stands."""
    lines, files = dict(under.lines), dict.fromkeys(under.lines, file)
    for key, line in over.lines.items():
        if not isinstance(reduce(_step, key, over.value), dict):
            for old in [old for old in lines if old[: len(key)] == key]:
                del lines[old]
        lines[key] = line
        files.pop(key, None)
    return Document(merged(under.value, over.value), lines, under.twice | over.twice, files)


def merged(under: Any, over: Any) -> Any:
    """Lay one value over another."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return under | {key: merged(under.get(key), value) for key, value in over.items()}


def _step(value: Any, key: str | int) -> Any:
    return value[key]
