"""Reading a site file: YAML to `Site`, or every fault in it at once, each with its place, what was found and the remedy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from facility.config.layers import laid
from facility.config.rules import breaches, nearest
from facility.config.strict_yaml import Document, KeyPath, YamlError, parse
from facility.errors import Fault, InputError
from facility.site import Bus, Part, Site
from facility.site.access import FILES, ROLES
from facility.site.schedulers import DOMAIN, KEY, VALUE

_SET = 0
"""The line of what an override put there."""

_WANTED = {
    "float_type": "a number, without quotes",
    "int_type": "a whole number, without quotes",
    "string_type": "text; put it in quotes",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "dict_type": "a mapping of ids to values",
    "model_type": "a mapping of keys to values",
    "tuple_type": "a list",
}
_PATTERNS = {
    r"^[a-z0-9][a-z0-9-]*$": "lower-case letters, digits and hyphens",
    r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$": "a time of day such as 06:30, up to 24:00",
    r"^([01]\d|2[0-3]):(00|15|30|45)$|^24:00$": "a quarter of an hour such as 06:30, up to 24:00",
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$": "a date such as 2026-07-15; put it in quotes",
    r"^https?://[^\s/]+": "an address such as http://node-1:9400/metrics",
    r"^(https?://[^\s/]+|unix:/\S+)$": "an address such as http://127.0.0.1:6820 or unix:/run/slurmrestd.sock",
    DOMAIN: "a name such as facility.example",
    KEY: "a label such as facility.example/pool",
    VALUE: "letters, digits, -, _ and . that begin and end with a letter or digit",
    r"^[a-z][a-z0-9_-]*$": "one word of lower-case letters, digits, _ and hyphens",
    r"^[A-Z]{3}$": "three capital letters, such as EUR",
    ROLES: "operator, dashboard, scheduler, grid, desk, building, agent/POOL, gateway/HALL or tenant/TENANT",
}


def load_site(path: str | Path, overrides: Sequence[str] = ()) -> Site:
    """Read the site file at `path`, laid over the one that it is `based_on`, with `KEY=VALUE` overrides laid over it in turn.

    A key is dotted (`grid.import_limit_kw`, `pools.h1-a.gpus`, `sample_jobs.0.gpus`); a value is YAML (`9000`, `true`,
    `{from_local: "17:00", ...}`) and replaces what stood there. Raises InputError with all faults: overrides that lead
    nowhere, then the file's in its order.
    """
    document = _read(path)
    if not isinstance(document.value, dict):
        raise InputError(Fault(f"{path} (line 1)", _said(document.value), "a mapping; begin with `id: my-site`"))
    if (base := document.value.get("based_on")) is not None:
        document = _based(path, document, base)
    faults: list[Fault] = []
    for text in overrides:
        faults += _lay_over(document, text)
    site: Site | None = None
    found: list[tuple[KeyPath, str, str]] = [
        (key, f"given twice, on lines {first} and {last}", "keep one of the two") for key, (first, last) in document.twice.items()
    ]
    known = _known_keys(Site, document.value)
    errors: list[ErrorDetails] = []
    try:
        site = Site.model_validate(document.value, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        found += [_told(detail, known) for detail in errors]
    found += breaches(_Known(document.value, known, {_path(detail) for detail in errors}))
    found.sort(key=lambda breach: (_file(document, breach[0], ""), _line(document, breach[0])))
    faults += [Fault(_place(path, document, key), what, remedy) for key, what, remedy in found]
    if site is None or faults:
        raise InputError(*faults)
    return site.model_copy(update={"bus": _at_home(site.bus, document, path)})


def assumed_curves(site: Site) -> tuple[str, ...]:
    """Return `model/curve` for every curve that nobody measured and that a contract, or work of `jobs.curve`, uses."""
    used = {(site.pools[c.pool].gpu_model, c.curve) for c in site.contracts.values() if c.pool is not None}
    used |= {(pool.gpu_model, site.jobs.curve) for pool in site.pools.values()}
    return tuple(
        f"{name}/{kind}"
        for name, model in site.gpu_models.items()
        for kind, curve in model.curves.items()
        if curve.assumed and (name, kind) in used
    )


def schema() -> dict[str, Any]:
    """Return the site file's JSON schema, for editors that complete and check YAML."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **Site.model_json_schema(), "title": "Site file of facility"}


def _read(path: str | Path) -> Document:
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        document = parse(text)
    except OSError as error:
        raise InputError(Fault(str(path), error.strerror or type(error).__name__, "give the path of a site file")) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(Fault(f"{path} (line {line})", "bytes that are not UTF-8 text", "save the file as UTF-8")) from error
    except YamlError as error:
        raise InputError(Fault(f"{path} (line {error.line})", error.found, error.remedy)) from error
    if document is None:
        raise InputError(Fault(f"{path} (line 1)", "an empty file", "begin with `id: my-site`"))
    return document


def _at_home(bus: Bus, document: Document, path: str | Path) -> Bus:
    """Name files from the folder of the file that names them."""
    def home(key: str) -> Path:
        return Path(_file(document, ("bus", key), str(path))).absolute().parent

    named = {key: getattr(bus, key) for key in FILES}
    files = {key: str(home(key) / Path(file).expanduser()) for key, file in named.items() if file is not None}
    return bus.model_copy(update=files | {"dsx": None if bus.dsx is None else bus.dsx.at_home(home("dsx"))})


def _based(path: str | Path, document: Document, base: Any) -> Document:
    """Lay a file over the one that it is based on: keys of mappings one by one, everything else as a whole."""
    place = _place(path, document, ("based_on",))
    if not isinstance(base, str) or not base:
        raise InputError(Fault(place, _said(base), "the path of another site file, from the folder of this one"))
    file = Path(path).parent / base
    under = _read(file)
    if not isinstance(under.value, dict) or "based_on" in under.value:
        raise InputError(Fault(place, f"{base} is no site file by itself", "name one that is complete"))
    return laid(under, str(file), document)


def _lay_over(document: Document, text: str) -> Iterator[Fault]:
    """Lay one `KEY=VALUE` over the document; yield why it cannot be."""
    place = f"--set {text}"
    dotted, equals, written = text.partition("=")
    if not equals or not written.strip():
        yield Fault(place, "no value" if equals else "no `=`", "write KEY=VALUE; `null` takes a value away")
        return
    known = _known_keys(Site, document.value)
    by_name = {_dotted(key): key for key in known}
    name, _, last = dotted.strip().rpartition(".")
    path = by_name.get(dotted.strip())
    if path is None and last and name in by_name and get_origin(known[by_name[name]].kind) is dict:
        path = (*by_name[name], last)  # a further pool, contract, ... of a what-if
    if path is None:
        yield Fault(place, f"no key `{dotted.strip()}`", _nearest_key(dotted.strip(), by_name))
        return
    try:
        value = parse(written) or Document()
    except YamlError as error:
        yield Fault(place, error.found, error.remedy)
        return
    if value.twice:
        yield Fault(place, f"`{_dotted(next(iter(value.twice)))}` given twice", "keep one of the two")
        return
    document.value = _with(document.value, path, value.value)
    document.lines = {key: line for key, line in document.lines.items() if key[: len(path)] != path} | {path: _SET}
    document.files = {key: file for key, file in document.files.items() if key[: len(path)] != path}


def _with(value: Any, path: KeyPath, new: Any) -> Any:
    """Return a copy of `value` with `new` at `path`."""
    if not path:
        return new
    key, rest = path[0], path[1:]
    if isinstance(value, tuple):
        return tuple(_with(item, rest, new) if i == key else item for i, item in enumerate(value))
    old = value if isinstance(value, dict) else {}
    return {**old, key: _with(old.get(key), rest, new)}


@dataclass(frozen=True)
class _Key:
    """A key that may be given: its type, and its field where it is a field of a part."""

    kind: Any
    field: FieldInfo | None = None


def _known_keys(kind: Any, value: Any, at: KeyPath = ()) -> dict[KeyPath, _Key]:
    """Return every key the schema knows, with the ids and indices that stand in `value`."""
    inner: list[tuple[str | int, _Key]] = []
    if get_origin(kind) in (Union, UnionType):
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, Part):
        inner = [(name, _Key(field.annotation, field)) for name, field in kind.model_fields.items()]
    elif get_origin(kind) is dict and isinstance(value, dict):
        inner = [(name, _Key(get_args(kind)[1])) for name in value]
    elif get_origin(kind) is tuple and isinstance(value, tuple):
        inner = [(i, _Key(get_args(kind)[0])) for i in range(len(value))]
    known = {(*at, name): key for name, key in inner}
    for name, key in inner:
        known |= _known_keys(key.kind, _step(value, name), (*at, name))
    return known


def _step(value: Any, key: str | int) -> Any:
    if isinstance(value, tuple) and isinstance(key, int):
        return value[key] if key < len(value) else None
    return value.get(key) if isinstance(value, dict) else None


@dataclass(frozen=True)
class _Known:
    """The file as far as it is valid, for the rules between its parts."""

    value: Any
    known: dict[KeyPath, _Key]
    bad: set[KeyPath]

    def get(self, *path: str | int) -> Any:
        value = reduce(_step, path, self.value)
        field = self.known[path].field if path in self.known else None
        if path in self.bad or (value is None and (field is None or field.is_required())):
            return None
        return field.default if value is None and field else value

    def malformed(self, *path: str | int) -> bool:
        return path in self.bad

    def ids(self, *path: str | int) -> tuple[Any, ...]:
        value = reduce(_step, path, self.value)
        return tuple(range(len(value))) if isinstance(value, tuple) else tuple(value) if isinstance(value, dict) else ()


def _told(detail: ErrorDetails, known: dict[KeyPath, _Key]) -> tuple[KeyPath, str, str]:
    """Put one of pydantic's errors into our words."""
    path, kind, context = _path(detail), detail["type"], detail.get("ctx", {})
    if kind == "missing":
        field = known[path].field if path in known else None
        return path, "missing", f"give it: {field.description}" if field and field.description else "give it"
    if kind == "extra_forbidden":
        here = {str(key[-1]): key for key in known if key[:-1] == path[:-1]}
        return path, f"unknown key `{path[-1]}`", nearest(str(path[-1]), here)
    said = _said(detail["input"])
    if kind == "string_pattern_mismatch":
        return path, said, _PATTERNS.get(context["pattern"], f"text that matches {context['pattern']}")
    if kind == "literal_error":
        return path, said, f"one of {context['expected'].replace(chr(39), '')}"
    if kind in ("too_short", "too_long"):
        return path, said, f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
    wanted = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return path, said, _WANTED.get(kind, wanted)


def _path(detail: ErrorDetails) -> KeyPath:
    return tuple(key for key in detail["loc"] if key != "[key]")


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return f"a mapping of {', '.join(value)}" if value else "an empty mapping"
    if isinstance(value, tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return f"the text `{value[:60]}`"
    if isinstance(value, bool):
        return f"{value}".lower()
    return "nothing" if value is None else f"{value}"


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _nearest_key(name: str, known: Collection[str]) -> str:
    """Return the remedy for a dotted key: near in spelling, or the same last part in another place."""
    leaf = name.rpartition(".")[2]
    same = [key for key in known if key.rpartition(".")[2] == leaf]
    return nearest(name, same or known)


def _line(document: Document, path: KeyPath) -> int:
    """Return the line of `path`, or of the part it is missing from; `_SET` where an override put it."""
    while path not in document.lines:
        path = path[:-1]
    return document.lines[path]


def _file(document: Document, path: KeyPath, own: str) -> str:
    """Return the file in which `path`, or the part that it is missing from, stands."""
    while path not in document.lines:
        path = path[:-1]
    return document.files.get(path, own)


def _place(file: str | Path, document: Document, path: KeyPath) -> str:
    line, file = _line(document, path), _file(document, path, str(file))
    where = "--set" if line == _SET else f"line {line}"
    return f"{file}: {_dotted(path)} ({where})" if path else f"{file} ({where})"
