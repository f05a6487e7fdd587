"""One connection to the broker: an MQTT session on asyncio's stream, with a window of publishes and one end for all.

What is published in one turn of the loop leaves in one write, and acknowledgements are taken as they come, many at once.
Whatever waits for the broker (acceptance, subscriptions, acknowledgements) waits for a future that ends with the
connection, the moment it ends.

See docs/decisions/0057.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nexus_cli.wire.lost import LostError, RefusedError, lost_error
from nexus_cli.wire.message import Message, OnMessage
from nexus_cli.wire.mqtt import reasons
from nexus_cli.wire.mqtt.events import Accepted, Acknowledged, Closed, Forgotten, Refused, Rejected, Subscribed
from nexus_cli.wire.mqtt.packets import Options, Will
from nexus_cli.wire.mqtt.session import Event, Session
from nexus_cli.wire.url import BrokerUrl
from nexus_cli.wire.websocket import WebSocket

WINDOW = 20_000
"""Most unacknowledged messages of one connection (policy: refuse). Packet identifiers end at 65,535 (MQTT 3.1.1 §2.3.1)."""
MOST_UNSENT = 64 * 1024 * 1024
"""Most bytes that wait for the socket (policy: refuse)."""
SUBSCRIBE_BATCH = 200
"""Filters in one SUBSCRIBE packet; some brokers bound its size."""
LOOK_S = 1.0
"""How often keep-alive and acknowledgements are looked at."""
UNANSWERED_S = 15.0
"""A broker that acknowledges nothing for this long, while something waits for it, is taken for lost."""
CLOSE_S = 2.0
"""Longest wait for what is queued to leave, and for the farewell."""
T = TypeVar("T")
Waiting = asyncio.Future[T]


class Connection:
    """One connect of one client; a fresh one is made for every attempt.

    Attributes:
        left: True when the end was our own farewell.
    """

    def __init__(
        self,
        url: BrokerUrl,
        *,
        client_id: str,
        user: str,
        password: str,
        tls: ssl.SSLContext | None,
        will: tuple[str, bytes] | None,
        clean: bool,
        keepalive_s: int,
        timeout_s: float,
        on_message: OnMessage,
    ) -> None:
        """Prepare; `open` connects."""
        self.left = False
        self._url, self._tls, self._timeout_s = url, tls, timeout_s
        self._options = Options(
            client_id=client_id,
            clean=clean,
            keepalive_s=keepalive_s,
            user=user,
            password=password,
            will=None if will is None else Will(topic=will[0], payload=will[1]),
        )
        self._sink = on_message
        self._loop = asyncio.get_running_loop()
        self._accepted: Waiting[None] = self._loop.create_future()
        self._publishes: set[Waiting[None]] = set()
        self._subscribes: dict[int, Waiting[Sequence[int]]] = {}
        self._moved_s = 0.0
        self._why = ""
        self._bug: Exception | None = None
        self._watchers: list[Callable[[], None]] = []
        self._look: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._websocket = WebSocket(url) if url.websocket else None
        self._flushing = False

    @property
    def inflight(self) -> int:
        """Messages that are not acknowledged yet."""
        return 0 if self._session is None or self.lost else self._session.inflight

    @property
    def undecodable(self) -> int:
        """Messages whose topic is not UTF-8."""
        return 0 if self._session is None else self._session.undecodable

    @property
    def lost(self) -> bool:
        """True once the connection has ended."""
        return bool(self._why)

    @property
    def why_lost(self) -> str:
        """The technical cause of the end, one line."""
        return self._why or "disconnected"

    @property
    def bug(self) -> Exception | None:
        """What the handler of messages raised: our own fault, which ended the connection."""
        return self._bug

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call once the connection has ended: at once when it has."""
        if self.lost:
            call()
        else:
            self._watchers.append(call)

    # --- opening and closing -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and wait for the broker's acceptance.

        Raises:
            LostError: It can't be reached, went before it accepted, or did not in time; RefusedError, it refused.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._loop.create_connection(
                    lambda: _Stream(self),
                    self._url.host,
                    self._url.port,
                    ssl=self._tls,
                    server_hostname=self._url.host if self._tls is not None else None,
                )
                await self._accepted
        except TimeoutError as error:
            why = str(error) or f"it did not accept the connection within {self._timeout_s:g} s"
            self._end(why)
            raise LostError(why) from None
        except (OSError, ValueError) as error:  # UnicodeError: a host that is no name
            self._end(_plain(error))
            raise LostError(self._why) from None
        except BaseException as error:
            self._end(str(error) or "given up")
            raise

    async def close(self) -> None:
        """Say farewell, free the socket. An end that the broker made before is no error here; never raises."""
        gone = asyncio.Event()
        self.when_lost(gone.set)
        try:
            if not self.lost and self._session is not None and self._transport is not None:
                self.left = True
                self._session.disconnect()
                self._flush()
                if self._websocket is not None:
                    self._transport.write(self._websocket.close())
                self._transport.close()  # once what is queued has left
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_S):
                        await gone.wait()
        finally:
            self._end("disconnected")

    def _end(self, why: str, *, bug: Exception | None = None) -> None:
        """The one end of a connection: the socket goes, and everything that waits for it is told."""
        if self.lost:
            return
        self._why, self._bug = " ".join(why.split()) or "disconnected", bug
        if self._look is not None:
            self._look.cancel()
        if self._transport is not None:
            self._transport.abort()
        _fail([self._accepted], LostError(self._why))
        _fail(self._subscribes.values(), LostError(self._why))
        _fail(self._publishes, lost_error(self._why))
        self._subscribes.clear()
        self._publishes.clear()
        watchers, self._watchers = self._watchers, []
        for call in watchers:
            call()

    # --- talking -----------------------------------------------------------------------------------------------

    def post(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> Waiting[None]:
        """Publish; the future ends with the acknowledgement, or a retriable NexusError when the connection does."""
        future: Waiting[None] = self._loop.create_future()
        session, transport = self._session, self._transport
        if self.lost or session is None or transport is None:
            _fail([future], lost_error(self._why))
            return future
        if session.inflight >= WINDOW or (not qos and transport.get_write_buffer_size() > MOST_UNSENT):
            _fail([future], lost_error("the broker takes nothing any more"))
            return future
        try:
            session.publish(topic, payload, qos=qos, retain=retain, token=future)
        except ValueError as error:
            _fail([future], lost_error(str(error)))
            return future
        if qos:
            if not self._publishes:
                self._moved_s = self._loop.time()
            self._publishes.add(future)
        else:
            future.set_result(None)
        self._soon()
        return future

    async def subscribe_all(self, subscriptions: Sequence[tuple[str, int]]) -> tuple[str, ...]:
        """Subscribe; gives the filters that the broker refused (SUBACK 0x80, MQTT 3.1.1 §3.9.3).

        Raises:
            LostError: The connection ended, or the broker did not answer in time.
        """
        refused: list[str] = []
        for start in range(0, len(subscriptions), SUBSCRIBE_BATCH):
            batch = list(subscriptions[start : start + SUBSCRIBE_BATCH])
            answers = await self._subscribe(batch)
            refused += [filter_ for (filter_, _), code in zip(batch, answers, strict=False) if code >= reasons.FAILURE]
        return tuple(refused)

    async def _subscribe(self, batch: list[tuple[str, int]]) -> Sequence[int]:
        if self.lost or self._session is None:
            raise LostError(self._why)
        try:
            number = self._session.subscribe(batch)
        except ValueError as error:
            raise LostError(f"a filter can't be subscribed: {error}") from None
        answer: Waiting[Sequence[int]] = self._loop.create_future()
        self._subscribes[number] = answer
        self._soon()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:
            raise LostError(f"the subscription was not answered within {self._timeout_s:g} s") from None
        finally:
            self._subscribes.pop(number, None)

    # --- the stream ---------------------------------------------------------------------------------------------

    def _opened(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        if self.lost:  # given up while it was opened
            transport.abort()
            return
        now_s = self._moved_s = self._loop.time()
        try:
            self._session = Session(self._options, now_s=now_s)
        except ValueError as error:
            self._end(f"the connection can't be asked for: {error}")
            return
        self._look = self._loop.call_later(LOOK_S, self._look_after)
        if self._websocket is not None:
            transport.write(self._websocket.hello())
        else:
            self._flush()

    def _soon(self) -> None:
        """Send at the end of this turn of the loop, together with whatever else comes in it."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        session, transport = self._session, self._transport
        if self.lost or session is None or transport is None or not session.wants_to_send:
            return
        if self._websocket is None:
            transport.write(session.take(self._loop.time()))
        elif self._websocket.opened:
            transport.write(self._websocket.wrap(session.take(self._loop.time())))

    def _received(self, data: bytes) -> None:
        if self.lost or self._session is None:
            return
        if self._websocket is not None:
            try:
                data = self._websocket.receive(data)
            except LostError as error:
                self._end(str(error))
                return
            answer = self._websocket.outgoing()
            if answer and self._transport is not None:
                self._transport.write(answer)
        if data:
            for event in self._session.receive(data, self._loop.time()):
                self._happened(event)
                if self.lost:
                    return
        self._flush()

    def _happened(self, event: Event) -> None:
        if isinstance(event, Message):
            try:
                self._sink(event)
            except Exception as error:  # noqa: BLE001 - whatever our own handler raises ends the connection, and is raised there
                self._end(f"a message could not be handled ({type(error).__name__})", bug=error)
        elif isinstance(event, Acknowledged):
            self._moved_s = self._loop.time()
            for future in event.tokens:
                self._publishes.discard(future)
                if not future.done():
                    future.set_result(None)
        elif isinstance(event, Subscribed):
            answer = self._subscribes.pop(event.number, None)
            if answer is not None and not answer.done():
                answer.set_result(event.codes)
        elif isinstance(event, Accepted):
            if not self._accepted.done():
                self._accepted.set_result(None)
        elif isinstance(event, Refused):
            _fail([self._accepted], RefusedError(event.why, code=event.code))
        elif isinstance(event, Closed):
            self._flush()
            self._end(event.why)
        elif isinstance(event, Rejected):
            self._publishes.discard(event.token)
            _fail([event.token], lost_error(event.why))
        elif isinstance(event, Forgotten):
            _fail(event.tokens, lost_error("the broker has forgotten our session"))

    def _closed(self, error: Exception | None) -> None:
        if error is None or isinstance(error, ConnectionError):
            early = "" if self._accepted.done() else " before it accepted us"
            self._end(f"the broker closed the connection{early}")
        else:
            self._end(_plain(error))

    def _look_after(self) -> None:
        """Every second: keep-alive, and whether the broker still acknowledges."""
        self._look = self._loop.call_later(LOOK_S, self._look_after)
        now_s = self._loop.time()
        if self._session is None:
            return
        for event in self._session.tick(now_s):
            self._happened(event)
        self._flush()
        silent_s = now_s - self._moved_s
        if self._publishes and not self.lost and silent_s >= UNANSWERED_S:
            self._end(f"the broker acknowledged nothing for {silent_s:.0f} s, {self.inflight} messages wait")


class _Stream(asyncio.Protocol):
    """Hands the loop's calls on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._connection._opened(transport)

    def data_received(self, data: bytes) -> None:
        self._connection._received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection._closed(exc)


def _plain(error: Exception) -> str:
    """A failure in the system's own words; asyncio's list every address that was tried."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) > 0:
        return f"[Errno {error.errno}] {os.strerror(error.errno or 0)}"
    return str(error) or type(error).__name__


def _fail(waiting: Any, error: Exception) -> None:
    for future in list(waiting):
        if not future.done():
            future.set_exception(error)
            future.exception()  # marks it as seen: a caller that has gone away is no fault
