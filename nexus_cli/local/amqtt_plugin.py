"""amqtt with NEXUS's users and grants.

`NexusBroker` makes the three access decisions itself instead of through amqtt's plugins: the plugin path awaits for
each delivery, and amqtt 0.12.1 then loses a message when a client subscribes meanwhile ("dictionary changed size during
iteration"). amqtt also sends retained messages without an access check, on reconnect even those for other clients'
filters.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import Action, ListenerConfig
from amqtt.session import Session

from nexus_cli.access.evaluate import covers
from nexus_cli.access.grants_file import Wanted
from nexus_cli.access.passwords import verify_at_broker
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

    def replace(self, wanted: Wanted, passwords: Mapping[str, str]) -> None:
        """Replace the rules; they apply to open connections from the next message on."""
        grants = wanted.grants
        filters: dict[tuple[str, str], list[str]] = {}
        for grant in grants:
            filters.setdefault((grant.principal, grant.action), []).append(grant.filter)
        users = {grant.principal for grant in grants}
        self._filters = filters
        self._hashed = {name: hash_ for name, hash_ in wanted.people.items() if name in users}
        self._proven = {}
        self._passwords = {
            name: password for name, password in passwords.items() if name in users and name not in self._hashed
        }
        self._known = {}

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


class Waiting:
    """The messages that wait for one client.

    Attributes:
        messages: Messages that its socket has not accepted yet, or that are not acknowledged.
        size_bytes: Size of their payloads.
    """

    def __init__(self) -> None:
        self.messages = self.size_bytes = 0

    def counting(self, publish: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Wrap a publish function so that running calls are counted."""

        async def counted(topic: str, data: bytes, *arguments: Any, **keys: Any) -> Any:
            self.messages += 1
            self.size_bytes += len(data)
            try:
                return await publish(topic, data, *arguments, **keys)
            finally:
                self.messages -= 1
                self.size_bytes -= len(data)

        return counted


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

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        if self._rules.authentic(session.username, session.password):
            if session.will_flag and not self._rules.allowed(session.username, "publish", session.will_topic or ""):
                # amqtt publishes a will without an access check, so a will that is not allowed is removed.
                self.logger.warning("refused: the will of %s on %s", session.username, session.will_topic)
                session.will_flag = False
            return True
        self.logger.warning("refused: user %r, client %r", session.username, session.client_id)
        known = self._sessions.get(session.client_id)
        if known is not None and known[0] is not session:
            # A refused client must not take over, and so end, the session of the owner of this client id.
            session.client_id = f"refused-{id(session)}"
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
        waiting = getattr(self._get_handler(session), "nexus_waiting", None)
        return waiting is not None and (waiting.messages >= QUEUED_MESSAGES or waiting.size_bytes >= QUEUED_BYTES)

    async def _run_broadcast(self, running_tasks: Any) -> None:
        """As amqtt's, which removes finished tasks only up to the first unfinished one: they pile up behind a client
        that reads nothing."""
        await super()._run_broadcast(running_tasks)
        if len(running_tasks) >= self._sweep_at:
            open_ones = [task for task in running_tasks if not task.done() or task.cancelled() or task.exception()]
            running_tasks.clear()
            running_tasks.extend(open_ones)
            self._sweep_at = max(SWEEP_AT, 2 * len(open_ones))

    def _get_handler(self, session: Session) -> Any:
        """As amqtt's, but counts the messages that wait for the client: each is a task until the socket has accepted
        it."""
        handler: Any = super()._get_handler(session)
        if handler is not None and not hasattr(handler, "nexus_waiting"):
            handler.nexus_waiting = Waiting()
            handler.mqtt_publish = handler.nexus_waiting.counting(handler.mqtt_publish)
        return handler

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Do nothing: amqtt calls this at each connect with the filters of all clients. See `_handle_subscription`."""

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
