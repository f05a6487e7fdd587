"""One connection to the broker: paho's protocol on asyncio's loop, with a window of publishes and one end for all.

paho speaks MQTT; the socket is ours. Its descriptor is registered on the loop by this file alone, at once and on the
loop's thread, and taken off before the socket is closed: registered a turn later, its number may by then be the socket
of somebody else. Whatever waits for the broker (acceptance, subscriptions, acknowledgements) waits for a future that
ends with the connection, the moment it ends.

See docs/decisions/0051.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from nexus_cli.wire.descriptor import Descriptor
from nexus_cli.wire.lost import HandlerError, LostError, RefusedError, lost_error
from nexus_cli.wire.message import Message, OnMessage
from nexus_cli.wire.url import BrokerUrl

WINDOW = 20_000
"""Most unacknowledged messages of one connection, and most packets that wait for its socket (policy: refuse). Packet
identifiers end at 65,535 (MQTT 3.1.1 §2.3.1)."""
REFUSED = 0x80
"""Return codes of a SUBACK from here on are failures (MQTT 3.1.1 §3.9.3)."""
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
        undecodable: Messages whose topic is not UTF-8.
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
        self.undecodable = 0
        self.left = False
        self._url, self._keepalive_s, self._timeout_s = url, keepalive_s, timeout_s
        self._sink = on_message
        self._loop = asyncio.get_running_loop()
        self._accepted: Waiting[None] = self._loop.create_future()
        self._publishes: dict[int, Waiting[None]] = {}
        self._subscribes: dict[int, Waiting[Sequence[Any]]] = {}
        self._moved_s = 0.0
        self._why = ""
        self._told = ""
        self._bug: Exception | None = None
        self._watchers: list[Callable[[], None]] = []
        self._look: asyncio.TimerHandle | None = None
        self._descriptor = Descriptor(read=self._read, write=self._write)
        self._handover = threading.Lock()
        self._abandoned = False
        self._client = self._paho(client_id, clean=clean, will=will)
        if user:
            self._client.username_pw_set(user, password or None)
        if tls is not None:
            self._client.tls_set_context(tls)
        if url.path:
            self._client.ws_set_options(path=url.path)

    def _paho(self, client_id: str, *, clean: bool, will: tuple[str, bytes] | None) -> paho.Client:
        client = paho.Client(
            callback_api_version=CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            protocol=paho.MQTTv311,
            transport="websockets" if self._url.websocket else "tcp",
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._timeout_s
        # No window of paho: with one it walks over all open messages at every acknowledgement (`_update_inflight`).
        client.max_inflight_messages_set(0)
        client.max_queued_messages_set(WINDOW)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_subscribe = self._on_publish, self._on_subscribe
        client.on_message = self._on_message
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        if will is not None:
            client.will_set(will[0], will[1], qos=1, retain=True)
        return client

    @property
    def inflight(self) -> int:
        """Messages that are not acknowledged yet."""
        return len(self._publishes)

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
            # paho opens the socket, TLS and the WebSocket by blocking calls, each bounded by its connect time-out.
            await self._loop.run_in_executor(None, self._connect)
            self._adopt()
            async with asyncio.timeout(self._timeout_s):
                await self._accepted
        except TimeoutError as error:
            why = str(error) or f"it did not accept the connection within {self._timeout_s:g} s"
            self._end(why)
            raise LostError(why) from None
        except (OSError, ValueError, paho.WebsocketConnectionError) as error:  # UnicodeError: a host that is no name
            self._end(str(error) or type(error).__name__)
            raise LostError(self._why) from None
        except BaseException as error:
            self._end(str(error) or "given up")
            raise

    def _connect(self) -> None:
        """On a thread. Who gave up meanwhile leaves the socket to us."""
        self._client.connect(self._url.host, self._url.port, self._keepalive_s)
        with self._handover:
            if self._abandoned:
                self._client._sock_close()

    def _adopt(self) -> None:
        """The socket is open: from here on it is the loop's."""
        sock = self._client.socket()
        if sock is None:
            raise LostError("the connection closed while it was opened")
        if isinstance(sock, socket.socket):
            # Nagle would hold a small message back until the one before is acknowledged, by up to 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._descriptor.own(sock)
        self._moved_s = self._loop.time()
        self._look = self._loop.call_later(LOOK_S, self._look_after)
        self._write()

    async def close(self) -> None:
        """Say farewell, free the socket. An end that the broker made before is no error here; never raises."""
        gone = asyncio.Event()
        self.when_lost(gone.set)
        try:
            if not self.lost:
                self.left = True
                self._client.disconnect()
                self._write()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await gone.wait()
        finally:
            self._end("disconnected")

    def _end(self, why: str, *, bug: Exception | None = None) -> None:
        """The one end of a connection: the socket goes, and everything that waits for it is told."""
        with self._handover:
            self._abandoned = True
        if self.lost:
            return
        self._why, self._bug = " ".join(why.split()) or "disconnected", bug
        if self._look is not None:
            self._look.cancel()
        self._client._sock_close()
        self._descriptor.release()
        _fail([self._accepted], LostError(self._why))
        _fail(self._subscribes.values(), LostError(self._why))
        _fail(self._publishes.values(), lost_error(self._why))
        self._subscribes.clear()
        self._publishes.clear()
        watchers, self._watchers = self._watchers, []
        for call in watchers:
            call()

    # --- talking -----------------------------------------------------------------------------------------------

    def post(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> Waiting[None]:
        """Publish; the future ends with the acknowledgement, or a retriable NexusError when the connection does."""
        future: Waiting[None] = self._loop.create_future()
        if self.lost:
            _fail([future], lost_error(self._why))
            return future
        if not self._publishes:
            self._moved_s = self._loop.time()
        if qos == 0 and len(self._client._out_packet) >= WINDOW:
            _fail([future], lost_error("the broker takes nothing any more"))
            return future
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            _fail([future], lost_error(paho.error_string(info.rc)))
        elif qos == 0:
            future.set_result(None)
        else:
            self._publishes[info.mid] = future
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
            refused += [
                filter_
                for (filter_, _), answer in zip(batch, answers, strict=False)
                if (answer if isinstance(answer, int) else answer.value) >= REFUSED
            ]
        return tuple(refused)

    async def _subscribe(self, batch: list[tuple[str, int]]) -> Sequence[Any]:
        if self.lost:
            raise LostError(self._why)
        try:
            code, number = self._client.subscribe(batch)
        except ValueError as error:
            raise LostError(f"a filter can't be subscribed: {error}") from None
        if number is None or code != paho.MQTT_ERR_SUCCESS:
            raise LostError(paho.error_string(code))
        answer: Waiting[Sequence[Any]] = self._loop.create_future()
        self._subscribes[number] = answer
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:
            raise LostError(f"the subscription was not answered within {self._timeout_s:g} s") from None
        finally:
            self._subscribes.pop(number, None)

    # --- the socket: its descriptor is registered here and nowhere else ----------------------------------------

    def _read(self) -> None:
        """The socket has something, or has ended."""
        try:
            while True:
                self._client.loop_read()
                sock: Any = self._client._sock
                # TLS may hold decoded bytes that the loop does not see.
                if sock is None or not hasattr(sock, "pending") or not sock.pending():
                    break
        except HandlerError as error:
            self._end(str(error), bug=error.cause)
        except Exception as error:  # noqa: BLE001 - paho's decoders raise what they like at bytes that are no MQTT
            self._end(f"what the broker sent can't be read ({type(error).__name__}: {error})")
        self._see()

    def _write(self) -> None:
        """The socket takes something."""
        try:
            self._client.loop_write()
        except Exception as error:  # noqa: BLE001 - the same for what TLS and WebSockets raise
            self._end(f"nothing can be sent ({type(error).__name__}: {error})")
        self._see()

    def _see(self) -> None:
        """After every turn of paho: when it has closed the socket, that was the end. Its own callback comes in the middle
        of such a turn, with a lock held that closing needs."""
        if not self.lost and self._client.socket() is None:
            self._end(self._told or "the broker closed the connection")

    def _look_after(self) -> None:
        """Every second: keep-alive, and whether the broker still acknowledges."""
        self._look = self._loop.call_later(LOOK_S, self._look_after)
        try:
            self._client.loop_misc()
        except Exception as error:  # noqa: BLE001
            self._end(f"nothing can be sent ({type(error).__name__}: {error})")
        self._see()
        silent_s = self._loop.time() - self._moved_s
        if self._publishes and not self.lost and silent_s >= UNANSWERED_S:
            self._end(f"the broker acknowledged nothing for {silent_s:.0f} s, {self.inflight} messages wait")

    def _on_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        # From the connecting thread nothing is registered: `_adopt` sees to what waits by then.
        client._registered_write = self._descriptor.want_write(sock)

    def _on_unregister_write(self, client: Any, userdata: Any, sock: Any) -> None:
        self._descriptor.enough_written()

    def _on_socket_close(self, client: Any, userdata: Any, sock: Any) -> None:
        self._descriptor.release()  # paho is about to close it

    # --- what paho tells ---------------------------------------------------------------------------------------

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._accepted.done():
            return
        code = int(getattr(reason, "value", reason))
        if code:
            _fail([self._accepted], RefusedError(str(reason), code=code))
        else:
            self._accepted.set_result(None)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        # 128 is paho's word for any connection that just ended (MQTT 5 "unspecified error").
        plain = getattr(reason, "value", reason) in (0, 128)
        early = "" if self._accepted.done() else " before it accepted us"
        self._told = f"the broker closed the connection{early}" if plain else str(reason)

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Sequence[Any], properties: Any) -> None:
        future = self._subscribes.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(reasons)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        future = self._publishes.pop(mid, None)
        if future is None:
            return  # QoS 0: it has left, which says nothing of the broker
        self._moved_s = self._loop.time()
        if not future.done():
            future.set_result(None)

    def _on_message(self, client: Any, userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # forbidden by MQTT 3.1.1 §1.5.3, yet some brokers pass it on
            self.undecodable += 1
            return
        if self.lost:
            return
        try:
            self._sink(Message(topic, bytes(message.payload), message.qos, bool(message.retain)))
        except Exception as error:
            raise HandlerError(error) from error


def _fail(waiting: Any, error: Exception) -> None:
    for future in list(waiting):
        if not future.done():
            future.set_exception(error)
            future.exception()  # marks it as seen: a caller that has gone away is no fault
