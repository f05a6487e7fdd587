"""One client: what it asks is carried out in order, and what it watches is sent as fast as it reads."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.api.bodies import words
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.codec import Codec
from nexus_cli.runtime.web.socket.feed import Feed
from nexus_cli.runtime.web.socket.pace import Pace
from nexus_cli.runtime.web.socket.shared import Shared
from nexus_cli.runtime.web.socket.value_watch import ValueWatch
from nexus_cli.wire.web_socket import AskedAny, Failed, Ping, Pong, Told, Unwatch, Unwatched, Watch

MOST_FEEDS = 200
"""Subscriptions of one client."""
MOST_TAGS = 100_000
"""Tags of all its watches together."""
MOST_UNSENT = 64
"""Answers that wait for the client to read; then nothing more is read of it."""
CHECK_S = 4.0
"""How often it is asked whether its token still holds, in seconds."""
ENDED, FORBIDDEN, STOPPING, SLOW = 4401, 4403, 1001, 4408
"""Close codes."""


class _Over(Exception):
    """The connection is to be closed, with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class SocketClient:
    """A connection that was let in.

    Attributes:
        caller: Whose it is.
    """

    def __init__(
        self, websocket: WebSocket, shared: Shared, *, caller: Caller, authorization: str | None, codec: Codec
    ) -> None:
        """`authorization` is asked about again and again: it may end while the connection lasts."""
        self.caller = caller
        self._websocket, self._shared, self._parts = websocket, shared, shared.parts
        self._authorization, self._codec = authorization, codec
        self._feeds: dict[int, Feed] = {}
        self._unsent: deque[bytes] = deque()
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._renewed = False
        self._view: SiteView = shared.parts.keeper.view
        self._rights: CallerRights | None = None
        self._loop = asyncio.get_running_loop()
        self._check_s = self._loop.time() + CHECK_S
        self._pace = Pace(now_s=self._loop.time())

    def tell(self, said: Told) -> None:
        """Send a message soon, before values."""
        self._unsent.append(self._codec.encode(said))
        self._wake.set()

    def renew(self) -> None:
        """Look at site and rights again."""
        self._renewed = True
        self._wake.set()

    async def run(self) -> None:
        """Until the client leaves, or is told why it has to."""
        self._rights = await self._parts.callers.rights(self._view, self.caller)
        try:
            async with Group() as group:
                writing = group.create_task(self._write(), name="socket writer")
                await self._read()
                writing.cancel()
        except* _Over as over:
            first = over.exceptions[0]
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            assert isinstance(first, _Over)
            await self._websocket.close(first.code, first.reason)
        except* WebSocketDisconnect:
            pass
        finally:
            for feed in self._feeds.values():
                feed.close()

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await asyncio.sleep(self._pace.wait_s(self._loop.time()))
            while len(self._unsent) >= MOST_UNSENT:
                self._room.clear()
                await self._room.wait()
            data = message.get("bytes")
            await self._carry_out(data if data is not None else str(message.get("text", "")).encode())

    async def _carry_out(self, data: bytes) -> None:
        try:
            asked = self._codec.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self.tell(Failed(id=None, code="NX6910", message=f"The message can't be read: {words(error)}"))
            return
        try:
            await self._do(asked)
        except NexusError as error:
            self.tell(Failed(id=asked.id, code=error.code, message=error.message, hint=error.hint))

    async def _do(self, asked: AskedAny) -> None:
        if isinstance(asked, Watch):
            await self._watch(asked)
        elif isinstance(asked, Unwatch):
            self._end(asked.id)
            self.tell(Unwatched(id=asked.id))
        elif isinstance(asked, Ping):
            self.tell(Pong(id=asked.id))

    async def _watch(self, asked: Watch) -> None:
        self._end(asked.id)
        shared = self._shared
        feed = ValueWatch(
            asked,
            cache=self._parts.cache,
            codec=self._codec,
            encoded=shared.encoded[self._codec.number],
            selections=shared.selections,
        )
        since = asked.since
        turn = since.turn if since is not None and since.web == shared.instance else None
        assert self._rights is not None  # known before anything is read
        said = await feed.start(self._view, self._rights, turn=turn)
        self._add(asked.id, feed)
        self._unsent.append(said)
        self._wake.set()

    def _add(self, id_: int, feed: Feed) -> None:
        if len(self._feeds) >= MOST_FEEDS:
            feed.close()
            raise NexusError(
                f"This connection has {MOST_FEEDS} subscriptions already.",
                code="NX6911",
                hint="`unwatch` what is no longer shown, or watch several paths at once",
            )
        tags = sum(each.tags for each in self._feeds.values() if isinstance(each, ValueWatch))
        if isinstance(feed, ValueWatch) and tags + feed.tags > MOST_TAGS:
            feed.close()
            raise NexusError(
                f"This connection would watch {tags + feed.tags:,} tags; {MOST_TAGS:,} is the most.",
                code="NX6911",
                hint="`unwatch` what is no longer shown, or open another connection",
            )
        self._feeds[id_] = feed

    def _end(self, id_: int) -> None:
        feed = self._feeds.pop(id_, None)
        if feed is not None:
            feed.close()

    async def _write(self) -> None:
        while True:
            now_s = self._loop.time()
            if self._parts.stopping():
                raise _Over(STOPPING, "this web is stopping")
            if self._renewed or now_s >= self._check_s:
                await self._look_again(now_s)
            while self._unsent:
                await self._send(self._unsent.popleft())
                self._room.set()
            for feed in tuple(self._feeds.values()):
                if feed.due_s <= now_s and (message := feed.take(now_s)) is not None:
                    await self._send(message)
            await self._until_due()

    async def _until_due(self) -> None:
        self._wake.clear()
        if self._unsent or self._renewed:
            return
        due_s = min((feed.due_s for feed in self._feeds.values()), default=self._check_s)
        timer = self._loop.call_at(min(due_s, self._check_s), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _send(self, message: bytes) -> None:
        if self._codec.binary:
            await self._websocket.send({"type": "websocket.send", "bytes": message})
        else:
            await self._websocket.send({"type": "websocket.send", "text": message.decode()})

    async def _look_again(self, now_s: float) -> None:
        """Ask who it is, what it may, and what is deployed, and choose the tags anew where that has changed."""
        self._renewed, self._check_s = False, now_s + CHECK_S
        try:
            self.caller = await self._parts.callers.caller(self._authorization)
        except NexusError as error:
            if error.code.startswith("NX62"):  # the database is away: nothing can have been revoked there
                return
            raise _Over(ENDED, error.message) from None
        if not self.caller.may("values:read"):
            raise _Over(FORBIDDEN, f"{self.caller.principal} may not read values any more")
        view = self._parts.keeper.view
        rights = await self._parts.callers.rights(view, self.caller)
        if view is self._view and rights is self._rights:
            return
        self._view, self._rights = view, rights
        for feed in tuple(self._feeds.values()):
            said = await feed.renew(view, rights)
            if said is not None:
                self._unsent.append(said)
