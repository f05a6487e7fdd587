"""Sessions that outlive a right, by kind of broker: a plan can't see who is connected, but it knows what brokers do. Pure.

Source: checks per delivered message of Mosquitto (`acl_check` with MOSQ_ACL_READ) and of the broker of `nexus up`; EMQX
checks a subscription when it is made (emqx#1675, #3487, #10396); HiveMQ gives a session its permissions when it connects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nexus_cli.access.gains import Gain
from nexus_cli.plan.representatives import OIDC

MOSQUITTO = "mosquitto"
AMQTT = "amqtt"
LOCAL = (MOSQUITTO, AMQTT)
"""Brokers that `nexus up` starts."""
_HEARD = frozenset({"read", "subscribe", "alerts", "acknowledge"})
_SENT = frozenset({"write", "publish"})
_AT_ONCE = "lose it as soon as the new rules are in force: each message is checked"
_EMQX = "keep what they subscribed until they end: `nexus access push` ends them"
_HIVEMQ = "keep the rights that they connected with until they end: disconnect those clients"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """What becomes of live sessions of those who lose a right.

    Attributes:
        principals: Who, sorted.
        broker: On which brokers.
        at_once: True when the right is gone although the session stays.
        text: What these sessions do, without the subject.
    """

    principals: tuple[str, ...]
    broker: str
    at_once: bool
    text: str


def stale_sessions(gains: Iterable[Gain], *, broker: str = "") -> tuple[Stale, ...]:
    """One entry for each kind of broker that may be the site's; none when no right at a broker is lost.

    Args:
        gains: The plan's.
        broker: `mosquitto` or `amqtt` where `nexus up` runs it; "" or any other word when it may be any.
    """
    lost = [gain for gain in gains if gain.lost and not gain.principal.startswith(OIDC)]
    heard = _who(lost, _HEARD)
    all_ = _who(lost, _HEARD | _SENT)
    if not all_:
        return ()
    if broker in LOCAL:
        return (Stale(principals=all_, broker=broker, at_once=True, text=_AT_ONCE),)
    found = [Stale(principals=all_, broker="Mosquitto", at_once=True, text=_AT_ONCE)]
    found += [Stale(principals=heard, broker="EMQX", at_once=False, text=_EMQX)] if heard else []
    return (*found, Stale(principals=all_, broker="HiveMQ", at_once=False, text=_HIVEMQ))


def _who(lost: Iterable[Gain], actions: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted({gain.principal for gain in lost if gain.action in actions}))
