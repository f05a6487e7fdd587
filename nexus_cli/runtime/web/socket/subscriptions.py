"""What one client has subscribed to, within its limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.web.socket.codec import Codec
from nexus_cli.runtime.web.socket.count_watch import CountWatch
from nexus_cli.runtime.web.socket.event_watch import EventWatch
from nexus_cli.runtime.web.socket.feed import Feed
from nexus_cli.runtime.web.socket.happenings import Seen
from nexus_cli.runtime.web.socket.shared import Shared
from nexus_cli.runtime.web.socket.topic_watch import TopicWatch
from nexus_cli.runtime.web.socket.value_watch import ValueWatch
from nexus_cli.wire.web_socket import Counts, Events, Listening, Topics, Watch

MOST_FEEDS = 200
"""Subscriptions of one client."""
MOST_TAGS = 100_000
"""Tags of all its watches together."""
MOST_TOPICS = 5
"""Its `topics`; each message of the site is looked at for each of them."""
MOST_TOGETHER = 60
"""`topics` of all clients together."""
MOST_COUNTED = 5_000
"""Subtrees of all its `counts` together."""
ENOUGH = "`unwatch` what is no longer shown"


class Subscriptions:
    """By the client's ids."""

    def __init__(self, shared: Shared, codec: Codec, *, seen: Callable[[], Seen], wake: Callable[[], None]) -> None:
        """`seen` is who looks at the moment; `wake` is called when a feed has something to say."""
        self._shared, self._codec, self._seen, self._wake = shared, codec, seen, wake
        self._feeds: dict[int, Feed] = {}

    def __iter__(self) -> Iterator[Feed]:
        """Every feed; they may change meanwhile."""
        return iter(tuple(self._feeds.values()))

    @property
    def due_s(self) -> float:
        """Loop time at which the next one may have something to say; `inf` when none will on its own."""
        return min((feed.due_s for feed in self._feeds.values()), default=float("inf"))

    async def add(self, asked: Watch | Counts | Events | Topics) -> bytes:
        """Begin, in the place of what had the id; gives the answer.

        Raises:
            NexusError: NX6911, it would be too many; NX6913, it is no filter; NX6012, the broker refuses the subscription.
        """
        self.end(asked.id)
        if len(self._feeds) >= MOST_FEEDS:
            raise _too_many(f"This connection has {MOST_FEEDS} subscriptions already.")
        before = self._seen()
        feed, said = await self._made(asked)
        self._feeds[asked.id] = feed
        now = self._seen()
        if now.view is not before.view or now.rights is not before.rights:
            return await feed.renew(now.view, now.rights) or said
        return said

    async def _made(self, asked: Watch | Counts | Events | Topics) -> tuple[Feed, bytes]:
        if isinstance(asked, Watch):
            return await self._watch(asked)
        if isinstance(asked, Topics):
            return await self._topics(asked)
        encode, shared = self._codec.encode, self._shared
        if isinstance(asked, Events):
            events = EventWatch(asked, seen=self._seen, codec=self._codec, sources=shared.events, wake=self._wake)
            return events, encode(Listening(id=asked.id))
        counted = sum(len(each.paths) for each in self._feeds.values() if isinstance(each, CountWatch))
        if counted + len(asked.paths) > MOST_COUNTED:
            raise _too_many(f"This connection would count more than {MOST_COUNTED} subtrees.")
        view, rights, _ = self._seen()
        counts = CountWatch(asked, view=view, rights=rights, codec=self._codec, of=shared.counting)
        return counts, encode(Listening(id=asked.id))

    async def _watch(self, asked: Watch) -> tuple[Feed, bytes]:
        shared = self._shared
        feed = ValueWatch(
            asked,
            cache=shared.parts.cache,
            codec=self._codec,
            encoded=shared.encoded[self._codec.number],
            selections=shared.selections,
        )
        since = asked.since
        turn = since.turn if since is not None and since.web == shared.instance else None
        view, rights, _ = self._seen()
        said = await feed.start(view, rights, turn=turn)
        tags = feed.tags + sum(each.tags for each in self._feeds.values() if isinstance(each, ValueWatch))
        if tags > MOST_TAGS:
            raise _too_many(f"This connection would watch {tags:,} tags; {MOST_TAGS:,} is the most.")
        return feed, said

    async def _topics(self, asked: Topics) -> tuple[Feed, bytes]:
        shared = self._shared
        if len([each for each in self._feeds.values() if isinstance(each, TopicWatch)]) >= MOST_TOPICS:
            raise _too_many(f"This connection listens to {MOST_TOPICS} filters already.")
        if shared.hearings.listeners >= MOST_TOGETHER:
            raise _too_many(f"The clients of this web listen to {MOST_TOGETHER} filters already.")
        feed = TopicWatch(
            asked, cache=shared.parts.cache, codec=self._codec, hearings=shared.hearings, extra=shared.extra
        )
        view, rights, _ = self._seen()
        try:
            said = await feed.start(view, rights)
        except BaseException:
            feed.close()
            raise
        return feed, said

    def end(self, id_: int) -> None:
        """End what has this id, if anything has."""
        feed = self._feeds.pop(id_, None)
        if feed is not None:
            feed.close()

    def close(self) -> None:
        """End everything."""
        for id_ in tuple(self._feeds):
            self.end(id_)


def _too_many(message: str) -> NexusError:
    return NexusError(message, code="NX6911", hint=ENOUGH)
