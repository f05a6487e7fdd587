"""A client of its own that tries, over MQTT, whether a right that was removed is gone.

It connects as `nexus.canary`, which for the moment gets the rules of the principal that lost the right, and is removed
afterwards. It only subscribes: a message of a trial would reach the plant.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from nexus_cli.access.brokers.emqx.database_rule import Rule
from nexus_cli.access.brokers.emqx.difference import AccountChange
from nexus_cli.access.evaluate import covers
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id

CANARY = "nexus.canary"
MOST_TRIALS = 5
"""Principals that are tried in one push."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What to try with one principal's rules.

    Attributes:
        account: Whose rules.
        rules: The new ones, as the canary gets them.
        removed: A filter that must be refused.
        kept: A filter that must be granted; "" when no right is left to try.
    """

    account: str
    rules: tuple[Rule, ...]
    removed: str
    kept: str = ""


class Subscriber(Protocol):
    """Who tries a filter at the broker."""

    async def granted(self, user: str, password: str, filter_: str) -> bool:
        """Connect, subscribe, leave. Raises NexusError when that can't be tried."""
        ...


def trials(changes: Sequence[AccountChange]) -> tuple[Trial, ...]:
    """For whom a removed subscription can be tried, at most `MOST_TRIALS`. Who is gone can't log in any more."""
    found = []
    for change in (change for change in changes if not change.gone):
        rules = tuple(_unbound(rule) for rule in change.new)
        gone = [rule.topic for rule in map(_unbound, change.losses) if _can_be_tried(rule)]
        # A right that is only bound to client ids now is no loss of a topic.
        removed = next((topic for topic in gone if not _given(rules, topic)), "")
        if removed:
            kept = next((rule.topic for rule in rules if _can_be_tried(rule)), "")
            found.append(Trial(account=change.account, rules=rules, removed=removed, kept=kept))
    return tuple(found[:MOST_TRIALS])


def _given(rules: Sequence[Rule], topic: str) -> bool:
    return any(rule.allows and rule.action != "publish" and covers(rule.topic, topic) for rule in rules)


def _unbound(rule: Rule) -> Rule:
    """The rule without its binding to client ids, which are those of its own account."""
    return replace(rule, more=tuple(each for each in rule.more if each[0] != "clientid_re"))


def _can_be_tried(rule: Rule) -> bool:
    plain = (
        not rule.more and rule.qos[:1] == (0,) and not rule.topic.startswith(("eq ", "$SYS")) and "${" not in rule.topic
    )
    return rule.allows and rule.action in ("subscribe", "all") and plain


class MqttSubscriber:
    """Over MQTT, at NEXUS_BROKER_URL.

    Args:
        settings: Address and CA of the broker.
        disconnects: True when the cluster's `deny_action` ends the connection of a client that it refuses something.
    """

    def __init__(self, settings: Settings, *, disconnects: bool = False) -> None:
        self._settings, self._disconnects = settings, disconnects

    async def granted(self, user: str, password: str, filter_: str) -> bool:
        """See `Subscriber`."""
        settings = replace(self._settings, broker_user=user, broker_password=password)
        client = BrokerClient(settings=settings, client_id=client_id(settings, "canary"))
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(client.session())
            try:
                await client.subscribe([(filter_, 0)])
            except NexusError as error:
                if error.code == "NX6012" or (self._disconnects and error.code == "NX6010"):
                    return False
                raise
        return True
