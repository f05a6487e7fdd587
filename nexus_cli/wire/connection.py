"""One connection to the broker: aiomqtt with a window of publishes and messages handed over by call.

`aiomqtt.Client.publish` costs a task and a timer for each message and its iterator a task for each one received;
measured, that is more than MQTT itself. This subclass keeps aiomqtt's handling of the socket and replaces those two
ends by plain callbacks. It leans on aiomqtt's hooks `_on_publish` and `_on_message` (2.x; a test watches them).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import aiomqtt
from paho.mqtt import client as paho

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.url import BrokerUrl

WINDOW = 20_000
"""Most unacknowledged messages of one connection; packet identifiers end at 65,535 (MQTT 3.1.1 §2.3.1)."""
REFUSED = 0x80
"""Return codes of a SUBACK from here on are failures (MQTT 3.1.1 §3.9.3)."""
SUBSCRIBE_BATCH = 200
"""Filters in one SUBSCRIBE packet; some brokers bound its size."""


class Message(NamedTuple):
    """One received message."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


OnMessage = Callable[[Message], None]


def tls_context(url: BrokerUrl, ca: str) -> ssl.SSLContext | None:
    """The TLS settings for a broker: its certificate is checked against `ca` (PEM file) or the system's roots.

    Raises:
        NexusError: NX6002, the CA file can't be read.
    """
    if not url.tls:
        return None
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise NexusError(
            f"The broker's CA file '{ca}' can't be read.", code="NX6002", cause=str(error), hint="set NEXUS_BROKER_CA"
        ) from None


class Connection(aiomqtt.Client):
    """One connect of one client; a fresh one is made for every attempt."""

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
        super().__init__(
            url.host,
            url.port,
            username=user or None,
            password=password or None,
            identifier=client_id,
            will=aiomqtt.Will(will[0], will[1], qos=1, retain=True) if will else None,
            clean_session=clean,
            transport="websockets" if url.websocket else "tcp",
            websocket_path=url.path or None,
            timeout=timeout_s,
            keepalive=keepalive_s,
            tls_context=tls,
            # No window of paho: with one it walks over all open messages at every acknowledgement (`_update_inflight`).
            max_inflight_messages=0,
            max_queued_outgoing_messages=WINDOW,
            # Nagle would hold a small message back until the one before is acknowledged, by up to 40 ms.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            logger=logging.getLogger("mqtt"),
        )
        self._client.connect_timeout = timeout_s
        self._sink = on_message
        self._open_publishes: dict[int, asyncio.Future[None]] = {}
        self.undecodable = 0

    @property
    def inflight(self) -> int:
        """Messages that are not acknowledged yet."""
        return len(self._open_publishes)

    @property
    def lost(self) -> bool:
        """True once the connection has ended."""
        return self._disconnected.done()

    async def open(self) -> None:
        """Connect and wait for the broker's acceptance. Raises what aiomqtt does."""
        await self.__aenter__()

    async def close(self) -> None:
        """Disconnect; an end that the broker made before is no error here."""
        self._forget_end()
        with contextlib.suppress(aiomqtt.MqttError, OSError):
            await self.__aexit__(None, None, None)

    def abandon(self) -> None:
        """Free what a failed `open` left: a socket whose CONNACK never came would stay registered on the loop."""
        if not self._disconnected.done():
            self._disconnected.set_result(None)  # aiomqtt would ask a `_connected` that was cancelled
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
        # In the loop's next turn: what paho has asked of it until now must not meet a socket that is closed already.
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._client.loop_write()

    def _forget_end(self) -> None:
        """How it ends concerns nobody any more; asyncio would tell of an exception that nobody asked for."""
        self._disconnected.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception())

    def post(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> asyncio.Future[None]:
        """Publish; the future ends with the acknowledgement."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self._disconnected.done():
            return _failed(future, "the connection has just ended")
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            return _failed(future, paho.error_string(info.rc))
        if qos == 0:
            future.set_result(None)
        else:
            self._open_publishes[info.mid] = future
        return future

    async def subscribe_all(self, subscriptions: Sequence[tuple[str, int]]) -> tuple[str, ...]:
        """Subscribe; gives the filters that the broker refused (SUBACK 0x80, MQTT 3.1.1 §3.9.3)."""
        refused: list[str] = []
        for start in range(0, len(subscriptions), SUBSCRIBE_BATCH):
            batch = list(subscriptions[start : start + SUBSCRIBE_BATCH])
            answers: Sequence[Any] = await self.subscribe(batch)
            refused += [
                filter_
                for (filter_, _), answer in zip(batch, answers, strict=False)
                if (answer if isinstance(answer, int) else answer.value) >= REFUSED
            ]
        return tuple(refused)

    async def until_lost(self, stop: asyncio.Event) -> None:
        """Wait until the connection ends or `stop` is set; what a handler raised (our bug) comes out here."""
        ended = asyncio.Event()
        self.when_lost(ended.set)
        async with asyncio.TaskGroup() as group:

            async def relay() -> None:
                await stop.wait()
                ended.set()

            watcher = group.create_task(relay(), name="stop-relay")
            await ended.wait()
            watcher.cancel()
        error = self._disconnected.exception() if self._disconnected.done() else None
        if error is not None and not isinstance(error, (aiomqtt.MqttError, OSError, paho.WebsocketConnectionError)):
            raise error

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call once the connection has ended."""
        self._disconnected.add_done_callback(lambda _: call())

    def why_lost(self) -> str:
        """The technical cause of the end, one line."""
        if not self._disconnected.done():
            return "disconnected"
        cause = self._disconnected.exception()
        # paho says 128 (MQTT 5 "unspecified error") for every connection that just ended.
        if cause is None or getattr(getattr(cause, "rc", None), "value", getattr(cause, "rc", None)) == 128:
            return "the broker closed the connection"
        return str(cause)

    def fail_pending(self, error: NexusError) -> None:
        """End every open publish with an error; their callers decide about sending again."""
        pending, self._open_publishes = self._open_publishes, {}
        for future in pending.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # marks it as seen: a caller that has gone away is no fault

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        future = self._open_publishes.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(None)

    def _on_message(self, client: Any, userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # forbidden by MQTT 3.1.1 §1.5.3, yet some brokers pass it on
            self.undecodable += 1
            return
        self._sink(Message(topic, bytes(message.payload), message.qos, bool(message.retain)))


def _failed(future: asyncio.Future[None], cause: str) -> asyncio.Future[None]:
    future.set_exception(lost_error(cause))
    future.exception()  # marks it as seen: not every caller waits
    return future


def lost_error(cause: str) -> NexusError:
    """The retriable error of a publish that has no acknowledgement."""
    return NexusError("The connection to the broker was lost.", code="NX6010", cause=cause, retriable=True)
