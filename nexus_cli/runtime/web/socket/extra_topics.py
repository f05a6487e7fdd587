"""Subscriptions beside the site's own view: topics of declared messages, while they have listeners."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.procedure_config import filter_of
from nexus_cli.runtime.lifecycle import first_of
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.topic import meet

QOS = 0
REFUSED = "NX6012"
IDLE_S = 60.0

_log = logging.getLogger("nexus.web")


class ExtraTopics:
    """Counts who needs a filter; the first need subscribes, and the last one that ends unsubscribes."""

    def __init__(self, client: BrokerClient) -> None:
        """Nothing is needed yet."""
        self._client = client
        self._needs: Counter[str] = Counter()
        self._unneeded: set[str] = set()
        self._soon = asyncio.Event()

    def needed(self, view: SiteView, rights: CallerRights, filter_: str) -> tuple[str, ...]:
        """The filters of declared messages that a filter meets, that the caller may subscribe to, and that the live view lacks."""
        live = f"{view.topics.live}/#"
        found = {filter_of(str(message.get("topic", ""))) for _, message in view.of_kind("message")}
        heard = [grant.filter for grant in rights.grants if grant.action == "subscribe"]
        return tuple(
            sorted(
                each
                for each in found
                if each
                and not _covers(live, each)
                and meet(each, filter_)
                and (rights.everything or any(meet(each, one) for one in heard))
            )
        )

    async def need(self, filters: Collection[str]) -> None:
        """One more listener needs these. While the broker is away they are subscribed when it is back.

        Raises:
            NexusError: NX6012, the broker refuses one; then none of them is needed.
        """
        new = [each for each in filters if not self._needs[each] and each not in self._unneeded]
        self._needs.update(filters)
        self._unneeded.difference_update(filters)
        try:
            await self._subscribe(new)
        except NexusError as error:
            if error.code == REFUSED:
                self.release(filters)
                raise

    def release(self, filters: Collection[str]) -> None:
        """Undo `need`; the subscriptions end soon."""
        self._needs.subtract(filters)
        gone = {each for each in filters if self._needs[each] <= 0}
        for each in gone:
            del self._needs[each]
        if gone:
            self._unneeded |= gone
            self._soon.set()

    async def connected(self) -> None:
        """After each connect: what is needed is subscribed again."""
        self._unneeded.clear()
        try:
            await self._subscribe(list(self._needs))
        except NexusError as error:
            event(_log, error.message, level=logging.WARNING)

    async def run(self, stop: asyncio.Event) -> None:
        """End subscriptions that are not needed any more, until stopped."""
        while not stop.is_set():
            await first_of(stop, self._soon, timeout_s=IDLE_S)
            self._soon.clear()
            gone, self._unneeded = self._unneeded, set()
            if gone and self._client.connected:
                try:
                    await self._client.unsubscribe(sorted(gone))
                except NexusError:
                    continue  # it is gone with the connection

    async def _subscribe(self, filters: Collection[str]) -> None:
        if filters and self._client.connected:
            await self._client.subscribe([(each, QOS) for each in filters])


def _covers(wide: str, narrow: str) -> bool:
    """Whether every topic under `narrow` is under `wide`, which ends with `/#` and has no other wildcard."""
    return f"{narrow}/".startswith(wide[:-1]) or narrow == wide[:-2]
