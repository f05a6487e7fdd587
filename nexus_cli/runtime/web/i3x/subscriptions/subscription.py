"""One subscription in the web that has it: what it listens to, what waits, and from when on it has everything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.database.i3x_subscriptions import Identity, Stored
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.i3x.address_space import AddressSpace
from nexus_cli.runtime.web.i3x.current_values import of_device, of_tag
from nexus_cli.runtime.web.i3x.leaf_values import NO_DATA, Vqt, of_newest
from nexus_cli.runtime.web.i3x.subscriptions.queue import Batch, Loss, Update, UpdateQueue
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_view import TagView

QUEUED = 10_000
"""Updates that a queue holds at least; one of many tags holds two of each."""
MS_US = 1000
"""Live values have milliseconds, stored ones microseconds."""


@dataclass(slots=True)
class CatchUp:
    """What this web may not have received, and is looked for in the history.

    Attributes:
        since_us: Newest value that the client has or that waits, by path.
        until_us: From here on everything is received.
        live: `(path, ms)` of what was received meanwhile.
        done: `(path, µs)` of what was found already.
        stored: The same in ms: where the history was faster than the broker, the live value is a repetition.
        asked_us: When the history was asked last; 0 never.
        pause_us: How long to wait before it is asked again.
    """

    since_us: dict[str, int]
    until_us: int
    live: set[tuple[str, int]] = field(default_factory=set)
    done: set[tuple[str, int]] = field(default_factory=set)
    stored: set[tuple[str, int]] = field(default_factory=set)
    asked_us: int = 0
    pause_us: int = 0


@dataclass(slots=True, eq=False)
class Subscription:
    """See above.

    Attributes:
        identity, id, name: Whose, which, and what for.
        generation: As taken; another web that takes it raises it.
        caller: Who asked last: its rights are those of the subscription.
        monitored: `maxDepth` by elementId.
        revision: Of `monitored`.
        queue: What waits.
        seen: Time of the newest value put, by path.
        newest: The newest live value put, by path.
        leaves: Element and tag by slot.
        devices: Elements of devices by the slot of each of their tags.
        parts: Tags of a device by its element.
        dirty: Elements of devices that changed.
        space: What the above was made from.
        stream: The one stream; None when there is none.
        catching: See `CatchUp`; None when nothing is missing.
        gone: True once this web has it no more.
        unsaved: True from the end of a stream until that is stored.
    """

    identity: Identity
    id: str
    name: str
    generation: int
    caller: Caller
    monitored: dict[str, int]
    revision: int
    queue: UpdateQueue
    seen: dict[str, int] = field(default_factory=dict)
    newest: dict[str, Vqt] = field(default_factory=dict)
    leaves: dict[int, tuple[str, TagView]] = field(default_factory=dict)
    devices: dict[int, tuple[str, ...]] = field(default_factory=dict)
    parts: dict[str, tuple[TagView, ...]] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    space: AddressSpace | None = None
    stream: object | None = None
    catching: CatchUp | None = None
    gone: bool = False
    unsaved: bool = False
    tags_changed: bool = True
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, stored: Stored, identity: Identity, caller: Caller) -> Subscription:
        """As it was stored."""
        queue = UpdateQueue(
            limit=QUEUED,
            next_sequence=stored.next_sequence,
            acknowledged=stored.acknowledged,
            sent=stored.sent,
            loss=Loss(*stored.loss) if stored.loss else None,
        )
        queue.restore(
            [
                Batch(number, [Update(element, path, Vqt(*vqt)) for element, path, *vqt in updates], stored=True)
                for number, updates in stored.batches
            ]
        )
        return cls(
            identity=identity,
            id=stored.id,
            name=stored.name,
            generation=stored.generation,
            caller=caller,
            monitored=stored.monitored,
            revision=stored.revision,
            queue=queue,
            seen=stored.seen,
        )

    def state(self) -> tuple[Stored, list[Batch]]:
        """What is to be stored, and the batches of it that are new; updates that arrive while they are stored are in neither."""
        queue, loss = self.queue, self.queue.loss
        queue.close()
        new = [batch for batch in queue.batches if not batch.stored]
        return Stored(
            id=self.id,
            name=self.name,
            generation=self.generation,
            seen=dict(self.seen),
            next_sequence=queue.next_sequence,
            acknowledged=queue.acknowledged,
            sent=queue.sent,
            loss=() if loss is None else (loss.first, loss.last, loss.since_us, loss.until_us),
            batches=[(batch.sequence, [_row(update) for update in batch.updates]) for batch in new],
        ), new

    @property
    def slots(self) -> set[int]:
        """What it listens to."""
        return self.leaves.keys() | self.devices.keys()

    def listen(self, space: AddressSpace, now: Mapping[str, str]) -> list[str]:
        """Listen to what is monitored, as the objects are now.

        Args:
            space: What the caller sees.
            now: Present ids of the monitored elements that are there.

        Returns:
            Elements that were not listened to before.
        """
        leaves: dict[int, tuple[str, TagView]] = {}
        below: dict[int, tuple[str, TagView]] = {}
        devices: dict[int, list[str]] = {}
        self.parts = {}
        for element, depth in self.monitored.items():
            found = space.tags_of(now[element]) if element in now else ()
            if element in now and now[element] in space.devices:
                self.parts[element] = tuple(found)
                for tag in found:
                    devices.setdefault(tag.slot, []).append(element)
                    if depth != 1:
                        below.setdefault(tag.slot, (tag.path, tag))
            elif found:
                leaves.setdefault(found[0].slot, (element, found[0]))
        self.leaves = {**below, **leaves}
        self.devices = {slot: tuple(elements) for slot, elements in devices.items()}
        self.space = space
        self.queue.limit = max(QUEUED, 2 * len(self.leaves))
        listened = (
            {element for element, _ in self.leaves.values()} | self.parts.keys() | (now.keys() & self.monitored.keys())
        )
        new = [element for element in dict.fromkeys([*self.monitored, *listened]) if element in listened - self.known]
        self.known = listened
        self._keep_seen()
        return new

    def _keep_seen(self) -> None:
        """Of tags that are not listened to, no time is kept."""
        paths = {tag.path for _, tag in self.leaves.values()}
        kept = {path: time_us for path, time_us in self.seen.items() if path in paths}
        self.tags_changed = self.tags_changed or len(kept) != len(self.seen)
        self.seen = kept
        self.newest = {path: vqt for path, vqt in self.newest.items() if path in paths}

    def begin(self, elements: Iterable[str], cache: LiveCache, *, now_us: int) -> None:
        """Put the newest value of elements that are new."""
        wanted = set(elements)
        for slot, (element, tag) in self.leaves.items():
            if element in wanted and tag.path not in self.seen:
                self._put(element, tag.path, of_newest(cache.read(slot), tag.type, now_us=now_us))
        leaves = {element for element, _ in self.leaves.values()}
        for element in wanted:
            if element in self.parts:
                self.dirty.add(element)
            elif element in self.monitored and element not in leaves:
                self.queue.put(Update(element, element, Vqt(None, NO_DATA, now_us)))
        self.wake.set()

    def take(self, slot: int, cache: LiveCache, *, now_us: int) -> None:
        """A message came."""
        leaf = self.leaves.get(slot)
        if leaf is not None:
            element, tag = leaf
            vqt = of_tag(cache, tag, now_us=now_us)
            if not self._repeated(tag.path, vqt):
                self._heard(element, tag.path, vqt)
        self.dirty.update(self.devices.get(slot, ()))
        self.wake.set()

    def _heard(self, element: str, path: str, vqt: Vqt) -> None:
        if self.catching is not None:
            key = (path, vqt.time_us // MS_US)
            if key in self.catching.stored:
                self.newest[path] = vqt
                return
            self.catching.live.add(key)
        self._put(element, path, vqt)

    def _repeated(self, path: str, vqt: Vqt) -> bool:
        """Whether it was put already: the broker sends what it kept again after each connect."""
        newest = self.newest.setdefault(path, vqt) if self._is_seen(path, vqt) else self.newest.get(path)
        return newest == vqt

    def _is_seen(self, path: str, vqt: Vqt) -> bool:
        return path in self.seen and path not in self.newest and self.seen[path] // MS_US == vqt.time_us // MS_US

    def take_newest(self, cache: LiveCache, *, now_us: int) -> None:
        """Put what the cache has, where it is newer than all that was put."""
        for slot, (_, tag) in self.leaves.items():
            vqt = of_tag(cache, tag, now_us=now_us)
            if vqt.quality != NO_DATA and vqt.time_us // MS_US > self.seen.get(tag.path, 0) // MS_US:
                self.take(slot, cache, now_us=now_us)
            else:
                self.newest.setdefault(tag.path, vqt)

    def put_stored(self, element: str, path: str, vqt: Vqt) -> None:
        """A value from the history."""
        self.queue.put(Update(element, path, vqt))
        if vqt.time_us > self.seen.get(path, 0):
            self._note(path, vqt.time_us)

    def _put(self, element: str, path: str, vqt: Vqt) -> None:
        self.queue.put(Update(element, path, vqt))
        self.newest[path] = vqt
        self._note(path, vqt.time_us)

    def _note(self, path: str, time_us: int) -> None:
        if path not in self.seen:
            self.tags_changed = True
            if self.catching is not None:
                self.catching.since_us[path] = time_us
        self.seen[path] = time_us

    def compose(self, cache: LiveCache, *, now_us: int) -> None:
        """Put the values of devices that changed, as they are now."""
        for element in self.dirty:
            tags = self.parts.get(element)
            if tags:
                self.queue.put(Update(element, element, of_device(cache, tags, now_us=now_us)))
        self.dirty.clear()


def _row(update: Update) -> list[Any]:
    return [update.element, update.path, update.vqt.value, update.vqt.quality, update.vqt.time_us]
