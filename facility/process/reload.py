"""Reload: the site file, keys and certificates are read again while the daemon runs (SIGHUP), and come into force, or are refused whole.

It is read in a thread of its own, for the loop that guards waits for no file. What changed is then judged under the daemon's lock
(`facility.process.changes`); a daemon by the new file takes the old one's place as it would after a restart: with the next epoch,
from the journal, and what was in force goes on until its first plan. The connection stays, unless who we are on it changed.

A process that follows a death - started again by its manager, or a spare - has nobody beside it: it begins with the site that was in force,
and reads the file again then, so that what was refused, or never asked for, does not come in that way.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from facility.bus.broker import Broker, tls_context
from facility.daemon.loop import Daemon
from facility.daemon.rooms import Rooms
from facility.errors import Fault, InputError
from facility.journal.entry import Entry
from facility.journal.journal import Journal
from facility.journal.store import StoreFault
from facility.process.changes import Change, changes, dangers, unhoused
from facility.site import Site

log = logging.getLogger(__name__)

REFUSED = "reload-refused"
IN_FORCE = "site in force"
"""The fact in the journal that is the site by which the daemon works, as JSON."""


@dataclass(frozen=True)
class Read:
    """What was read: a site, how to reach its broker, and a digest of the secrets by which we do."""

    site: Site
    broker: Broker
    secrets: bytes


class Reload:
    """`load` reads the site file and `reach` says how its broker is reached; both raise InputError."""

    def __init__(self, load: Callable[[], Site], reach: Callable[[Site], Broker]) -> None:
        self._load, self._reach = load, reach
        self._thread: threading.Thread | None = None
        self._found: Read | InputError | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being read, or was and nobody asked what it is."""
        return self._thread is not None

    def begin(self) -> None:
        """Begin to read."""
        self._thread = threading.Thread(target=self._read, name="reload", daemon=True)
        self._thread.start()

    def found(self) -> Read | InputError | None:
        """What was read, or why it cannot be, once; None where nothing was, or not yet."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread, found = None, self._found
        return found

    def _read(self) -> None:
        try:
            self._found = self.read()
        except InputError as error:
            self._found = error
        except Exception as error:
            log.exception("the site file could not be read")
            self._found = InputError(Fault("the site file", f"{type(error).__name__}: {error}", "see the log"))

    def read(self) -> Read:
        """Read everything now. Raises InputError."""
        site = self._load()
        broker = self._reach(site)
        if broker.tls:
            tls_context(broker)
        digest = hashlib.sha256(repr((broker.username, broker.password)).encode())
        for file in (broker.ca_file, broker.cert_file, broker.key_file):
            digest.update(b"-" if file is None else Path(file).read_bytes())
        return Read(site, broker, digest.digest())


def keep(journal: Journal, site: Site) -> None:
    """Write down by which site the daemon works from now on."""
    try:
        journal.put(IN_FORCE, site.model_dump_json().encode())
    except StoreFault as fault:
        log.warning("the site in force could not be written down: %s", fault)


def kept(journal: Journal, site: Site) -> Site:
    """The site by which the daemon worked last, where it is the same as `site` by its id and can be read; else `site`."""
    try:
        found = Site.model_validate_json(journal.get(IN_FORCE) or b"")
    except ValidationError:
        return site
    return found if found.id == site.id else site


def judged(old: Site, new: Site, daemon: Daemon) -> tuple[tuple[Change, ...], tuple[Fault, ...]]:
    """What changed, and why it must not come into force now."""
    found = changes(old, new)

    def judge(rooms: Rooms, now: datetime) -> tuple[Fault, ...]:
        here, governor = rooms.known.situation(now), rooms.governor
        dangerous = dangers(old, new, found, here, governor.in_force, gives_way=governor.gives_way)
        return (*dangerous, *unhoused(old, new, found, rooms.known.rentals.standing(now)))

    return found, daemon.within(judge)


def refuse(daemon: Daemon, faults: tuple[Fault, ...], actor: str) -> None:
    """Tell people that the file is not in force, and all that is wrong with it."""
    says = "; ".join(map(str, faults))
    log.error("the site file was read again and refused: %s", says)

    def tell(rooms: Rooms, now: datetime) -> None:
        cause = f"the site file was read again and refused, the old one stays in force: {says}"
        rooms.alarms.clear(REFUSED, now)  # one of before told other faults
        rooms.alarms.stand(REFUSED, cause, now, place="the site file", remedy="mend it and reload; each fault says how", severity="warning")
        rooms.account.note(Entry(now, "service", "reload", actor, says, result="rejected"), to_disk=True)

    daemon.within(tell)


def accept(daemon: Daemon, found: tuple[Change, ...], actor: str, *, renewed: bool) -> None:
    """Write down what came into force."""
    told = [*map(str, found), *(["other keys or certificates towards the broker"] if renewed else [])]
    says = "; ".join(told) or "nothing changed"
    log.info("the site file was read again: %s", says)
    daemon.within(lambda rooms, now: rooms.account.note(Entry(now, "service", "reload", actor, says, result="accepted"), to_disk=True))
