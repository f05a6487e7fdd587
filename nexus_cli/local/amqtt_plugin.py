"""amqtt with NEXUS's users and grants.

`NexusBroker` makes the three access decisions itself instead of through amqtt's plugins: the plugin path awaits for
each delivery, and amqtt 0.12.1 then loses a message when a client subscribes meanwhile ("dictionary changed size during
iteration"). amqtt also sends retained messages without an access check, on reconnect even those for other clients'
filters, and ends that connection when another client subscribes meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any

from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.broker import Broker, Server
from amqtt.contexts import Action, ListenerConfig
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session

from nexus_cli.access.evaluate import covers
from nexus_cli.access.grants_file import Wanted
from nexus_cli.access.passwords import verify_at_broker
from nexus_cli.local.amqtt_handler import Handler
from nexus_cli.wire.topic import matches

DECISIONS = 200_000
"""Cached decisions; the cache is cleared when it is full, or the rules change."""


QUEUED_BYTES = 16 << 20
QUEUED_MESSAGES = 20_000
"""Limits per client: bytes that its socket does not accept, messages that it has not acknowledged (policy: the newest
is dropped). amqtt itself has no limit: a client that reads nothing would use up the broker's memory."""


SWEEP_AT = 1_000


class Rules:
    """The current users and grants."""

    def __init__(self) -> None:
        self._passwords: Mapping[str, str] = {}
        self._hashed: Mapping[str, str] = {}
        self._proven: dict[str, str] = {}
        self._filters: dict[tuple[str, str], list[str]] = {}
        self._known: dict[tuple[str, str, str], bool] = {}

    def replace(self, wanted: Wanted, passwords: Mapping[str, str]) -> frozenset[str]:
        """Replace the rules; they apply to open connections from the next message on.

        Returns:
            Users whose password is another one now, or who are gone: their connections are to be closed
            (`NexusBroker.end_refused`), as Mosquitto does.
        """
        grants, before = wanted.grants, {**self._passwords, **self._hashed}
        filters: dict[tuple[str, str], list[str]] = {}
        for grant in grants:
            filters.setdefault((grant.principal, grant.action), []).append(grant.filter)
        users = {grant.principal for grant in grants}
        self._filters = filters
        self._hashed = {name: hashes.sha512 for name, hashes in wanted.people.items() if name in users}
        self._passwords = {
            name: password for name, password in passwords.items() if name in users and name not in self._hashed
        }
        self._known = {}
        now = {**self._passwords, **self._hashed}
        changed = frozenset(name for name, secret in before.items() if now.get(name) != secret)
        self._proven = {name: password for name, password in self._proven.items() if name not in changed}
        return changed

    def authentic(self, user: str | None, password: str | None) -> bool:
        """True for a known user with its password. A hash is computed once for each password that was right: it takes
        10 ms."""
        if (hashed := self._hashed.get(user or "")) is not None:
            if user and password and hmac.compare_digest(self._proven.get(user, "").encode(), password.encode()):
                return True
            fits = verify_at_broker(password or "", hashed)
            if fits and user and password:
                self._proven[user] = password
            return fits
        expected = self._passwords.get(user or "")
        return expected is not None and hmac.compare_digest(expected.encode(), (password or "").encode())

    def allowed(self, user: str, action: str, topic: str) -> bool:
        """Whether a user may publish to, receive from, or subscribe to a topic (a filter must be covered
        completely)."""
        key = (user, action, topic)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= DECISIONS:
                self._known.clear()
            filters = self._filters.get((user, "publish" if action == "publish" else "subscribe"), ())
            test = covers if action == "subscribe" else matches
            known = self._known[key] = any(test(filter_, topic) for filter_ in filters)
        return known


class NexusBroker(Broker):
    """amqtt's broker with default deny, and a limit on the messages that wait for one client.

    Attributes:
        dropped: Messages that were dropped because too many waited for the client.
    """

    def __init__(self, *, host: str, port: int, rules: Rules) -> None:
        super().__init__({"listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}}, "plugins": {}})
        self._rules = rules
        self.dropped = 0
        self._sweep_at = SWEEP_AT

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        """A session of its own for each connection. amqtt deletes, or changes, the one with the same client id before it
        knows whether the client is refused. See `_take_over`."""
        try:
            return await Handler.init_from_connect(reader, writer, self.plugins_manager)
        except BaseException:
            await _close(writer)
            raise

    async def _handle_client_session(
        self,
        reader: ReaderAdapter,
        writer: WriterAdapter,
        client_session: Session,
        handler: BrokerProtocolHandler,
        server: Server,
        listener_name: str,
    ) -> None:
        """As amqtt's. However it ends, its connection is closed, its will sent, and it no longer counts as connected."""
        assert isinstance(handler, Handler)
        try:
            await super()._handle_client_session(reader, writer, client_session, handler, server, listener_name)
        finally:
            if client_session.transitions.state == "connected":
                gone: asyncio.Future[DisconnectPacket | None] = asyncio.get_running_loop().create_future()
                gone.set_result(None)
                await self._handle_disconnect(client_session, handler, gone)
            await _close(writer)
            handler.ended.set()

    def end_refused(self, users: Collection[str]) -> int:
        """Close the connections of these users that could not log in any more; gives how many."""
        ended = 0
        for session, handler in list(self._sessions.values()):
            if session.username not in users or session.transitions.state != "connected":
                continue
            if isinstance(handler, Handler) and not self._rules.authentic(session.username, session.password):
                self.logger.warning(
                    "ended: user %r, client %r: its password has changed", session.username, session.client_id
                )
                handler.abort()
                ended += 1
        return ended

    async def _take_over(self, session: Session) -> None:
        """End the connection that has this client id and wait until it is over, so that its will comes before the first
        message of the new one. amqtt leaves it open without its subscriptions, or lets its end mark the new one as disconnected."""
        assert session.client_id is not None
        while (known := self._sessions.get(session.client_id)) is not None:
            old, handler = known
            if old.transitions.state != "connected":
                break
            assert isinstance(handler, Handler)
            handler.abort()
            await handler.ended.wait()
        if known is None:
            return
        if session.clean_session or old.clean_session or old.username != session.username:
            await self._delete_session(session.client_id)
            return
        session.parent = 1
        session.inflight_in, session.inflight_out = old.inflight_in, old.inflight_out
        session.retained_messages = old.retained_messages
        for owners in self._subscriptions.values():
            owners[:] = [(session if owner is old else owner, qos) for owner, qos in owners]

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        if self._rules.authentic(session.username, session.password):
            if session.will_flag and not self._rules.allowed(session.username, "publish", session.will_topic or ""):
                # amqtt publishes a will without an access check, so a will that is not allowed is removed.
                self.logger.warning("refused: the will of %s on %s", session.username, session.will_topic)
                session.will_flag = False
            await self._take_over(session)
            return True
        self.logger.warning("refused: user %r, client %r", session.username, session.client_id)
        # amqtt registers refused clients too: this one must not replace the owner of the client id, nor have a will.
        session.client_id, session.clean_session, session.will_flag = f"refused-{id(session)}", True, False
        return False

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        allowed = self._rules.allowed(session.username or "", action.value, topic)
        if not allowed and action is not Action.RECEIVE:
            self.logger.warning("refused: %s may not %s %s", session.username, action.value, topic)
        if allowed and action is Action.RECEIVE and self._too_slow(session):
            if not self.dropped:
                self.logger.warning("%s reads too slowly: it does not get everything", session.client_id)
            self.dropped += 1
            return False
        return allowed

    def _too_slow(self, session: Session) -> bool:
        handler = self._get_handler(session)
        return isinstance(handler, Handler) and (
            handler.messages >= QUEUED_MESSAGES or handler.size_bytes >= QUEUED_BYTES
        )

    async def _run_broadcast(self, running_tasks: Any) -> None:
        """As amqtt's, which removes finished tasks only up to the first unfinished one: they pile up behind a client
        that reads nothing."""
        await super()._run_broadcast(running_tasks)
        if len(running_tasks) >= self._sweep_at:
            open_ones = [task for task in running_tasks if not task.done() or task.cancelled() or task.exception()]
            running_tasks.clear()
            running_tasks.extend(open_ones)
            self._sweep_at = max(SWEEP_AT, 2 * len(open_ones))

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Do nothing: amqtt calls this at each connect with the filters of all clients, and waits within: a SUBSCRIBE
        of another client meanwhile changes the dictionary that it iterates over, which ends the connection. See `_handle_subscription`."""

    async def _handle_subscription(self, client_session: Session, handler: Any, subscribe_waiter: Any) -> None:
        await super()._handle_subscription(client_session, handler, subscribe_waiter)
        for filter_, _ in subscribe_waiter.result().topics:
            owners = self._subscriptions.get(filter_, ())
            if any(owner.client_id == client_session.client_id for owner, _ in owners):
                await self._send_retained(client_session, handler, filter_)

    async def _send_retained(self, session: Session, handler: Any, filter_: str) -> None:
        kept = [message for topic, message in self._retained_messages.items() if self._matches(topic, filter_)]
        for message in kept:
            if self._rules.allowed(session.username or "", "receive", message.topic):
                # QoS 0: waiting for each acknowledgement here would block everything else of this client.
                await handler.mqtt_publish(message.topic, message.data, 0, retain=True)


async def _close(writer: WriterAdapter) -> None:
    with contextlib.suppress(OSError):
        await writer.close()
