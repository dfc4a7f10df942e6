"""The path language: what it finds in JSON, what it captures, and that everything else is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.telemetry.paths import MISSING, PathError, path, said

MESSAGE = {
    "data": {"values": [{"power": 1.5}, {"power": 2.5}]},
    "metrics": [
        {"name": "Temperature", "value": 21.0},
        {"name": "Power", "value": 7.0},
        {"name": 3, "value": 8.0},
        {"value": 9.0},
        5,
    ],
    "by name": {"a": {"kW": 1}, "b": {"kW": 2}, "c": 3},
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("data.values[0].power", [(1.5, {})]),
        ("data.values[1].power", [(2.5, {})]),
        ("data.values[2].power", []),
        ("data.values.power", []),
        ("data.values[*].power", [(1.5, {}), (2.5, {})]),
        ("data.values.*.power", [(1.5, {}), (2.5, {})]),
        ("metrics[name=Temperature].value", [(21.0, {})]),
        ("metrics[name=3].value", [(8.0, {})]),
        ("metrics[name={what}].value", [(21.0, {"what": "Temperature"}), (7.0, {"what": "Power"}), (8.0, {"what": "3"})]),
        ('"by name".{rack}.kW', [(1, {"rack": "a"}), (2, {"rack": "b"})]),
        ("by name.{rack}.kW", [(1, {"rack": "a"}), (2, {"rack": "b"})]),
        ("by name.*.kW", [(1, {}), (2, {})]),
        ("metrics.{name}", []),
        ("nothing", []),
        ("$.data.values[0].power", [(1.5, {})]),
    ],
)
def test_a_path_finds_what_stands_there(text: str, found: list[Any]) -> None:
    assert list(path(text).find(MESSAGE, {})) == found
    assert path(text).one(MESSAGE) == (found[0][0] if found else MISSING)


def test_null_is_something_and_what_is_not_there_is_not() -> None:
    assert path("v").one({"v": None}) is None
    assert path("v").one({}) is MISSING
    assert list(path("v").find({"v": None}, {"hall": "h1"})) == [(None, {"hall": "h1"})]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("$.", "empty"),
        ("a.", "ends in a dot"),
        ("a..b", "has no name"),
        (".a", "has no name"),
        ("a[b]", "has no [0]"),
        ("a[-1]", "has no [0]"),
        ("a[?(@.b>1)]", "has no [0]"),
        ("a[name=]", "compares `name` with nothing"),
        ("a[name={x}y]", "compares `name` with nothing, or with more"),
        ("a[0]b", "goes on with `b`"),
        ("a.{Asset}", "has no name"),
        ("a*", "goes on with `*`"),
        ("a.$.b", "has no name"),
        ('"a', "has no name"),
        ("a.b=c", "goes on with `=c`"),
    ],
)
def test_what_is_not_in_the_language_is_refused_with_words(text: str, words: str) -> None:
    with pytest.raises(PathError) as refused:
        path(text)
    assert words in str(refused.value)


def test_captures_and_whether_it_leads_to_one_place_are_known_beforehand() -> None:
    assert path("a.{x}.b[name={y}].c").captures == ("x", "y")
    assert [path(text).single for text in ("a.b[0]", "a.*", "a[name=b]")] == [True, False, False]
    assert [path(text).whole for text in ("$", "$.a", "a")] == [True, True, False]


@given(st.text(max_size=20))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        found = path(text)
    except PathError:
        return
    list(found.find(MESSAGE, {}))


def test_scalars_are_compared_by_how_json_writes_them() -> None:
    assert [said(value) for value in (True, False, None, 3, "3", 1.5, [], {})] == ["true", "false", "null", "3", "3", "1.5", None, None]
