"""Newest values of objects, from the cache alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from nexus_cli.runtime.web.i3x.address_space import AddressSpace
from nexus_cli.runtime.web.i3x.leaf_values import BAD, GOOD, NO_DATA, UNCERTAIN, Vqt, of_newest
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_view import TagView

SLICE = 200
"""Values that are read at a time: about a millisecond."""
MOST_COMPONENTS = 50_000
"""Component values of one answer; what is beyond is left out, and the answer is 206."""


def of_tag(cache: LiveCache, tag: TagView, *, now_us: int) -> Vqt:
    """The newest value of a tag."""
    return of_newest(cache.read(tag.slot), tag.type, now_us=now_us)


def of_device(cache: LiveCache, tags: Sequence[TagView], *, now_us: int) -> Vqt:
    """The object of a device's tags."""
    return composed([(tag.name, of_tag(cache, tag, now_us=now_us)) for tag in tags], now_us=now_us)


def composed(members: Sequence[tuple[str, Vqt]], *, now_us: int) -> Vqt:
    """An object of members: Good when all are, Uncertain when one is not, without a value when none has one.

    Its time is that of the newest member.
    """
    value = {name: vqt.value for name, vqt in members}
    time_us = max((vqt.time_us for _, vqt in members), default=now_us)
    kinds = {vqt.quality for _, vqt in members}
    if all(each is None for each in value.values()):
        return Vqt(None, NO_DATA if kinds <= {NO_DATA} else BAD, time_us)
    return Vqt(value, GOOD if kinds == {GOOD} else UNCERTAIN, time_us)


class Reader:
    """Reads for one request.

    Attributes:
        cut: True when component values were left out.
    """

    def __init__(self, cache: LiveCache, space: AddressSpace, *, depth: int, now_us: int) -> None:
        """`depth` as `maxDepth`: 1 the object alone, 0 or more than 1 its components too."""
        self._cache, self._space, self._deep, self._now_us = cache, space, depth != 1, now_us
        self._known: dict[str, Vqt] = {}
        self._left = MOST_COMPONENTS
        self.cut = False

    async def load(self, elements: Iterable[str]) -> None:
        """Read what these objects need, on the loop as the cache wants it, a slice at a time."""
        count = 0
        for element in elements:
            for tag in self._space.tags_of(element):
                if tag.path in self._known:
                    continue
                self._known[tag.path] = of_tag(self._cache, tag, now_us=self._now_us)
                count += 1
                if not count % SLICE:
                    await asyncio.sleep(0)

    def read(self, element: str) -> dict[str, Any]:
        """The result for an object that was loaded."""
        tags = self._space.devices.get(element)
        if tags is None:
            found = self._known.get(element) or Vqt(None, NO_DATA, self._now_us)
            return {"isComposition": False, **found.json()}
        own = composed([(tag.name, self._known[tag.path]) for tag in tags], now_us=self._now_us)
        answer: dict[str, Any] = {"isComposition": True, **own.json()}
        if self._deep:
            self.cut = self.cut or len(tags) > self._left
            answer["components"] = {tag.path: self._known[tag.path].json() for tag in tags[: self._left]}
            self._left -= len(answer["components"])
        return answer
