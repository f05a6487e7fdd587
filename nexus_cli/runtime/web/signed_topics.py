"""Messages of external devices on their way into the cache: opened, and refused where the site wants a signature.

See docs/decisions/0097.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nexus_cli.database.series import DEVICE_LEVELS
from nexus_cli.runtime.signed_values import Refused, SignedValues
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_keeper import SiteKeeper
from nexus_cli.wire.message import Message
from nexus_cli.wire.signature import SignatureRules
from nexus_cli.wire.topic import Topics


class SignedTopics:
    """Hands messages to the cache. While the rules ask for nothing it only passes them on.

    Attributes:
        values: The rules, and how many messages were refused.
    """

    def __init__(self, topics: Topics, *, keeper: SiteKeeper, cache: LiveCache, wall_us: Callable[[], int]) -> None:
        """Follow what is recorded."""
        self._topics, self._keeper, self._cache = topics, keeper, cache
        self.values = SignedValues(wall_us=wall_us)
        self._checked: frozenset[str] = frozenset()
        """External devices whose messages have been checked."""
        keeper.changed.append(self._changed)

    def take(self, message: Message) -> None:
        """Cache a message, or keep the value of before where it is refused."""
        if not self.values.active:
            self._cache.take(message)
            return
        path = self._topics.path(message.topic) or ""
        if not self._external(path):
            self._cache.take(message)
        elif isinstance(found := self.values.admit(message, path), Message):
            self._cache.take(found)

    def _external(self, path: str) -> bool:
        place = self._keeper.view.tree.places.get("/".join(path.split("/", DEVICE_LEVELS)[:DEVICE_LEVELS]))
        return place is not None and place.external

    def _changed(self) -> None:
        """Take the recorded rules. Messages from before the first ones, and from before their device was declared, are checked."""
        site = self._keeper.view.resources.get("site", {})
        self.values.configured(msgspec.convert(site.get("signatures") or {}, SignatureRules))
        devices = frozenset(path for path, place in self._keeper.view.tree.places.items() if place.external)
        if self.values.active and devices - self._checked:
            self._again(devices - self._checked)
        self._checked = devices if self.values.active else frozenset()

    def _again(self, devices: frozenset[str]) -> None:
        for slot, topic in enumerate(self._cache.topics()):
            path, payload = self._topics.path(topic) or "", self._cache.payload(slot)
            if payload is None or "/".join(path.split("/", DEVICE_LEVELS)[:DEVICE_LEVELS]) not in devices:
                continue
            found = self.values.admit(Message(topic, payload, 1, True), path)
            cleared = Message(topic, b"", 1, False)
            self._cache.take(cleared if isinstance(found, Refused) else found)
