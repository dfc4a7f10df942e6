"""Desk: what the dialogs of one browser act through. It asks each time who is there, for sessions end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from nicegui import ui

from facility.console.access import Person
from facility.console.acts import Acts, Outcome, Wish
from facility.console.asking import Asking, Told
from facility.console.hub import Hub
from facility.site import Site

NOBODY = Outcome(ok=False, status="not sent", words="You are not logged in any more, or may only look.")


class Desk:
    """One browser's."""

    def __init__(
        self,
        hub: Hub,
        acts: Acts,
        asking: Asking,
        still: Callable[[], Person | None],
        person: Person,
        override: Callable[[str | None], None],
        root: ui.element,
    ) -> None:
        self._hub, self._acts, self._asking, self._still, self.person, self.override = hub, acts, asking, still, person, override
        self.root = root
        """What dialogs are put into."""
        self.site: Site = hub.site
        self.zone: ZoneInfo = hub.zone
        self.given_name = ""

    def now(self) -> datetime:
        """The site's instant, UTC."""
        return self._hub.now()

    def _allowed(self, by: str) -> bool:
        """Whether who is there now may act, under this name."""
        person = self._still()
        return person is not None and person.may_act and person.name in {"", by}

    async def set(self, wish: Wish) -> Outcome:
        """Set an override."""
        return await self._acts.set(wish) if self._allowed(wish.by) else NOBODY

    async def clear(self, target: str, override_id: str, by: str, reason: str) -> Outcome:
        """Clear one."""
        return await self._acts.clear(target, override_id, by, reason) if self._allowed(by) else NOBODY

    async def shelve(self, alarm: str, for_s: float, by: str, reason: str) -> Outcome:
        """Put an alarm aside."""
        return await self._acts.shelve(alarm, for_s, by, reason) if self._allowed(by) else NOBODY

    async def preview(self, wish: Wish) -> Told:
        """What an override would do."""
        return await self._asking.preview(wish) if self._allowed(wish.by) else Told(ok=False, sentence=NOBODY.words)

    async def why(self, about: str) -> Told:
        """Why something is as it is."""
        person = self._still()
        return await self._asking.why(about, person.name) if person is not None else Told(ok=False, sentence=NOBODY.words)
