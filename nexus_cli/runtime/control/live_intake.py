"""Live messages of tags, for alerts and sequences; of external devices only with a signature where the site wants one."""

from __future__ import annotations

import logging

from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.runtime.control.sequences.live_values import LiveValues
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.signed_values import Refused, SignedValues
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.alerts")


class LiveIntake:
    """Hands messages to alerts and sequences.

    Attributes:
        signed: Opens signed messages. One that the broker kept for longer than the window does not count: it may be a
            repetition, and alerts then begin with the newest stored value.
    """

    def __init__(self, topics: Topics, *, alerting: Alerting, values: LiveValues, signed: SignedValues) -> None:
        """Join the parts."""
        self._topics, self._alerting, self._values, self.signed = topics, alerting, values, signed
        self._refusing: set[str] = set()

    def receive(self, message: Message) -> None:
        """Take a live message; one that is refused changes nothing."""
        path = self._topics.path(message.topic) or ""
        if self.signed.active and not self._values.gateways.get(path.rpartition("/")[0]):
            found = self.signed.admit(message, path)
            if isinstance(found, Refused):
                self._say(message.topic, found)
                return
            message = found
            self._refusing.discard(message.topic)
        self._alerting.receive(message.topic, message.payload, retained=message.retain)
        self._values.receive(message.topic, message.payload, retained=message.retain)

    def _say(self, topic: str, why: Refused) -> None:
        """A line when a topic begins to be refused; the historian has each one."""
        if why.reason and topic not in self._refusing:
            self._refusing.add(topic)
            event(_log, "a message is refused", level=logging.WARNING, topic=topic, cause=why.detail)
