"""The only door to the broker: aiomqtt behind our own reconnect, window and errors. MQTT 3.1.1 (amqtt has no 5)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

import aiomqtt

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.connection import Connection, Message, OnMessage, tls_context
from nexus_cli.wire.url import BrokerUrl, parse_broker_url

KEEPALIVE_S = 15
"""A broker that is silent for one and a half of these is taken for lost (MQTT 3.1.1 §3.1.2.10)."""
CONNECT_TIMEOUT_S = 8.0
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 10.0
SESSION_QUEUE = 20_000
"""Messages that a one-shot session buffers; the newest is dropped and counted when it is full."""

_log = logging.getLogger("nexus.broker")
Subscriptions = Sequence[tuple[str, int]]


class BrokerClient:
    """One client of the broker, for a role (`run`) or for one command (`session`).

    Attributes:
        url: Where the broker is.
        problem: Why there is no connection; None while there is one.
        reconnects: Connections made after the first.
        dropped: Messages dropped by the queue of `session`.
        refused: Filters that the broker refused to subscribe.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        client_id: str,
        will: tuple[str, bytes] | None = None,
        clean: bool = True,
        keepalive_s: int = KEEPALIVE_S,
        rng: random.Random | None = None,
    ) -> None:
        """Name the broker and ourselves; nothing is opened yet.

        Args:
            settings: Gives URL, user, password and CA.
            client_id: Unique at the broker; a second connection with it ends the first.
            will: Topic and payload that the broker publishes, retained, when we vanish.
            clean: False keeps the session (subscriptions, queued messages) at the broker.
            keepalive_s: Seconds between signs of life.
            rng: Jitter of the reconnects.

        Raises:
            NexusError: NX6002, the broker's address can't be read.
        """
        self.url: BrokerUrl = parse_broker_url(settings.broker_url)
        self.problem: NexusError | None = None
        self.reconnects = 0
        self.dropped = 0
        self.refused: tuple[str, ...] = ()
        self._settings = settings
        self._client_id = client_id
        self._will = will
        self._clean = clean
        self._keepalive_s = keepalive_s
        self._random = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._connection: Connection | None = None

    @property
    def connected(self) -> bool:
        """True while the broker has accepted us, every subscription included."""
        return self._connection is not None

    @property
    def inflight(self) -> int:
        """Messages handed to the broker that it has not acknowledged."""
        return 0 if self._connection is None else self._connection.inflight

    async def run(
        self,
        stop: asyncio.Event,
        *,
        subscriptions: Subscriptions,
        on_message: OnMessage,
        on_connected: Callable[[], Awaitable[None]] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        """Stay connected until `stop`, reconnecting with back-off and jitter; logs changes of state only.

        Args:
            stop: Ends it, after a clean disconnect.
            subscriptions: `(filter, qos)`, renewed after every connect.
            on_message: Called on the loop for every message; must not block, its queue is the caller's.
            on_connected: Awaited after every connect, once publishing works; an outside failure in it reconnects.
            on_lost: Called once per lost connection.
        """
        step = 0
        first = True
        while not stop.is_set():
            try:
                async with self._open(subscriptions, on_message) as connection:
                    self.problem, step = None, 0
                    self.reconnects += 0 if first else 1
                    first = False
                    _log.info("connected to the broker at %s", self.url)
                    if on_connected is not None:
                        await on_connected()
                    await connection.until_lost(stop)
                if not stop.is_set():
                    raise self._unreachable(connection.why_lost())
            except NexusError as error:
                if self.problem is None or self.problem.code != error.code:
                    _log.warning("%s %s", error.message, error.cause)
                was_connected = self.problem is None and not first
                self.problem = error
                if was_connected and on_lost is not None:
                    on_lost()
                ceiling_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**step)
                step = min(step + 1, 10)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ceiling_s * (0.5 + self._random.random() / 2)):
                        await stop.wait()

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish and wait for the broker's acknowledgement (QoS 0: until it is handed to the socket).

        Raises:
            NexusError: NX6010 retriable, not connected or lost before the acknowledgement.
        """
        await self.post(topic, payload, qos=qos, retain=retain)

    def post(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> asyncio.Future[None]:
        """Publish without waiting; the future ends with the acknowledgement or a retriable NexusError.

        The caller bounds how many it has open (`inflight`); the window is its own, the broker's is 65,535.
        """
        if self._connection is None:
            raise self._unreachable(self.problem.cause if self.problem else "not connected")
        return self._connection.post(topic, payload, qos=qos, retain=retain)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncIterator[Message]]:
        """Connect once, for a command; gives the messages of what `subscribe` asked for.

        Raises:
            NexusError: NX6010 the broker does not answer, or was lost while messages were awaited; NX6011 it
                refused our credentials.
        """
        queue: asyncio.Queue[Message | None] = asyncio.Queue(SESSION_QUEUE)

        def keep(message: Message) -> None:
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                self.dropped += 1

        # Closed here, in the caller's task: a reader left to the collector is closed by the loop while it still runs.
        async with self._open((), keep) as connection, contextlib.aclosing(self._read(queue, connection)) as messages:
            yield messages

    async def _read(
        self, queue: asyncio.Queue[Message | None], connection: Connection
    ) -> AsyncGenerator[Message, None]:
        def wake() -> None:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)

        connection.when_lost(wake)
        while True:
            message = await queue.get()
            if message is not None:
                yield message
            if connection.lost and queue.empty():
                raise self._unreachable(connection.why_lost())

    async def subscribe(self, subscriptions: Subscriptions) -> None:
        """Add subscriptions to the open connection.

        Raises:
            NexusError: NX6012 when the broker refuses a filter, NX6010 when it is gone.
        """
        if self._connection is None:
            raise self._unreachable("not connected")
        await self._subscribe(self._connection, subscriptions)

    async def _subscribe(self, connection: Connection, subscriptions: Subscriptions) -> None:
        if not subscriptions:
            return
        try:
            refused = await connection.subscribe_all(subscriptions)
        except aiomqtt.MqttError as error:
            raise self._unreachable(str(error)) from None
        self.refused = refused
        if refused:
            raise NexusError(
                f"The broker at {self.url} refuses the subscription of {_join(refused)}.",
                code="NX6012",
                hint=f"its access rules do not let '{self._settings.broker_user}' read that; "
                "`nexus access can` says which rule decides",
                retriable=True,
            )

    @contextlib.asynccontextmanager
    async def _open(self, subscriptions: Subscriptions, on_message: OnMessage) -> AsyncIterator[Connection]:
        connection = Connection(
            self.url,
            client_id=self._client_id,
            user=self._settings.broker_user,
            password=self._settings.broker_password,
            tls=tls_context(self.url, self._settings.broker_ca),
            will=self._will,
            clean=self._clean,
            keepalive_s=self._keepalive_s,
            timeout_s=CONNECT_TIMEOUT_S,
            on_message=on_message,
        )
        await self._connect(connection)
        try:
            await self._subscribe(connection, subscriptions)
            self._connection = connection
            yield connection
        finally:
            self._connection = None
            await connection.close()
            connection.fail_pending(self._unreachable("the connection was lost before the acknowledgement"))

    async def _connect(self, connection: Connection) -> None:
        try:
            await connection.open()
        except aiomqtt.MqttCodeError as error:
            connection.abandon()
            raise self._refused(error) from None
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            connection.abandon()
            raise self._unreachable(str(error)) from None
        except asyncio.CancelledError:
            connection.abandon()
            raise

    def _refused(self, error: aiomqtt.MqttCodeError) -> NexusError:
        code = error.rc if isinstance(error.rc, int) else getattr(error.rc, "value", 0)
        # 3.1.1 return codes 4 and 5 (§3.2.2.3); paho shows them as MQTT 5 reason codes 134 and 135.
        if code in (4, 5, 134, 135):
            return NexusError(
                f"The broker at {self.url} refused the user '{self._settings.broker_user}'.",
                code="NX6011",
                cause=str(error),
                hint="check NEXUS_BROKER_USER and NEXUS_BROKER_PASSWORD, or the credentials in the .nexus folder",
                retriable=True,
            )
        return self._unreachable(str(error))

    def _unreachable(self, cause: str) -> NexusError:
        if "CERTIFICATE_VERIFY_FAILED" in cause:
            return NexusError(
                f"The certificate of the broker at {self.url} is not trusted.",
                code="NX6010",
                cause=cause,
                hint="name the PEM file of its CA in NEXUS_BROKER_CA, and its host as the certificate does",
                retriable=True,
            )
        return NexusError(
            f"The broker at {self.url} does not answer.",
            code="NX6010",
            cause=cause,
            hint="is it running? `nexus up` starts one, `nexus status` shows it; otherwise check NEXUS_BROKER_URL",
            retriable=True,
        )


def _join(filters: Sequence[str]) -> str:
    shown = ", ".join(f"'{one}'" for one in filters[:3])
    return shown if len(filters) <= 3 else f"{shown} and {len(filters) - 3} more"


__all__ = ["BrokerClient", "Message", "OnMessage"]
