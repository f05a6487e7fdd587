"""The subscriptions that this web has, and their way to the database and back.

Any web answers any call: it takes the subscription over from the one that had it, which learns so within a second, or when it
saves. What that one had not saved is in the history.

See docs/decisions/0078.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from nexus_cli.database import i3x_subscriptions as db
from nexus_cli.database.connect import Connection, plain_errors
from nexus_cli.database.i3x_subscriptions import Identity
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.web.i3x.envelopes import Problem
from nexus_cli.runtime.web.i3x.spaces import Spaces
from nexus_cli.runtime.web.i3x.subscriptions import closing
from nexus_cli.runtime.web.i3x.subscriptions.listeners import Listeners
from nexus_cli.runtime.web.i3x.subscriptions.queue import Batch
from nexus_cli.runtime.web.i3x.subscriptions.subscription import Subscription
from nexus_cli.runtime.web.parts import WebParts

TTL_S = 900.0
"""A subscription without a sync and without a stream for so long is deleted."""
MOST_OF_CALLER = 100
"""Subscriptions of one principal."""
MOST_OBJECTS = 50_000
"""Objects that one subscription monitors."""
MOST_QUEUED = 500_000
"""Updates that wait in one web, some 100 MB; above it the longest queues drop their oldest."""
PERIOD_S = 1.0
STREAMING_S = 10.0
"""For so long others see that there is a stream, unless it is noted again."""
SAVED_EVERY = 2
EXPIRED_EVERY = 30
TRIES = 4
ID_BYTES = 32

_log = logging.getLogger("nexus.web")


class SubscriptionKeeper:
    """Subscriptions by id."""

    def __init__(self, parts: WebParts, spaces: Spaces, *, ttl_s: float = TTL_S) -> None:
        """Have none yet."""
        self._parts, self._spaces, self._ttl_s = parts, spaces, ttl_s
        self._owner = secrets.token_hex(8)
        self._ours: dict[str, Subscription] = {}
        self._listeners = Listeners(parts.cache, now_us=parts.clock.wall_us)
        self._rounds = 0
        parts.interruptions.callbacks.append(self._interrupted)

    @property
    def ours(self) -> Mapping[str, Subscription]:
        """Those that this web has."""
        return self._ours

    def _interrupted(self) -> None:
        for subscription in self._ours.values():
            closing.interrupted(subscription, now_us=self._parts.clock.wall_us())

    def identity(self, caller: Caller, client: str) -> Identity:
        """Whose a subscription is."""
        return Identity(site=self._parts.settings.site, principal=caller.principal, client=client)

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[Connection]:
        with plain_errors(self._parts.settings):
            async with self._parts.pool.acquire() as conn:
                yield conn

    async def create(self, identity: Identity, caller: Caller, name: str) -> str:
        """Make one; its id."""
        made = secrets.token_urlsafe(ID_BYTES)
        async with self._database() as conn:
            done = await db.create(
                conn, identity, id=made, name=name, owner=self._owner, ttl_s=self._ttl_s, most=MOST_OF_CALLER
            )
        if not done:
            raise Problem(400, f"You have {MOST_OF_CALLER} subscriptions; delete one.")
        stored = db.Stored(id=made, name=name, generation=1)
        self._ours[made] = Subscription.of(stored, identity, caller)
        return made

    async def listed(self, identity: Identity, ids: Sequence[str]) -> dict[str, tuple[str, dict[str, int]]]:
        """Name and monitored objects of those that are there."""
        async with self._database() as conn:
            return await db.listed(conn, identity, ids, ttl_s=self._ttl_s)

    async def remove(self, identity: Identity, ids: Sequence[str]) -> set[str]:
        """Delete those that are there; which they were."""
        async with self._database() as conn:
            gone = await db.remove(conn, identity, ids, ttl_s=self._ttl_s)
        for id_ in gone:
            if id_ in self._ours:
                self._drop(self._ours[id_])
        return gone

    async def register(
        self,
        identity: Identity,
        caller: Caller,
        id_: str,
        *,
        add: Mapping[str, int] | None = None,
        drop: Sequence[str] = (),
    ) -> dict[str, int]:
        """Change what is monitored; what was before. Raises Problem 404, 400."""
        async with self._database() as conn:
            before = await db.listed(conn, identity, [id_], ttl_s=self._ttl_s)
            if id_ in before and len({*before[id_][1], *(add or {})}) > MOST_OBJECTS:
                raise Problem(400, f"A subscription monitors at most {MOST_OBJECTS:,} objects.")
            found = await db.register(conn, identity, id=id_, ttl_s=self._ttl_s, add=add or {}, drop=drop)
        if found is None or id_ not in before:
            raise _unknown(id_)
        try:
            subscription = await self._get(identity, caller, id_, from_stream=False)
        except _StreamedElsewhere:
            return before[id_][1]  # the web with the stream sees the new revision
        async with subscription.busy:
            subscription.monitored, subscription.revision = dict(found[0]), found[1]
            await self._bring_up(subscription, again=True)
        return before[id_][1]

    async def sync(self, identity: Identity, caller: Caller, id_: str, last: int | None) -> tuple[list[Batch], str]:
        """Take an acknowledgement and give what waits; and what was dropped, in words ("" for nothing).

        Raises Problem 404, and 400 while there is a stream.
        """
        for _ in range(TRIES):
            try:
                found = await self._get(identity, caller, id_, from_stream=False)
            except _StreamedElsewhere:
                raise _streamed() from None
            async with found.busy:
                if found.gone:
                    continue
                if found.stream is not None:
                    raise _streamed()
                found.caller = caller
                await self._bring_up(found)
                found.queue.acknowledge(last)
                found.compose(self._parts.cache, now_us=self._parts.clock.wall_us())
                batches = found.queue.give()
                if await self._save(found, touch=True):
                    loss = found.queue.loss
                    return batches, "" if loss is None else loss.words(found.queue.limit)
        raise _unknown(id_)

    async def open_stream(self, identity: Identity, caller: Caller, id_: str) -> tuple[Subscription, object]:
        """Begin a stream, and say which it is; one that is open ends. Raises Problem 404."""
        for _ in range(TRIES):
            found = await self._get(identity, caller, id_, from_stream=True)
            async with found.busy:
                if found.gone:
                    continue
                found.caller, found.stream = caller, (stream := object())
                found.wake.set()
                await self._bring_up(found)
                if await self._save(found, touch=True):
                    return found, stream
        raise _unknown(id_)

    async def close_stream(self, subscription: Subscription, stream: object) -> None:
        """End a stream, unless another one took its place."""
        if subscription.stream is not stream or subscription.gone:
            return
        subscription.stream, subscription.unsaved = None, True
        try:  # where the client went away this task is cancelled, and the next round saves it
            async with subscription.busy:
                await self._save(subscription, touch=True)
        except NexusError as error:
            event(_log, "the end of a stream is not stored", level=logging.WARNING, why=error.message)

    def given(self, subscription: Subscription) -> list[Batch]:
        """What waits, for a stream."""
        subscription.compose(self._parts.cache, now_us=self._parts.clock.wall_us())
        return subscription.queue.give()

    async def _get(self, identity: Identity, caller: Caller, id_: str, *, from_stream: bool) -> Subscription:
        """The subscription, taken over where another web has it."""
        found = self._ours.get(id_)
        if found is not None and not found.gone:
            if found.identity != identity:
                raise _unknown(id_)
            return found
        async with self._database() as conn:
            stored, streamed = await db.take(
                conn, identity, id=id_, owner=self._owner, ttl_s=self._ttl_s, from_stream=from_stream
            )
        if stored is None:
            if streamed:
                raise _StreamedElsewhere
            raise _unknown(id_)
        found = Subscription.of(stored, identity, caller)
        closing.begin(found, now_us=self._parts.clock.wall_us())
        other = self._ours.get(id_)
        if other is not None and not other.gone and other.generation > found.generation:
            return other  # taken by another call meanwhile
        if other is not None:
            self._drop(other)
        self._ours[id_] = found
        return found

    async def _bring_up(self, subscription: Subscription, *, again: bool = False) -> None:
        """Listen to what is monitored, as it is now, and put what is missing."""
        parts = self._parts
        space = await self._spaces.of(subscription.caller)
        if again or subscription.space is not space:
            now = await self._spaces.current(space, list(subscription.monitored))
            self._listeners.remove(subscription)
            new = subscription.listen(space, now)
            if not subscription.gone:
                self._listeners.add(subscription)
                closing.listening(subscription, now_us=parts.clock.wall_us())
            subscription.begin(new, parts.cache, now_us=parts.clock.wall_us())
        if subscription.catching is not None:
            first = not subscription.catching.asked_us
            away = not parts.client.connected
            async with self._database() as conn:
                await closing.close(conn, subscription, site=parts.settings.site, clock=parts.clock.wall_us, lasts=away)
            if first:
                subscription.take_newest(parts.cache, now_us=parts.clock.wall_us())

    async def _save(self, subscription: Subscription, *, touch: bool) -> bool:
        """Store what waits; False, and it is dropped, when this web has it no more."""
        state, new = subscription.state()
        with_tags = subscription.tags_changed
        subscription.tags_changed = subscription.unsaved = False
        try:
            async with self._database() as conn:
                done = await db.save(
                    conn,
                    self._parts.settings.site,
                    state,
                    ttl_s=self._ttl_s,
                    touch=touch,
                    streaming_s=0.0 if subscription.stream is None else STREAMING_S,
                    with_tags=with_tags,
                )
        except BaseException:
            subscription.tags_changed |= with_tags
            subscription.unsaved = True
            raise
        if not done:
            self._drop(subscription)
            return False
        for batch in new:
            batch.stored = True
        return True

    def _drop(self, subscription: Subscription) -> None:
        subscription.gone = True
        subscription.wake.set()
        self._listeners.remove(subscription)
        if self._ours.get(subscription.id) is subscription:
            del self._ours[subscription.id]

    async def run(self, stop: asyncio.Event) -> None:
        """Look after the subscriptions until stopped; then what waits is stored."""
        while not stop.is_set():
            await wait_for(stop, timeout_s=PERIOD_S)
            try:
                await self.look(last=stop.is_set())
            except NexusError as error:  # the database is away: what waits stays here
                event(_log, "subscriptions are not stored", level=logging.DEBUG, why=error.message)

    async def look(self, *, last: bool = False) -> None:
        """One round: what others took is let go, what changed is followed, what streams is saved."""
        self._rounds += 1
        self._bound()
        site = self._parts.settings.site
        generations = {each.id: each.generation for each in self._ours.values()}
        async with self._database() as conn:
            revisions = await db.held(conn, site, generations, ttl_s=self._ttl_s)
            if self._rounds % EXPIRED_EVERY == 0:
                await db.expire(conn, site, ttl_s=self._ttl_s)
        for subscription in list(self._ours.values()):
            if generations.get(subscription.id) != subscription.generation:
                continue
            if subscription.id not in revisions:
                self._drop(subscription)
                continue
            await self._follow(subscription, revisions[subscription.id], last=last)

    async def _follow(self, subscription: Subscription, revision: int, *, last: bool) -> None:
        async with subscription.busy:
            if subscription.gone:
                return
            changed = revision != subscription.revision
            if changed:
                found = await self.listed(subscription.identity, [subscription.id])
                if subscription.id in found:
                    subscription.monitored, subscription.revision = found[subscription.id][1], revision
            await self._bring_up(subscription, again=changed)
            streams = subscription.stream is not None
            if last or subscription.unsaved or (streams and self._rounds % SAVED_EVERY == 0):
                await self._save(subscription, touch=streams)

    def _bound(self) -> None:
        """Drop the oldest of the longest queues while there is too much."""
        waiting = sum(len(each.queue) for each in self._ours.values())
        while waiting > MOST_QUEUED:
            longest = max(self._ours.values(), key=lambda each: len(each.queue))
            before = len(longest.queue)
            longest.queue.drop_oldest()
            waiting -= before - len(longest.queue)


class _StreamedElsewhere(Exception):
    """Another web has an open stream on it."""


def _unknown(id_: str) -> Problem:
    return Problem(404, f"Subscription not found: {id_[:100]}")


def _streamed() -> Problem:
    return Problem(400, "The subscription has an open stream: close it before a sync.")
