"""Post: a command or a question goes out, signed where that is asked for, and its answer comes back, or does not.

Nothing is sent while the broker is away, and nothing that waits is sent later: an override that acts when nobody expects it any more is
worse than none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec import Struct

from facility.bus.interface import Bus, Message, utc_now
from facility.bus.messages import Rejected, decode, encode
from facility.bus.messages.codec import Command
from facility.bus.signing import signed
from facility.bus.topics import BY_NAME
from facility.site import Site

A = TypeVar("A", bound=Struct)
C = TypeVar("C", bound=Command)


class Refused(Exception):
    """Why something is not sent, in words."""


class Unanswered(Exception):
    """Nobody answered in time."""


class Post:
    """To be used in one event loop; `answered` may be called from any thread. `now` tells the site's instant."""

    def __init__(self, site: Site, bus: Bus, now: Callable[[], datetime], keys: Mapping[str, bytes] | None = None) -> None:
        self._site, self._bus, self._keys, self.now = site, bus, keys, now
        self._waiting: dict[str, asyncio.Future[Struct]] = {}

    def sealed(self, topic: str, command: C) -> C:
        """A command that may go out now, signed where it must be. Raises Refused."""
        if not self._bus.connected:
            raise Refused("the broker is away; nothing is sent now, and nothing later by itself")
        if self._keys is None:
            if self._site.bus.signatures == "required":
                raise Refused("this site asks for signatures; the console must be started with --keys")
            return command
        if command.by not in self._keys:
            raise Refused(f"{command.by} has no key to sign with")
        return signed(self._keys[command.by], topic, command, self.now())

    async def ask(self, topic: str, command: Command, kind: type[A], within_s: float) -> A:
        """Send what was sealed, and return the answer of the same id. Raises Refused, or Unanswered after `within_s`."""
        waiter = self._waiting[command.id] = asyncio.get_running_loop().create_future()
        try:
            gone_at = utc_now() + timedelta(seconds=within_s)
            if not self._bus.publish(Message(topic, encode(command), qos=1, valid_until=gone_at)):
                raise Refused("it could not be sent; try again")
            answer = await asyncio.wait_for(waiter, within_s)
        except TimeoutError:
            raise Unanswered from None
        finally:
            self._waiting.pop(command.id, None)
        assert isinstance(answer, kind)
        return answer

    def answered(self, name: str, payload: bytes) -> None:
        """Take an answer, ours or not, by the name of its topic."""
        try:
            answer = decode(payload, BY_NAME[name].payload)
        except Rejected:
            return
        waiter = self._waiting.get(getattr(answer, "id", None) or "")
        if waiter is not None:
            waiter.get_loop().call_soon_threadsafe(_settle, waiter, answer)


def _settle(waiter: asyncio.Future[Struct], answer: Struct) -> None:
    if not waiter.done():
        waiter.set_result(answer)
