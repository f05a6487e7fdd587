"""Which subscriptions listen to a slot of the cache: one callback, however many listen."""

from __future__ import annotations

from collections.abc import Callable

from nexus_cli.runtime.web.i3x.subscriptions.subscription import Subscription
from nexus_cli.runtime.web.live_cache import LiveCache


class Listeners:
    """Subscriptions by slot."""

    def __init__(self, cache: LiveCache, *, now_us: Callable[[], int]) -> None:
        """`now_us` is the machine's clock."""
        self._cache, self._now_us = cache, now_us
        self._by_slot: dict[int, tuple[Subscription, ...]] = {}
        self._of: dict[Subscription, set[int]] = {}

    def add(self, subscription: Subscription) -> None:
        """Listen to its slots."""
        slots = self._of[subscription] = subscription.slots
        new = [slot for slot in slots if slot not in self._by_slot]
        for slot in slots:
            self._by_slot[slot] = (*self._by_slot.get(slot, ()), subscription)
        self._cache.watch(new, self._changed)

    def remove(self, subscription: Subscription) -> None:
        """Listen to nothing for it."""
        ended = []
        for slot in self._of.pop(subscription, set()):
            left = tuple(each for each in self._by_slot[slot] if each is not subscription)
            if left:
                self._by_slot[slot] = left
            else:
                del self._by_slot[slot]
                ended.append(slot)
        self._cache.unwatch(ended, self._changed)

    def _changed(self, slot: int) -> None:
        now_us = self._now_us()
        for subscription in self._by_slot.get(slot, ()):
            subscription.take(slot, self._cache, now_us=now_us)
