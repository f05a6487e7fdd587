"""What the broker brings to a leading control: what gateways observe, their health, that of other controls, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nexus_cli.apply.observation import Observations
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.gateway_liveness import GatewayLiveness
from nexus_cli.runtime.control.leadership import Leadership
from nexus_cli.wire.health import ControlHealth, decode_status
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

NAME = "control"


class Intake:
    """Gives each message to the part that it is for.

    Attributes:
        heard_s: When each gateway last published its health live; `clock.monotonic_s`.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        seen: Observations,
        liveness: GatewayLiveness,
        alive: Sequence[Callable[[str], None]],
        leadership: Leadership,
        health_changed: Callable[[], None],
        rest: Callable[[Message], None],
        clock: Clock,
    ) -> None:
        """Take nothing yet.

        Args:
            topics: Those of the site.
            seen: Takes what gateways observe, and their health.
            liveness: Takes their health, and knows which are lost or stopped.
            alive: Each is called with the name of a gateway that published live that it runs.
            leadership: Sees later terms.
            health_changed: Called when the retained health of this control is no longer its own.
            rest: Takes every other message.
            clock: Time.
        """
        self._topics, self._seen, self._liveness, self._alive = topics, seen, liveness, alive
        self._leadership, self._health_changed, self._rest, self._clock = leadership, health_changed, rest, clock
        self._observed, self._gateways = topics.observed(""), topics.health("gateway", "")
        self._control = topics.health(NAME, NAME)
        self.heard_s: dict[str, float] = {}
        self._away: set[str] = set()
        """Gateways that were lost or stopped at the last connect, until they publish a live message."""

    def connected(self) -> None:
        """The broker may have lost the marks on the tags of gateways that are lost or stopped: they are set again."""
        lost, stopped = self._liveness.lost, self._liveness.stopped
        self._away.update(lost, stopped)
        for gateway in tuple(self._away):
            lost.discard(gateway)
            stopped.discard(gateway)
            found = self._seen.health(gateway)
            if found is not None:
                self._liveness.receive(gateway, found)

    def receive(self, message: Message) -> None:
        """Take a message of the broker."""
        if message.topic.startswith(self._observed):
            self._seen.receive(message.topic[len(self._observed) :], message.payload)
        elif message.topic.startswith(self._gateways):
            self._receive_gateway(message.topic[len(self._gateways) :], message)
        elif message.topic == self._control:
            self._receive_control(message.payload)
        else:
            self._rest(message)

    def _receive_gateway(self, gateway: str, message: Message) -> None:
        if not message.payload:
            return
        away = gateway in self._away or gateway in self._liveness.lost or gateway in self._liveness.stopped
        if message.retain and away and b'"running"' in message.payload:
            return  # an older state of a restarted broker; a gateway that runs publishes its own
        found = self._seen.hear_health(gateway, message.payload)
        if not message.retain:
            self._away.discard(gateway)
            self.heard_s[gateway] = self._clock.monotonic_s()
            if found is not None and found.state == "running":
                for each in self._alive:
                    each(gateway)
        if found is not None:
            self._liveness.receive(gateway, found)

    def _receive_control(self, payload: bytes) -> None:
        """A health message of control: its own, one of a control with a later term, or an old last will."""
        said = decode_status(payload, ControlHealth)
        self._leadership.receive(said.term)
        if said.state != "running" or said.term != self._leadership.term:
            self._health_changed()  # the last will of a previous control must not stay retained
