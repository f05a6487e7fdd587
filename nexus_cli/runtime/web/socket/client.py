"""One client: what it asks is carried out in order, and what it watches is sent as fast as it reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import get_args

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.api.bodies import words
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.socket.codec import Codec
from nexus_cli.runtime.web.socket.happenings import Seen
from nexus_cli.runtime.web.socket.pace import Pace, turns_of
from nexus_cli.runtime.web.socket.shared import Shared
from nexus_cli.runtime.web.socket.subscriptions import Subscriptions
from nexus_cli.wire.web_socket import AskedAny, Failed, Ping, Pong, Told, Unwatch, Unwatched, Write, Written

ASKED_HINT = (
    f"a message is an object with `op` ({', '.join(str(one.__struct_config__.tag) for one in get_args(AskedAny))}), `id` "
    "and the fields of docs/websocket.md"
)
MOST_UNSENT = 64
"""Answers that wait for the client to read; then nothing more is read of it."""
MOST_WRITES = 8
"""Commands of one client that wait for their answers."""
CHECK_S = 4.0
"""How often it is asked whether its token still holds and what it may, in seconds."""
STOPPING, ENDED, FORBIDDEN = 1001, 4401, 4403
"""Close codes (docs/websocket.md)."""


class CloseError(Exception):
    """The connection is to be closed, with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        """Say why."""
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
        self._unsent: deque[bytes] = deque()
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._feeds = Subscriptions(shared, codec, seen=self._seen, wake=self._wake.set)
        self._looks: Seen | None = None
        self._renewed = False
        self._writes = 0
        self._loop = asyncio.get_running_loop()
        self._check_s = self._loop.time() + CHECK_S
        self._pace = Pace(now_s=self._loop.time())

    def _seen(self) -> Seen:
        assert self._looks is not None  # known before anything is read
        return self._looks

    def tell(self, said: Told) -> None:
        """Send a message soon, before values."""
        self._say(self._codec.encode(said))

    def _say(self, message: bytes) -> None:
        self._unsent.append(message)
        self._wake.set()

    def renew(self) -> None:
        """Look at site and rights again."""
        self._renewed = True
        self._wake.set()

    async def run(self) -> None:
        """Until the client leaves, or the connection is closed with a reason."""
        view = self._parts.keeper.view
        self._looks = Seen(view, await self._parts.callers.rights(view, self.caller), self.caller)
        self._renewed = True  # the site may have changed meanwhile
        over: CloseError | None = None
        try:
            async with Group() as group:
                writing = group.create_task(self._write(), name="socket writer")
                try:
                    await self._read(group)
                finally:
                    writing.cancel()
                    self._feeds.close()
        except* CloseError as error:
            over = _first(error)
        except* WebSocketDisconnect:
            pass
        if over is not None:
            with contextlib.suppress(WebSocketDisconnect):  # it left at the same moment
                await self._websocket.close(over.code, over.reason)

    async def _read(self, group: Group) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect
            await asyncio.sleep(self._pace.wait_s(1.0, self._loop.time()))
            while len(self._unsent) >= MOST_UNSENT:
                self._room.clear()
                await self._room.wait()
            data = message.get("bytes")
            await self._carry_out(data if data is not None else str(message.get("text", "")).encode(), group)

    async def _carry_out(self, data: bytes, group: Group) -> None:
        try:
            asked = self._codec.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            message = f"It can't be read: {words(error)}"
            self.tell(Failed(id=_id_in(self._codec, data), code="NX6910", message=message, hint=ASKED_HINT))
            return
        try:
            await self._do(asked, group)
        except NexusError as error:
            self._fail(asked.id, error)

    def _fail(self, id_: int, error: NexusError) -> None:
        self.tell(Failed(id=id_, code=error.code, message=error.message, hint=error.hint))

    async def _do(self, asked: AskedAny, group: Group) -> None:
        if isinstance(asked, Unwatch):
            self._feeds.end(asked.id)
            self.tell(Unwatched(id=asked.id))
        elif isinstance(asked, Ping):
            self.tell(Pong(id=asked.id))
        elif isinstance(asked, Write):
            if self._writes >= MOST_WRITES:
                raise NexusError(f"{MOST_WRITES} commands of this connection wait for their answers.", code="NX6911")
            self._writes += 1
            group.create_task(self._send_command(asked), name="socket command")
        else:
            await asyncio.sleep(self._pace.wait_s(turns_of(asked), self._loop.time()))
            self._say(await self._feeds.add(asked))

    async def _send_command(self, asked: Write) -> None:
        try:
            answer = await self._shared.writer(
                self.caller,
                path=asked.path,
                value=asked.value,
                expect=asked.expect,
                reason=asked.reason,
                timeout_s=asked.timeout_s,
            )
            self.tell(Written(id=asked.id, response=answer))
        except NexusError as error:
            self._fail(asked.id, error)
        finally:
            self._writes -= 1

    async def _write(self) -> None:
        while True:
            now_s = self._loop.time()
            if self._shared.stopping:
                raise CloseError(STOPPING, "this web is stopping")
            if self._renewed or now_s >= self._check_s:
                await self._look_again(now_s)
            while self._unsent:
                await self._send(self._unsent.popleft())
                self._room.set()
            for feed in self._feeds:
                if feed.due_s <= now_s and (message := feed.take(now_s)) is not None:
                    await self._send(message)
            await self._until_due()

    async def _until_due(self) -> None:
        self._wake.clear()
        due_s = min(self._feeds.due_s, self._check_s)
        if self._unsent or self._renewed or due_s <= self._loop.time():
            await asyncio.sleep(0)  # the others have their turn
            return
        timer = self._loop.call_at(due_s, self._wake.set)
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
        """Ask who it is, what it may, and what is deployed, and choose the tags again where that has changed."""
        self._renewed, self._check_s = False, now_s + CHECK_S
        try:
            self.caller = await self._parts.callers.caller(self._authorization)
        except NexusError as error:
            if error.code.startswith("NX62"):  # the database is away: nothing can have been revoked there
                return
            raise CloseError(ENDED, error.message) from None
        if not self.caller.may("values:read"):
            raise CloseError(FORBIDDEN, f"{self.caller.principal} may not read values any more")
        before, view = self._seen(), self._parts.keeper.view
        rights = await self._parts.callers.rights(view, self.caller)
        self._looks = Seen(view, rights, self.caller)
        if view is before.view and rights is before.rights:
            return
        for feed in self._feeds:
            try:
                said = await feed.renew(view, rights)
            except NexusError as error:
                self._fail(0, error)
                continue
            if said is not None:
                self._unsent.append(said)


class _Id(msgspec.Struct):
    id: int | None = None


def _id_in(codec: Codec, data: bytes) -> int | None:
    """The id of a message that can't be carried out, as far as it can be read."""
    try:
        found = msgspec.msgpack.decode(data, type=_Id) if codec.binary else msgspec.json.decode(data, type=_Id)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found.id


def _first(group: BaseExceptionGroup[CloseError]) -> CloseError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
