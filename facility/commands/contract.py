"""`facility contract`: rentals of the running daemon - listed, brought from a file or by hand, ended - and every version there was."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from pydantic import ValidationError

from facility.bus.broker import Broker, reach
from facility.bus.interface import Message
from facility.bus.messages import ContractClear, ContractSet, ContractState, OverrideResult, Rejected, decode, encode
from facility.bus.mqtt import MqttBus
from facility.bus.signing import read_key, signed
from facility.bus.topics import Topics
from facility.commands.client import heard, visit
from facility.config import load_site
from facility.durations import parse_instant
from facility.errors import Fault, InputError
from facility.inputs.table import nearest
from facility.journal.journal import Journal
from facility.journal.rentals import Version
from facility.rental.file import KNOWN, read_contracts, rental_of
from facility.rental.rental import Rental, describe
from facility.rental.terms import said_terms
from facility.site import Contract, Site
from facility.site.tenancy import RENTED

FINE, NO, FAULT = 0, 1, 3
LIST_S: Final = 1.0
ANSWERS_S: Final = 5.0
"""How long after the last answer the next one is waited for."""
TERMS: Final = RENTED
Change = Literal["new", "changed", "unchanged", "ended"]


@dataclass(frozen=True)
class Asked:
    """The words of the command line: `name` is a contract's or, to import, a file's."""

    action: str
    name: str | None = None
    terms: tuple[str, ...] = ()
    timezone: str | None = None
    complete: bool = False
    dry_run: bool = False
    by: str | None = None
    reason: str = ""
    key_file: Path | None = None
    state: Path | None = None


def run_contract(site_file: str, settings: tuple[str, ...], asked: Asked, broker: str | None, *, as_json: bool) -> int:
    """Do it; 0 where the daemon took all of it, 1 where it refused any, 3 where it does not answer."""
    site = load_site(site_file, settings)
    match asked.action:
        case "list":
            return _list(standing(site, reach(site.bus, broker)), as_json=as_json)
        case "history":
            return _history(site, asked, as_json=as_json)
        case "import" | "set" | "clear":
            return _Desk(site, reach(site.bus, broker), asked).change(as_json=as_json)
        case other:
            raise InputError(Fault("contract", f"{other!r} is not an action", "say list, import, set, clear or history"))


def standing(site: Site, broker: Broker) -> dict[str, ContractState]:
    """The rentals that the daemon says stand, by contract."""
    states: dict[str, ContractState] = {}
    with visit(broker) as bus:
        bus.subscribe(f"{site.bus.root}/{site.id}/contract/+/state", qos=1)
        for message in heard(bus, LIST_S):
            name = message.topic.split("/")[-2]
            states.pop(name, None)
            if message.payload:
                with suppress(Rejected):  # not the daemon's words
                    states[name] = decode(message.payload, ContractState)
    return states


class _Desk:
    """Changes of what stands."""

    def __init__(self, site: Site, broker: Broker, asked: Asked) -> None:
        self._site, self._broker, self._asked = site, broker, asked
        self._topics = Topics(site.bus.root, site.id)
        self._by = asked.by or os.environ.get("USER") or "desk"

    def change(self, *, as_json: bool) -> int:
        """Send what is to change, and tell what came of it."""
        asked, needs = self._asked, {"import": "a file", "set": "a contract", "clear": "a contract"}
        if asked.name is None:
            raise InputError(Fault(f"contract {asked.action}", f"{needs[asked.action]} is not named", "see `facility contract --help`"))
        there = standing(self._site, self._broker)
        wanted = self._wanted(asked.name, there)
        changes = self._changes(wanted, there)
        answers = {} if asked.dry_run else self._sent(wanted, there, changes)
        if as_json:
            told = [{"contract": name, "change": change, "answer": msgspec.to_builtins(answers.get(name))} for name, change in changes.items()]
            print(json.dumps(told))
        else:
            for name, change in changes.items():
                answer = answers.get(name)
                print(f"{name}: {change}" + (f": {answer.status}: {answer.reason}" if answer is not None else ""))
        sent = [name for name, change in changes.items() if change != "unchanged"]
        if asked.dry_run or not sent:
            return FINE
        if len(answers) < len(sent):
            print(f"facility: {len(sent) - len(answers)} of {len(sent)} were not answered: no daemon runs {self._site.id} here?", file=sys.stderr)
            return FAULT
        return FINE if all(answer.status in {"accepted", "cleared"} for answer in answers.values()) else NO

    def _wanted(self, name: str, there: Mapping[str, ContractState]) -> dict[str, Rental]:
        """The rentals that are to stand beside what is `there`, by contract; none to clear one."""
        asked = self._asked
        if asked.action == "clear":
            return {}
        beside = list(_rentals(there))
        if asked.action == "import":
            rows = read_contracts(name, self._site, asked.timezone, self._by, beside, complete=asked.complete)
            return {rental.contract: rental for rental in rows}
        said = dict(_pair(term) for term in asked.terms)
        zone = ZoneInfo(asked.timezone or self._site.timezone)
        missing = [key for key in ("start", "end") if key not in said]
        if missing:
            raise InputError(*(Fault("contract set", f"no {key}", f"add {key}=INSTANT, such as {key}=2026-08-01T00:00") for key in missing))
        start, end = (parse_instant(said.pop(key), zone, key)[0].astimezone(UTC) for key in ("start", "end"))
        return {name: rental_of(self._site, beside, said | {"contract": name}, start, end, self._by)}

    def _changes(self, wanted: Mapping[str, Rental], there: Mapping[str, ContractState]) -> dict[str, Change]:
        asked = self._asked
        if asked.action == "clear":
            if asked.name not in there:
                found = f"no rental {asked.name} stands"
                raise InputError(Fault("contract clear", found, f"{nearest(asked.name or '', list(there))}; `contract SITE list` shows them"))
            return {str(asked.name): "ended"}
        changes: dict[str, Change] = {name: _change(rental, there.get(name)) for name, rental in wanted.items()}
        gone = [name for name in there if name not in wanted] if asked.action == "import" and asked.complete else []
        return {**dict.fromkeys(gone, "ended"), **changes}

    def _sent(self, wanted: Mapping[str, Rental], there: Mapping[str, ContractState], changes: Mapping[str, Change]) -> dict[str, OverrideResult]:
        """The answers to what changes, by contract: first what makes room, then what takes it."""
        with visit(self._broker) as bus:
            bus.subscribe(f"{self._site.bus.root}/{self._site.id}/contract/+/result", qos=1)
            ids: dict[str, str] = {}
            for name, change in sorted(changes.items(), key=lambda it: it[1] != "ended" and not _shrinks(wanted[it[0]], there.get(it[0]))):
                if change == "ended":
                    ids[name] = self._publish(bus, name, ContractClear(id=there[name].id, by=self._by, reason=self._asked.reason))
                elif change != "unchanged":
                    ids[name] = self._publish(bus, name, _command(wanted[name], self._by, self._asked.reason))
            return _answers(bus, ids)

    def _publish(self, bus: MqttBus, name: str, command: ContractSet | ContractClear) -> str:
        topic = self._topics.contract(name, "set" if isinstance(command, ContractSet) else "clear")
        if self._asked.key_file is not None:
            command = signed(read_key(self._asked.key_file, "--key-file"), topic, command, datetime.now(UTC))
        bus.publish(Message(topic, encode(command), qos=1))
        return command.id


def _answers(bus: MqttBus, ids: Mapping[str, str]) -> dict[str, OverrideResult]:
    """What was answered to the commands of `ids`, by contract, until all are or nothing comes for a while."""
    found: dict[str, OverrideResult] = {}
    until = time.monotonic() + ANSWERS_S
    while len(found) < len(ids) and (left := until - time.monotonic()) > 0:
        message = bus.receive(left)
        if message is None:
            continue
        with suppress(Rejected):
            result = decode(message.payload, OverrideResult)
            name = message.topic.split("/")[-2]
            if ids.get(name) == result.id and result.status != "superseded":
                found[name], until = result, time.monotonic() + ANSWERS_S
    return found


def _pair(term: str) -> tuple[str, str]:
    key, equals, value = term.partition("=")
    if not equals or key not in KNOWN or key == "contract":
        raise InputError(Fault("contract set", f"{term!r} says nothing of a contract", f"{nearest(key, KNOWN)}; write KEY=VALUE"))
    return key, value


def _command(rental: Rental, by: str, reason: str) -> ContractSet:
    terms = rental.terms.model_dump(exclude_unset=True)
    own = {"id": uuid.uuid4().hex, "by": by, "reason": reason, "start": rental.start, "end": rental.end}
    return msgspec.convert(own | terms, ContractSet)


def _change(rental: Rental, state: ContractState | None) -> Change:
    """What becomes of a contract that is to stand as `rental`."""
    if state is None:
        return "new"
    before = {key: getattr(state, key) for key in TERMS}
    wanted = _command(rental, rental.by, "")
    same = (state.start, state.end) == (wanted.start, wanted.end) and all(getattr(wanted, key) == value for key, value in before.items())
    return "unchanged" if same else "changed"


def _shrinks(rental: Rental, state: ContractState | None) -> bool:
    """Whether a contract that stands is to have fewer GPUs than it has, or for less time, and nothing else anywhere."""
    if state is None or state.pool != rental.terms.pool:
        return False
    return rental.terms.gpus <= (state.gpus or 0) and state.start <= rental.start and rental.end <= state.end


def _rentals(there: Mapping[str, ContractState]) -> Iterator[Rental]:
    """What the daemon says stands, as rentals; terms that are none of a contract are not the daemon's words."""
    for name, state in there.items():
        with suppress(ValidationError):
            terms = Contract.model_validate(said_terms(state))
            yield Rental(state.id, name, terms, state.start, state.end, state.by, state.reason, state.version)


def _list(states: Mapping[str, ContractState], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({name: msgspec.to_builtins(state) for name, state in sorted(states.items())}))
        return FINE
    for name, state in sorted(states.items()):
        price = "" if state.price_per_gpu_h is None else f", {state.price_per_gpu_h:g} a GPU h"
        tier = "" if state.tier is None else f", {state.tier}"
        print(
            f"{name}: {state.gpus} GPUs of {state.pool} for {state.tenant} ({state.kind}{tier}{price}), {state.start:%Y-%m-%d %H:%M} to "
            f"{state.end:%Y-%m-%d %H:%M} UTC, version {state.version} by {state.by}"
        )
    if not states:
        print("no rental stands beside the site file's contracts")
    return FINE


def _history(site: Site, asked: Asked, *, as_json: bool) -> int:
    """Every version of every contract, or of one, oldest first, from the journal."""
    with Journal(asked.state or Path(f"{site.id}.sqlite"), read_only=True) as journal:
        kept = [version for version in journal.contract_versions() if asked.name in (None, version.rental.contract)]
    if as_json:
        print(json.dumps([_version(version) for version in kept]))
        return FINE
    for version in kept:
        rental = version.rental
        ends = "" if version.ended is None else f"; {version.how} {version.ended:%Y-%m-%d %H:%M:%S} UTC"
        print(f"{version.accepted:%Y-%m-%d %H:%M:%S} UTC  {rental.contract} version {rental.version} by {rental.by}: {describe(rental)}{ends}")
    if not kept:
        print(f"no rental {asked.name or ''} was ever accepted".replace("  ", " "))
    return FINE


def _version(version: Version) -> dict[str, Any]:
    rental = version.rental
    return {
        "contract": rental.contract,
        "version": rental.version,
        "id": rental.id,
        "accepted": version.accepted.isoformat(),
        "by": rental.by,
        "reason": rental.reason,
        "start": rental.start.isoformat(),
        "end": rental.end.isoformat(),
        "terms": rental.terms.model_dump(mode="json", exclude_unset=True),
        "ended": None if version.ended is None else version.ended.isoformat(),
        "how": version.how,
    }
