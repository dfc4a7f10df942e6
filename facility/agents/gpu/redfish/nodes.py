"""Nodes: the file that says which management controllers there are and how to log in to each; TOML, secrets in files or the environment.

[every]                                  what holds for every node that does not say otherwise
user = "facility"
password_file = "bmc.password"           its first line, for nobody but us to read; or password_env = "BMC_PASSWORD"
ca_file = "bmc-ca.pem"                   who signed their certificates; absent: the system's CAs

[nodes.node-17]                          begins the names of its GPUs: node-17/0
url = "https://10.1.0.17"
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from facility.bus.secrets import first_line, read_private
from facility.bus.topics import ID
from facility.errors import Fault, InputError


@dataclass(frozen=True)
class Node:
    """One management controller."""

    name: str
    url: str
    user: str
    password: str = field(repr=False)
    ca_file: str | None = None


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = ""
    user: str = ""
    password_file: str | None = None
    password_env: str | None = None
    ca_file: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    nodes: dict[str, dict[str, Any]]
    every: dict[str, Any] = {}


def read_nodes(file: Path) -> tuple[Node, ...]:
    """Read the file; files that it names stand in its own folder. Raises InputError with every fault."""
    try:
        told = msgspec.convert(tomllib.loads(file.read_text("utf-8")), _File)
    except OSError as error:
        raise InputError(Fault("--nodes", f"{file} cannot be read: {error.strerror}", "name a file that we may read")) from error
    except (ValueError, msgspec.ValidationError) as error:
        raise InputError(Fault(str(file), f"{error}", "write [nodes.ID] with url, user and password_file; see the README")) from error
    found: list[Node] = []
    faults: list[Fault] = []
    for name, own in told.nodes.items():
        try:
            found.append(_node(file, name, {**told.every, **own}))
        except InputError as error:
            faults += error.faults
    if not told.nodes:
        faults.append(Fault(str(file), "no node", "write [nodes.ID] with a url"))
    if faults:
        raise InputError(*faults)
    return tuple(found)


def _node(file: Path, name: str, said: Mapping[str, Any]) -> Node:
    place = f"{file}: nodes.{name}"
    try:
        told = msgspec.convert(said, _Said)
    except msgspec.ValidationError as error:
        raise InputError(Fault(place, f"{error}", "give url, user, password_file or password_env, ca_file")) from error
    if not re.fullmatch(ID, name):
        raise InputError(Fault(place, "is no id", f"use the form {ID}"))
    if not re.fullmatch(r"https?://[^/\s]+/?", told.url):
        raise InputError(Fault(place, f"url {told.url!r} is no address", "write https://HOST[:PORT]"))
    if not told.user or (told.password_file is None) == (told.password_env is None):
        raise InputError(Fault(place, "says not how to log in", "give user, and one of password_file and password_env"))
    if told.password_file is not None:
        secret = first_line(read_private(file.parent / told.password_file, f"nodes.{name}.password_file"), f"nodes.{name}.password_file")
    else:
        secret = os.environ.get(told.password_env or "", "")
        if not secret:
            raise InputError(Fault(place, f"{told.password_env} is not set", "set it in the environment of the agent"))
    ca_file = None if told.ca_file is None else str(file.parent / told.ca_file)
    return Node(name, told.url.rstrip("/"), told.user, secret, ca_file)
