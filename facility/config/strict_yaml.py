"""Strict YAML: what stands in the text and nothing else, and the line of every key.

YAML 1.1 reads `12:30` as 750, `NO` as false and `012` as 10. Here a plain scalar is a number only if it is written as a
decimal number, a boolean only if it is `true` or `false`, nothing only if it is `null`, `~` or empty, and text otherwise. Keys
are always text. Tags, aliases, a second document and nesting deeper than 32 are refused; a key given twice is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys and, in lists, indices from 0."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_DEPTH = 32
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,3})?")


class YamlError(Exception):
    """The text cannot be read: the line (from 1), what was found there, and the remedy."""

    def __init__(self, line: int, found: str, remedy: str) -> None:
        super().__init__(f"line {line}: {found}; {remedy}")
        self.line, self.found, self.remedy = line, found, remedy


@dataclass
class Document:
    """A text that was read. `value` is made of dict, tuple, str, int, float, bool and None; `lines` count from 1."""

    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    twice: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    """Keys given twice: the first line, whose value is kept, and the last."""
    files: dict[KeyPath, str] = field(default_factory=dict)
    """The file of each key that came from another one."""


def parse(text: str) -> Document | None:
    r"""Read one YAML document; None where the text holds none. Raises YamlError.

    >>> parse("start: 12:30\nactive: no\nlimit_kw: 9.5e3").value
    {'start': '12:30', 'active': 'no', 'limit_kw': 9500.0}
    """
    try:
        return _document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlError(line, f"not YAML: {error.problem}", "mend the line or the one before it") from error
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise YamlError(line, f"not YAML: {error.reason}", "remove the character") from error
    except UnicodeEncodeError as error:
        raise YamlError(1, "bytes that are not UTF-8 text", "write it as UTF-8") from error


def _document(events: Iterator[yaml.Event]) -> Document | None:
    next(events)  # start of the stream
    if isinstance(next(events), yaml.StreamEndEvent):
        return None
    document = Document()
    document.value = _value(next(events), events, (), document)
    next(events)  # end of the document
    after = next(events)
    if not isinstance(after, yaml.StreamEndEvent):
        raise YamlError(_line(after), "a second document", "keep one document in the file")
    return document


def _value(event: yaml.Event, events: Iterator[yaml.Event], path: KeyPath, document: Document) -> Any:
    document.lines.setdefault(path, _line(event))
    if isinstance(event, yaml.AliasEvent):
        raise YamlError(_line(event), f"the alias `*{event.anchor}`", "write the value out; aliases are not read")
    if (tag := getattr(event, "tag", None)) is not None:
        raise YamlError(_line(event), f"the tag `{tag}`", "remove it; tags are not read")
    if len(path) > _MAX_DEPTH:
        raise YamlError(_line(event), f"nesting deeper than {_MAX_DEPTH}", "nest less deep")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value) if event.implicit[0] else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_value(item, events, (*path, len(items)), document))
        return tuple(items)
    mapping: dict[str, Any] = {}
    while not isinstance(key := next(events), yaml.MappingEndEvent):
        if not isinstance(key, yaml.ScalarEvent) or key.tag is not None:
            raise YamlError(_line(key), "a key that is not plain text", "write the key as one word")
        at = (*path, key.value)
        first = document.lines.setdefault(at, _line(key))
        value = _value(next(events), events, at, document)
        if key.value in mapping:
            document.twice[at] = (first, _line(key))
        mapping.setdefault(key.value, value)
    return mapping


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
