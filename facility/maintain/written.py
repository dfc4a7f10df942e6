"""Written: a refresh as a site file of its own, which is based on the given one and holds only what differs.

Where the given file is itself laid over another, both are laid over that one: a file may be based on one that is complete.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from facility.config import load_site
from facility.config.layers import merged
from facility.config.strict_yaml import parse
from facility.errors import Fault, InputError
from facility.site import Site
from facility.site.part import Part

FAMILIES = ("pools", "contracts", "maintenance")
"""The parts of a site file that a refresh changes."""


def write(file: Path, given: str, site: Site, laid: Site, says: str) -> None:
    """Write what `laid` has beyond `site`, the site of the file `given`, and read it back. InputError where it cannot be written."""
    own = Path(given)
    if file.resolve() == own.resolve():
        raise InputError(Fault(f"--out {file}", "is the site file itself", "name another one, beside it"))
    document = parse(own.read_text(encoding="utf-8-sig"))
    under: dict[str, Any] = {} if document is None or "based_on" not in document.value else dict(document.value)
    base = own.parent / under.pop("based_on") if under else own
    if file.resolve() == base.resolve():
        raise InputError(Fault(f"--out {file}", f"is the site file that {given} is based on", "name another one, beside it"))
    if under and file.resolve().parent != own.resolve().parent:
        found = f"{given} is based on {base.name}, and names files from its own folder"
        raise InputError(Fault(f"--out {file}", found, f"write it into {own.parent}"))
    content = {"based_on": os.path.relpath(base, file.parent), **_plain(merged(under, changed(site, laid)))}
    text = f"# {says}\n\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=140)}"
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(Fault(f"--out {file}", f"cannot be written: {error.strerror}", "name a place where you may write")) from None
    read = load_site(file)
    assert all(getattr(read, family) == getattr(laid, family) for family in FAMILIES), "what was written is what was found"


def changed(site: Site, laid: Site) -> dict[str, dict[str, Any]]:
    """The keys of `laid` that are not as in `site`."""
    found: dict[str, dict[str, Any]] = {}
    for family in FAMILIES:
        old, new = getattr(site, family), getattr(laid, family)
        parts = {name: _keys(old.get(name), part) for name, part in new.items() if part != old.get(name)}
        if parts:
            found[family] = parts
    return found


def _keys(old: Part | None, new: Part) -> dict[str, Any]:
    before = {} if old is None else old.model_dump(mode="json", exclude_unset=True)
    after = new.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return {key: value for key, value in after.items() if key not in before or before[key] != value}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
