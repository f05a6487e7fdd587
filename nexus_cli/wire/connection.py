"""One connection to the broker: an MQTT session on asyncio's stream, with a window of publishes and one end for all.

Publishes of one turn of the loop leave in one write, and acknowledgements of one read are handled together. Everything that
waits for the broker (acceptance, subscriptions, acknowledgements) waits for a future that ends with the connection.

See docs/decisions/0057, which replaced docs/decisions/0051.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import wait_for
from nexus_cli.wire.acknowledging import Acknowledging, OnAcknowledged
from nexus_cli.wire.lost import LostError, RefusedError, fail, lost_error
from nexus_cli.wire.message import Message, OnMessage
from nexus_cli.wire.mqtt.events import (
    Accepted,
    Acknowledged,
    Closed,
    Event,
    Forgotten,
    Oversized,
    Refused,
    Rejected,
    Subscribed,
)
from nexus_cli.wire.mqtt.packets import Options, Will
from nexus_cli.wire.mqtt.session import Session
from nexus_cli.wire.stream import MOST_UNSENT, Stream, plain_cause, websocket_to
from nexus_cli.wire.subscribing import Subscribing, Waiting
from nexus_cli.wire.url import BrokerUrl

WINDOW = 20_000
"""Most unacknowledged messages of one connection (policy: refuse). Packet identifiers end at 65,535 (MQTT 3.1.1 §2.3.1)."""
MOST_ANSWERS = 100_000
"""Most acknowledgements of received messages that wait for a full socket (policy: end the connection)."""
LARGEST_MESSAGE = 64 * 1024 * 1024
"""Largest message that is received, bytes (policy: acknowledge and drop); anybody who may publish could fill our memory otherwise."""
LOOK_S = 1.0
"""How often keep-alive and acknowledgements are looked at."""
UNANSWERED_S = 15.0
"""A broker that acknowledges nothing for this long, while something waits for it, is taken for lost."""
CLOSE_S = 2.0
"""Longest wait for what is queued to leave, and for the DISCONNECT."""
_log = logging.getLogger("nexus.broker")


class Connection:
    """One connect of one client; a fresh one is made for every attempt.

    Attributes:
        left: True when we ended it.
        received: Messages that came.
        bug: What the handler of messages raised: our own fault, which ended the connection.
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
        on_acknowledged: OnAcknowledged | None = None,
    ) -> None:
        """Prepare; `open` connects."""
        self.left = False
        self.received = 0
        self._url, self._tls, self._timeout_s = url, tls, timeout_s
        self._options = Options(
            client_id=client_id,
            clean=clean,
            keepalive_s=keepalive_s,
            user=user,
            password=password,
            will=None if will is None else Will(topic=will[0], payload=will[1]),
            maximum_packet=LARGEST_MESSAGE,
        )
        self._sink = on_message
        self._loop = asyncio.get_running_loop()
        self._accepted: Waiting[None] = self._loop.create_future()
        self._publishes = Acknowledging(on_acknowledged)
        self._subscribes = Subscribing(self._loop)
        self._moved_s = 0.0
        self._why = ""
        self.bug: Exception | None = None
        self._watchers: list[Callable[[], None]] = []
        self._look: asyncio.TimerHandle | None = None
        self._stream: Stream | None = None
        self._session: Session | None = None
        self._flushing = False
        self._unsent_bytes = 0

    @property
    def inflight(self) -> int:
        """Messages that are not acknowledged yet."""
        return 0 if self._session is None or self.lost else self._session.inflight

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the socket."""
        return self._unsent_bytes + (0 if self._stream is None else self._stream.unsent_bytes)

    @property
    def lost(self) -> bool:
        """True once the connection has ended."""
        return bool(self._why)

    @property
    def why_lost(self) -> str:
        """The technical cause of the end, one line."""
        return self._why or "disconnected"

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call once the connection has ended: at once when it has."""
        if self.lost:
            call()
        else:
            self._watchers.append(call)

    def hold(self, held: bool) -> None:
        """See `BrokerClient.hold`."""
        if self._stream is not None:
            self._stream.hold(held)

    async def open(self) -> None:
        """Connect and wait for the broker's acceptance.

        Raises:
            LostError: It can't be reached, went before it accepted, or did not in time; RefusedError, it refused.
        """
        try:
            stream = self._stream = Stream(
                websocket_to(self._url),
                on_opened=self._opened,
                on_bytes=self._received,
                on_room=self._flush,
                on_closed=self._closed,
            )
            async with asyncio.timeout(self._timeout_s):
                await self._loop.create_connection(
                    lambda: stream,
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
            self._end(plain_cause(error))
            raise LostError(self._why) from None
        except BaseException as error:
            self._end(str(error) or "given up")
            raise

    async def close(self) -> None:
        """Disconnect and free the socket. An earlier end by the broker is no error here; never raises."""
        gone = asyncio.Event()
        self.when_lost(gone.set)
        try:
            if not self.lost and self._session is not None and self._stream is not None:
                self.left = True
                self._session.disconnect()
                self._flush()
                self._stream.close()
                await wait_for(gone, timeout_s=CLOSE_S)
        finally:
            self._end("disconnected")

    def _end(self, why: str, *, bug: Exception | None = None) -> None:
        """The one end of a connection: closes the socket and ends everything that waits."""
        if self.lost:
            return
        self._why, self.bug = " ".join(why.split()) or "disconnected", bug
        if self._look is not None:
            self._look.cancel()
        if self._stream is not None:
            self._stream.abort()
        fail([self._accepted], LostError(self._why))
        self._subscribes.lost(LostError(self._why))
        self._publishes.lost(lost_error(self._why))
        watchers, self._watchers = self._watchers, []
        for call in watchers:
            call()

    def post(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> Waiting[None]:
        """Publish; the future ends with the acknowledgement, or a retriable NexusError when the connection does."""
        future: Waiting[None] = self._loop.create_future()
        try:
            self.send(topic, payload, future, qos=qos, retain=retain)
        except NexusError as error:
            fail([future], error)
            return future
        if qos:
            self._publishes.wait(future)
        else:
            future.set_result(None)
        return future

    def send(self, topic: str, payload: bytes, token: Any, *, qos: int = 1, retain: bool = False) -> None:
        """Publish without a future per message: `on_acknowledged` gets the token.

        When the connection ends, the tokens that it did not get are unacknowledged; the caller keeps account of them.

        Args:
            topic: Without wildcards.
            payload: Any bytes.
            token: Anything but a future; without meaning at QoS 0.
            qos: 0 to 2.
            retain: Whether the broker keeps it as the topic's last message.

        Raises:
            NexusError: NX6010 retriable: the connection has ended, too much waits for the broker, or the message can't be sent.
        """
        session = self._with_room(1)
        waiting = session.inflight
        try:
            session.publish(topic, payload, qos=qos, retain=retain, token=token)
        except ValueError as error:
            raise lost_error(str(error)) from None
        self._sent(len(payload), first=bool(qos) and not waiting)

    def send_many(
        self, heads: Sequence[bytes], payloads: Sequence[bytes], tokens: Sequence[Any], *, qos: int, retain: bool
    ) -> None:
        """`send` for many messages at once, see `Session.publish_many`: all of them, or none when there is no room for all.
        Raises NexusError as `send`."""
        session = self._with_room(len(heads))
        waiting = session.inflight
        try:
            session.publish_many(heads, payloads, tokens, qos=qos, retain=retain)
        except ValueError as error:
            raise lost_error(str(error)) from None
        self._sent(sum(map(len, payloads)), first=bool(qos) and not waiting)

    def fence(self, token: Any) -> None:
        """See `Session.fence`: `on_acknowledged` gets the token. Raises NexusError as `send`."""
        self._with_room(0).fence(token, self._loop.time())
        self._soon()

    def _with_room(self, count: int) -> Session:
        session, stream = self._session, self._stream
        if self.lost or session is None or stream is None:
            raise lost_error(self._why)
        if session.inflight + count > WINDOW or stream.full or self._unsent_bytes > MOST_UNSENT:
            raise lost_error("the broker accepts nothing any more")
        return session

    def _sent(self, size_bytes: int, *, first: bool) -> None:
        """Something waits for the socket; `first`: nothing waited for the broker before, so its silence begins now."""
        if first:
            self._moved_s = self._loop.time()
        self._unsent_bytes += size_bytes
        self._soon()

    async def subscribe_all(self, subscriptions: Sequence[tuple[str, int]]) -> tuple[str, ...]:
        """Subscribe; see `Subscribing.all`.

        Raises:
            LostError: As there.
        """
        session = self._session
        if session is None:
            raise LostError(self._why)
        return await self._subscribes.all(session, subscriptions, timeout_s=self._timeout_s, asked=self._soon)

    async def unsubscribe_all(self, filters: Sequence[str]) -> None:
        """End subscriptions. Raises LostError: the connection has ended, or no answer came in time."""
        if self._session is None:
            raise LostError(self._why)
        await self._subscribes.end(self._session, filters, timeout_s=self._timeout_s, asked=self._soon)

    async def answered(self) -> None:
        """Wait until the broker has answered a PINGREQ: what it sent before has come. Raises LostError."""
        future: Waiting[None] = self._loop.create_future()
        try:
            self.fence(future)
            self._publishes.wait(future)
            await future
        except NexusError as error:
            raise LostError(error.cause) from None

    def _opened(self) -> None:
        if self.lost:  # given up while it was opened
            if self._stream is not None:
                self._stream.abort()
            return
        now_s = self._moved_s = self._loop.time()
        try:
            self._session = Session(self._options, now_s=now_s)
        except ValueError as error:
            self._end(f"the connection can't be asked for: {error}")
            return
        self._look = self._loop.call_later(LOOK_S, self._look_after)
        self._flush()

    def _soon(self) -> None:
        """Send at the end of this turn of the loop, together with whatever else comes in it."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        session, stream = self._session, self._stream
        if self.lost or session is None or stream is None or stream.full or not session.unsent:
            return
        self._unsent_bytes = 0
        stream.write(session.take(self._loop.time()))

    def _received(self, data: bytes) -> None:
        session = self._session
        if self.lost or session is None:
            return
        for event in session.receive(data, self._loop.time()):
            self._happened(event)
            if self.lost:
                return
        self._hand_over()
        self._flush()
        if session.unsent > MOST_ANSWERS:
            self._end("the broker does not read what it is sent")

    def _happened(self, event: Event) -> None:
        if isinstance(event, Message):
            self.received += 1
            try:
                self._sink(event)
            except Exception as error:  # noqa: BLE001 - whatever our own handler raises ends the connection, and is raised there
                self._end(f"a message could not be handled ({type(error).__name__})", bug=error)
        elif isinstance(event, Acknowledged):
            self._moved_s = self._loop.time()
            self._publishes.acknowledged(event)
        elif isinstance(event, Subscribed):
            self._subscribes.answered(event)
        elif isinstance(event, Closed):
            self._hand_over()
            self._flush()
            self._end(event.why)
        else:
            self._seldom(event)

    def _seldom(self, event: Event) -> None:
        if isinstance(event, Accepted):
            if not self._accepted.done():
                self._accepted.set_result(None)
        elif isinstance(event, Refused):
            fail([self._accepted], RefusedError(event.why, code=event.code))
        elif isinstance(event, Oversized):
            _log.warning("a message of %s bytes on %s is larger than is accepted, and dropped", event.size, event.topic)
        elif isinstance(event, Rejected) and isinstance(event.token, asyncio.Future):
            self._publishes.rejected(event.token, lost_error(event.why))
        elif isinstance(event, Rejected | Forgotten):  # of MQTT 5, or of a state that we do not keep over connections
            self._end("the broker rejects a message")

    def _hand_over(self) -> None:
        try:
            self._publishes.hand_over()
        except Exception as error:  # noqa: BLE001 - as in `_happened`
            self._end(f"an acknowledgement could not be handled ({type(error).__name__})", bug=error)

    def _closed(self, error: Exception | None) -> None:
        if error is None or isinstance(error, ConnectionError):
            early = "" if self._accepted.done() else " before it accepted us"
            self._end(f"the broker closed the connection{early}")
        else:
            self._end(plain_cause(error))

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
        if self.inflight and not self.lost and silent_s >= UNANSWERED_S:
            self._end(f"the broker acknowledged nothing for {silent_s:.0f} s, {self.inflight} messages wait")
