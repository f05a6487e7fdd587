"""The door to the broker: reconnect, window and errors around one connection. MQTT 3.1.1 (amqtt has no 5).

`abilities` alone opens another one, to ask what the broker can do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from nexus_cli.backoff import Backoff
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Cut, tasks, wait_for
from nexus_cli.settings import Settings
from nexus_cli.wire.acknowledging import OnAcknowledged
from nexus_cli.wire.connection import Connection
from nexus_cli.wire.handover import another_id, leave, listen
from nexus_cli.wire.inbox import Inbox
from nexus_cli.wire.message import Message, OnMessage
from nexus_cli.wire.opening import open_as, open_once
from nexus_cli.wire.refusals import lost_as_unreachable, not_subscribed, unreachable
from nexus_cli.wire.renewed import next_account, with_kept_secrets
from nexus_cli.wire.tls import tls_context
from nexus_cli.wire.url import BrokerUrl, parse_broker_url
from nexus_cli.wire.why_closed import WhyClosed

KEEPALIVE_S = 15
"""A broker that is silent for one and a half of these is taken for lost (MQTT 3.1.1 §3.1.2.10)."""
CONNECT_TIMEOUT_S = 8.0
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 10.0
LOOK_S = 0.25

_log = logging.getLogger("nexus.broker")
Subscriptions = Sequence[tuple[str, int]]


def never() -> bool:
    """Of clients that stay with their account."""
    return False


class BrokerClient:
    """One client of the broker, for a role (`run`) or for one command (`session`).

    Attributes:
        url: Where the broker is.
        problem: Why there is no connection; None while there is one.
        connects: Connections made.
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
        self.connects = 0
        self.refused: tuple[str, ...] = ()
        self._settings = settings
        self._client_id = client_id
        self._will = will
        self._clean = clean
        self._may_move = never
        self._subscribed: dict[str, int] = {}
        self._latest: Connection | None = None
        self._keepalive_s = keepalive_s
        self._connection: Connection | None = None
        self._inbox = Inbox()
        self._cut = Cut()
        self._backoff = Backoff(first_s=FIRST_WAIT_S, cap_s=LONGEST_WAIT_S, rng=rng)
        self._why_closed = WhyClosed()
        self._on_acknowledged: OnAcknowledged | None = None

    @property
    def reconnects(self) -> int:
        """Connections made after the first."""
        return max(0, self.connects - 1)

    @property
    def dropped(self) -> int:
        """Messages that the queue of `session` dropped, or a newer one overtook."""
        return self._inbox.dropped

    @property
    def waiting(self) -> int:
        """Messages that the reader of `session` has not taken yet."""
        return len(self._inbox)

    @property
    def connected(self) -> bool:
        """True while the broker has accepted us, every subscription included, and the connection is open."""
        return self._connection is not None and not self._connection.lost

    @property
    def inflight(self) -> int:
        """Messages handed to the broker that it has not acknowledged."""
        return 0 if self._connection is None else self._connection.inflight

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the socket: more than a moment's worth means that link or broker do not keep up."""
        return 0 if self._connection is None else self._connection.unsent_bytes

    def move_ahead(self, when: Callable[[], bool]) -> None:
        """Change to the second account before the password of the first one ends, and back (`handover`), where `when` is true."""
        self._may_move = when

    def hold(self, held: bool) -> None:
        """Read nothing more from the broker, so that it keeps new messages, or continue; what was read already still arrives.

        Only for less than half a keep-alive: answers of the broker wait as well. A new connection is not held.
        """
        if self._connection is not None:
            self._connection.hold(held)

    async def run(
        self,
        stop: asyncio.Event,
        *,
        subscriptions: Subscriptions,
        on_message: OnMessage,
        on_connected: Callable[[], Awaitable[None]] | None = None,
        on_lost: Callable[[], None] | None = None,
        on_acknowledged: OnAcknowledged | None = None,
    ) -> None:
        """Stay connected until `stop`, reconnecting with back-off and jitter; logs changes of state only.

        Args:
            stop: Ends it at any point, after a clean disconnect.
            subscriptions: `(filter, qos)`, renewed after every connect.
            on_message: Called on the loop for every message; must not block, its queue is the caller's.
            on_connected: Awaited after every connect, once publishing works. It is cut short when the connection ends; an
                outside failure in it reconnects.
            on_lost: Called once per lost connection.
            on_acknowledged: Called with the tokens of `send` that the broker has acknowledged.
        """
        self._on_acknowledged = on_acknowledged
        async with tasks("broker client") as group:

            async def relay() -> None:
                await stop.wait()
                self._cut.end()

            relaying = group.create_task(relay(), name="stop of the broker client")
            while not stop.is_set():
                self._cut = Cut()
                before = self.connects
                try:
                    await self._live_once(subscriptions, on_message, on_connected)
                    continue  # only the stop ends it without an error
                except NexusError as error:
                    await self._note(error, stop)
                    if self.connects > before and on_lost is not None:
                        on_lost()
                await wait_for(stop, timeout_s=self._backoff.next_s())
            relaying.cancel()

    async def _live_once(
        self,
        subscriptions: Subscriptions,
        on_message: OnMessage,
        on_connected: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """One connection from the attempt to its end. Nothing in it outlives it, whatever is waited for.

        Raises:
            NexusError: It could not be made, the work after the connect failed, or it was lost; not when this side closed it.
        """
        self._latest = None
        async with self._cut as cut, self._open(subscriptions, on_message) as connection:
            self._latest = connection
            self.connects += 1
            self.problem = None
            self._backoff.reset()
            _log.info("connected to the broker at %s as %s", self.url, self._client_id)
            self._end_with(connection, cut)
            if on_connected is not None:
                await on_connected()
            while not await self._ends(cut):
                if self._may_move() and (there := next_account(self._settings)) is not None:
                    await self._hand_over(there, on_message, cut)
        opened = self._latest
        if opened is None or opened.left:
            return
        if opened.bug is not None:
            raise opened.bug
        raise unreachable(opened.why_lost, self.url)

    async def _ends(self, cut: Cut) -> bool:
        """Wait for the end of the connection; False when it is time to look whether to change the account."""
        return await wait_for(cut.ended, timeout_s=None if self._may_move is never else LOOK_S)

    def _end_with(self, connection: Connection, cut: Cut) -> None:
        """End the block with the connection, unless another one has taken its place."""
        connection.when_lost(lambda: cut.end() if self._latest is connection else None)

    async def _hand_over(self, there: Settings, on_message: OnMessage, cut: Cut) -> None:
        """Continue under another account, where the broker takes it; see `handover`."""
        old, before = self._connection, (self._settings, self._client_id)
        if old is None:
            return
        self._settings, self._client_id = there, another_id(self._client_id)
        subscribed, new, listens = dict(self._subscribed), self._new_connection(on_message), False
        try:
            listens = await listen(new, subscribed)
        finally:
            if not listens:
                self._settings, self._client_id = before
        if not listens:
            return
        self._connection = self._latest = new
        self._end_with(new, cut)
        _log.info("goes on at the broker as user %s", there.broker_user)
        await self._subscribe(new, [each for each in self._subscribed.items() if each[0] not in subscribed])
        await leave(old, subscribed)

    async def _note(self, error: NexusError, stop: asyncio.Event) -> None:
        """Say a change of state once."""
        before, self.problem = self.problem, error
        if error.code == "NX6010" and not stop.is_set():
            self._cut = Cut()  # a stop does not wait for the reason
            self.problem = await self._why_closed.of(error, self._settings, self._cut)
        if before is None or (before.code, before.message) != (self.problem.code, self.problem.message):
            _log.warning("%s %s", self.problem.message, self.problem.cause)

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
        connection = self._open_connection
        if connection.lost:
            raise unreachable(connection.why_lost, self.url)
        return connection.post(topic, payload, qos=qos, retain=retain)

    def send(self, topic: str, payload: bytes, token: Any, *, qos: int = 1, retain: bool = False) -> None:
        """Publish without waiting and without a future per message: `on_acknowledged` of `run` gets the token.

        Tokens that it did not get before `on_lost` are unacknowledged: their messages may have arrived or not.

        Raises:
            NexusError: NX6010 retriable, not connected, or too much waits for the broker.
        """
        self._open_connection.send(topic, payload, token, qos=qos, retain=retain)

    def send_many(
        self, heads: Sequence[bytes], payloads: Sequence[bytes], tokens: Sequence[Any], *, qos: int, retain: bool
    ) -> None:
        """`send` for many messages, in one write: all of them, or none. `heads` are topics by `mqtt.packets.topic_head`.

        Raises:
            NexusError: As `send`.
        """
        self._open_connection.send_many(heads, payloads, tokens, qos=qos, retain=retain)

    def fence(self, token: Any) -> None:
        """`on_acknowledged` gets the token once the broker has taken what was sent before, QoS 0 included.

        Raises:
            NexusError: As `send`.
        """
        self._open_connection.fence(token)

    @contextlib.asynccontextmanager
    async def session(self, *, newest: bool = False) -> AsyncIterator[AsyncIterator[Message]]:
        """Connect once, for a command; gives the messages of what `subscribe` asked for.

        They are taken from the broker whether they are read or not, and wait in an `Inbox`: a slow reader is our own
        affair.

        Args:
            newest: When too many wait, older ones make room for newer ones (the live view); else the newest is dropped.

        Raises:
            NexusError: NX6010 the broker does not answer, or was lost while messages were awaited; NX6011 it
                refused our credentials.
        """
        inbox = self._inbox = Inbox(newest=newest)
        # Closed here, in the caller's task: a reader left to the collector is closed by the loop while it still runs.
        async with (
            self._open((), inbox.put, once=True) as connection,
            contextlib.aclosing(self._read(inbox, connection)) as messages,
        ):
            connection.when_lost(inbox.close)
            yield messages

    async def _read(self, inbox: Inbox, connection: Connection) -> AsyncGenerator[Message, None]:
        while (message := await inbox.get()) is not None:
            yield message
        raise unreachable(connection.why_lost, self.url)

    async def subscribe(self, subscriptions: Subscriptions) -> None:
        """Add subscriptions to the open connection.

        Raises:
            NexusError: NX6012 when the broker refuses a filter, NX6010 when it is gone.
        """
        await self._subscribe(self._open_connection, subscriptions)

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """End subscriptions that `subscribe` added.

        Raises:
            NexusError: NX6010, the broker is gone, and they with it.
        """
        connection = self._open_connection
        for each in filters:
            self._subscribed.pop(each, None)
        with lost_as_unreachable(self.url):
            await connection.unsubscribe_all(filters)

    async def _subscribe(self, connection: Connection, subscriptions: Subscriptions) -> None:
        if not subscriptions:
            return
        with lost_as_unreachable(self.url):
            refused_filters = await connection.subscribe_all(subscriptions)
        self.refused = refused_filters
        self._subscribed.update(each for each in subscriptions if each[0] not in refused_filters)
        if refused_filters:
            raise not_subscribed(refused_filters, self.url, user=self._settings.broker_user)

    @contextlib.asynccontextmanager
    async def _open(
        self, subscriptions: Subscriptions, on_message: OnMessage, *, once: bool = False
    ) -> AsyncIterator[Connection]:
        connection, self._subscribed = self._new_connection(on_message), {}
        try:
            try:
                await (open_once if once else open_as)(connection, self._settings, self.url)
            except NexusError as error:
                renewed = with_kept_secrets(self._settings) if error.code == "NX6011" else None
                if renewed is None:
                    raise
                await connection.close()
                self._settings = renewed
                connection = self._new_connection(on_message)
                await open_as(connection, self._settings, self.url)
            await self._subscribe(connection, subscriptions)
            self._connection = connection
            yield connection
        finally:
            current, self._connection = self._connection or connection, None
            await current.close()
            await connection.close()

    def _new_connection(self, on_message: OnMessage) -> Connection:
        return Connection(
            self.url,
            client_id=self._client_id,
            user=self._settings.broker_user,
            password=self._settings.broker_password,
            tls=tls_context(self.url, self._settings),
            will=self._will,
            clean=self._clean,
            keepalive_s=self._keepalive_s,
            timeout_s=CONNECT_TIMEOUT_S,
            on_message=on_message,
            on_acknowledged=self._on_acknowledged,
        )

    @property
    def _open_connection(self) -> Connection:
        """Raises NexusError NX6010 where there is none."""
        if self._connection is None:
            raise unreachable(self.problem.cause if self.problem else "not connected", self.url)
        return self._connection
