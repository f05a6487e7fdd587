"""The state that the gateways report: what they run, how their links are, what they verified. In memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from nexus_cli.apply.timing import Timing
from nexus_cli.wire.configuration import Observed, decode_observed
from nexus_cli.wire.gateway_health import GatewayHealth, decode_gateway


class Observations:
    """The newest answer and health of every gateway; every waiting task is woken by each message.

    Attributes:
        unreadable: Messages that could not be read.
        waiting: By gateway, the last process that waits because another one of its name works.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, GatewayHealth] = {}
        self._answers: dict[str, Observed] = {}
        self._health: dict[str, GatewayHealth] = {}
        self._changed = asyncio.Event()
        self._connected_s: float | None = None
        self.unreadable = 0

    def connected(self) -> None:
        """Call after each connect: what runs says so from now on."""
        self._connected_s = asyncio.get_running_loop().time()

    def receive(self, gateway: str, payload: bytes) -> Observed | None:
        """Take an `observed` message; unreadable ones are counted and change nothing."""
        try:
            answer = decode_observed(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1
            return None
        self._answers[gateway] = answer
        self._wake()
        return answer

    def hear_health(self, gateway: str, payload: bytes) -> GatewayHealth | None:
        """Take a health message; gives it when it says something new of the process that works under this name.

        Unreadable ones are counted. One that waits does not work, and the end of a process is no end of another: the last
        will of the one before may come after the first sign of its successor.
        """
        try:
            health = decode_gateway(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1
            return None
        if not health.state:
            self.unreadable += 1
            return None
        if health.state == "waiting":
            self.waiting[gateway] = health
            return None
        waits = self.waiting.get(gateway)
        if waits is not None and waits.instance == health.instance:
            del self.waiting[gateway]
        before = self._health.get(gateway)
        if before is not None and before.state == "running" != health.state and _differ(before, health):
            return None
        self._health[gateway] = health
        self._wake()
        return health

    def answer(self, gateway: str, *, digest: str, deployment: int) -> Observed | None:
        """The gateway's answer when it runs this configuration, else None."""
        answer = self._answers.get(gateway)
        if answer is None or answer.digest != digest or answer.deployment < deployment:
            return None
        return answer

    def newest(self, gateway: str) -> Observed | None:
        """What the gateway said last that it runs, whatever it is."""
        return self._answers.get(gateway)

    def health(self, gateway: str) -> GatewayHealth | None:
        """The newest health of a gateway."""
        return self._health.get(gateway)

    def healths(self) -> dict[str, GatewayHealth]:
        """The newest health of every gateway, by name."""
        return dict(self._health)

    def reachable(self, gateway: str, link: str) -> bool:
        """True when the gateway says that the link is connected."""
        health = self._health.get(gateway)
        found = health.links.get(link) if health is not None and health.state == "running" else None
        return found is not None and found.state == "connected"

    def answers(self, gateway: str, link: str, device: str) -> bool:
        """True when a device gives values, as its gateway says: its link is connected, and it is not a silent one.

        Where a gateway has more silent devices than it names, the rest is unknown: False. So is one that is out of service.
        """
        health = self._health.get(gateway)
        if (
            health is None
            or health.silent_left_out
            or device in health.out_of_service
            or not self.reachable(gateway, link)
        ):
            return False
        return all(one.path != device for one in health.silent)

    def links(self) -> dict[str, dict[str, str]]:
        """State of every link by gateway, for `/status`."""
        return {
            name: {link: facts.state for link, facts in health.links.items()} for name, health in self._health.items()
        }

    async def there(self, gateway: str, *, timing: Timing) -> bool:
        """Whether a gateway of this name has ever reported; waits for a first report.

        The broker keeps the last report of every gateway, that of one that has stopped or was lost as well. So a control
        that has been connected for `settle_s` knows them all, and one that has never reported can't answer.
        """
        now_s = asyncio.get_running_loop().time()
        since_s = now_s if self._connected_s is None else self._connected_s
        wait_s = max(timing.absent_s, since_s + timing.settle_s - now_s)
        return await self.until(lambda: self._has_reported(gateway), timeout_s=min(wait_s, timing.observe_s))

    def _has_reported(self, gateway: str) -> bool:
        return gateway in self._answers or gateway in self._health or gateway in self.waiting

    async def until(self, condition: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait for messages until the condition holds or the time is over; gives whether it holds."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _differ(one: GatewayHealth, other: GatewayHealth) -> bool:
    return bool(one.instance and other.instance and one.instance != other.instance)
