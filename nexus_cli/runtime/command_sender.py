"""Sends commands of control and web, each on the topics of its own principal like every sender, and declared messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.latency import Latency
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.command import (
    LONGEST_AHEAD_US,
    Command,
    CommandError,
    Response,
    State,
    decode_response,
    encode,
    too_large,
)
from nexus_cli.wire.sample import Value
from nexus_cli.wire.signature import Signature, seal
from nexus_cli.wire.topic import Topics

ANSWER_LATE_S = 3.0


class CommandSender:
    """Sends commands and waits for their responses.

    Attributes:
        gateways: Recorded gateway by device path; only the device's gateway may answer a command.
        signer: Id of the key and what signs with it; None sends commands unsigned.
        sign_messages: Whether declared messages are signed, too.
        away: Whether a gateway is known to be lost or stopped, so that no command is sent to it.
    """

    def __init__(self, client: BrokerClient, topics: Topics, *, principal: str, clock: Clock, latency: Latency) -> None:
        """Send as a principal; `latency` gets the time from each command to its response."""
        self._client, self._topics, self._principal, self._clock = client, topics, principal, clock
        self._waiting: dict[str, tuple[str, str, asyncio.Future[Response]]] = {}
        self._latency = latency
        self.gateways: Mapping[str, str] = {}
        self.away: Callable[[str], bool] = lambda _: False
        self.signer: tuple[str, Signature] | None = None
        self.sign_messages = False

    @property
    def filter(self) -> str:
        """The filter to subscribe for the responses."""
        return self._topics.response("+", self._principal, "+")

    @property
    def waiting(self) -> int:
        """Commands that wait for their answers."""
        return len(self._waiting)

    def awaits(self, command_id: str) -> bool:
        """Whether a command of this id waits for its answer."""
        return command_id in self._waiting

    def waiting_for(self, asked_by: str) -> int:
        """Those of one caller."""
        return sum(1 for _, who, _ in self._waiting.values() if who == asked_by)

    def receive(self, topic: str, payload: bytes) -> bool:
        """Take a message; True when it is a response."""
        found = self._topics.split_response(topic, self._principal)
        if found is None:
            return False
        sender, command_id = found
        gateway, _, answer = self._waiting.get(command_id, ("", "", None))
        if answer is not None and not answer.done() and sender == gateway:
            with contextlib.suppress(CommandError):
                answer.set_result(decode_response(payload))
        return True

    async def write(
        self,
        path: str,
        *,
        command_id: str,
        value: Value,
        expect: Value,
        expects: bool,
        timeout_s: float,
        reason: str,
        asked_by: str = "",
        gateway: str = "",
        proof_s: float = 0.0,
    ) -> Response:
        """Send one command, once; the state is `unknown` when no response comes.

        Args:
            path: `area/line/device/tag`.
            command_id: Fresh for every command of this principal.
            value: In the published unit.
            expect, expects: What the tag must hold right before, if anything.
            timeout_s: It expires after this, at most 60 s.
            reason: For the audit trail.
            asked_by: For whom; "" for the principal itself.
            gateway: Of the device; "" takes the one of `gateways`.
            proof_s: How long the read-back of the tag may take beyond that.

        Raises:
            NexusError: It was not sent: NX6010 the broker is unreachable, NX6812 the device's gateway is.
        """
        gateway = gateway or self.gateways.get(path.rpartition("/")[0], "")
        if gateway and self.away(gateway):
            raise NexusError(f"Gateway {gateway} is away.", code="NX6812", retriable=True)
        ahead_us = getattr(self._clock, "ahead_us", 0)
        lifetime_us = min(int(timeout_s * 1e6), LONGEST_AHEAD_US - 1000)
        command = Command(
            id=command_id,
            value=value,
            expires_at=self._clock.now_us() - ahead_us + lifetime_us,
            expect=expect if expects else msgspec.UNSET,
            reason=reason[:500],
            asked_by=asked_by,
        )
        payload = encode(command)
        if problem := too_large(payload):
            return Response(id=command_id, state=State.REFUSED, path=path, code="NX6801", detail=problem)
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = gateway, asked_by, answer
        began_s = self._latency.now_s()
        try:
            topic = self._topics.command(path, self._principal)
            if self.signer is not None:
                key, sign = self.signer
                time_us = self._clock.now_us() - ahead_us
                payload = seal(key=key, sign=sign, topic=topic, payload=payload, time_us=time_us)
            sent = self._client.post(topic, payload, qos=2)
            try:
                async with asyncio.timeout(timeout_s + proof_s + ANSWER_LATE_S):
                    response = await answer
            except TimeoutError:
                sent.cancel()
                detail = "no gateway answered in time; the command has expired"
                return Response(id=command_id, state=State.UNKNOWN, path=path, code="NX6819", detail=detail)
            self._latency.ended(began_s)
            return response
        finally:
            self._waiting.pop(command_id, None)

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Publish one declared message, signed where the site wants that.

        Raises:
            NexusError: NX6010 the broker is unreachable; NX6469 it is to be signed, and there is no key.
        """
        if self.sign_messages:
            if self.signer is None:
                raise NexusError("Messages are to be signed, and control has no key.", code="NX6469")
            key, sign = self.signer
            payload = seal(key=key, sign=sign, topic=topic, payload=payload, time_us=self._clock.wall_us())
        await self._client.publish(topic, payload, qos=qos, retain=retain)
