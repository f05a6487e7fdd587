"""What control has heard from the gateways: what they run, how their links are, what they verified. In memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec


class DeviceSeen(msgspec.Struct, frozen=True):
    """What a gateway says of one device that changed."""

    digest: str = ""
    state: str = "running"
    detail: str = ""


class Verification(msgspec.Struct, frozen=True):
    """Tags seen GOOD and not GOOD since the change, whether the device answers at all, and why no tag is GOOD."""

    good: int = 0
    bad: int = 0
    reachable: bool = False
    detail: str = ""


class Observed(msgspec.Struct, frozen=True):
    """A gateway's answer on the `observed` topic."""

    deployment: int
    digest: str
    time: int = 0
    devices: dict[str, DeviceSeen] = {}
    instance: str = ""
    removed: list[str] = []
    verification: dict[str, Verification] = {}


class _Link(msgspec.Struct, frozen=True):
    state: str = ""
    detail: str = ""


class _Silent(msgspec.Struct, frozen=True):
    path: str = ""


class _Outbox(msgspec.Struct, frozen=True):
    epoch: str = ""


class GatewayHealth(msgspec.Struct, frozen=True):
    """The part of a gateway's health that control reads.

    Attributes:
        state: `running`, `waiting`, `stopping` or `lost`.
        time: When it was said, µs since 1970 UTC; 0 in a last will.
        instance: The process that it speaks of; empty from older versions.
        accounted_since: From when on the gateway declares what it did not read, µs since 1970 UTC; 0 for always.
        host, pid: Where the process runs.
        outbox: Its disk log.
        links: State by link.
        silent: Devices that are switched on and give no value that counts.
        silent_left_out: How many more there are.
    """

    state: str
    time: int = 0
    instance: str = ""
    accounted_since: int = 0
    host: str = ""
    pid: int = 0
    outbox: _Outbox = _Outbox()
    links: dict[str, _Link] = {}
    silent: list[_Silent] = []
    silent_left_out: int = 0


_observed = msgspec.json.Decoder(Observed)
_health = msgspec.json.Decoder(GatewayHealth)


class Observations:
    """The newest answer and health of every gateway; whoever waits is woken by each message.

    Attributes:
        unreadable: Messages that could not be read.
        waiting: By gateway, the last process that waits because another one of its name works.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, GatewayHealth] = {}
        self._answers: dict[str, Observed] = {}
        self._health: dict[str, GatewayHealth] = {}
        self._changed = asyncio.Event()
        self.unreadable = 0

    def receive(self, gateway: str, payload: bytes) -> Observed | None:
        """Take an `observed` message; unreadable ones are counted and change nothing."""
        try:
            answer = _observed.decode(payload)
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
            health = _health.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
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

    def health(self, gateway: str) -> GatewayHealth | None:
        """The newest health of a gateway."""
        return self._health.get(gateway)

    def reachable(self, gateway: str, link: str) -> bool:
        """True when the gateway says that the link is connected."""
        health = self._health.get(gateway)
        found = health.links.get(link) if health is not None and health.state == "running" else None
        return found is not None and found.state == "connected"

    def answers(self, gateway: str, link: str, device: str) -> bool:
        """True when a device gives values, as its gateway says: its link is connected, and it is not among the silent.

        Where a gateway has more silent devices than it names, nobody is sure of the rest: False.
        """
        health = self._health.get(gateway)
        if health is None or health.silent_left_out or not self.reachable(gateway, link):
            return False
        return all(one.path != device for one in health.silent)

    def links(self) -> dict[str, Mapping[str, Any]]:
        """State of every link by gateway, for `/status`."""
        return {
            name: {link: facts.state for link, facts in health.links.items()} for name, health in self._health.items()
        }

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
