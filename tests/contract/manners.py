"""Devices with bad manners: they close, drop, hold up or refuse what is asked, by connection or by number of question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from nexus_cli.model.config import DeviceConfig
from tests.contract.driver_case import TIMEOUT_MS
from tests.contract.hostile import is_read
from tests.garble import CUT

FEW = {"modbus": {"max_read": 4, "max_gap": 0}, "opcua": {"max_read": 4}, "ads": {"max_read": 7}, "s7": {}}
"""Connection keys by protocol with which `of_words` takes several reads, where the protocol has such a key."""
TALKERS = ("ads",)
"""Whose first question of a connection is no read of values."""


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How a device treats its connections and what is asked over them.

    Attributes:
        name: For people.
        closes: It closes a connection behind so many answers; 0 for never.
        early: It closes in the place of the last of these answers.
        drops: So many of a connection's first questions are never answered.
        late: Numbers of questions, from 1 on over all connections, whose answers come after their time-out.
        busy: Refusal of every third question; None for none.
    """

    name: str
    closes: int = 0
    early: bool = False
    drops: int = 0
    late: frozenset[int] = frozenset()
    busy: Callable[[bytes], bytes] | None = None


@dataclass
class Host:
    """A device with these manners.

    Attributes:
        asked: Reads so far, over all connections.
    """

    protocol: str
    manners: Manners
    asked: int = 0

    def guest(self) -> Visit:
        """The next connection."""
        return Visit(self)


@dataclass
class Visit:
    """One connection. See `tests.garble.Guest`."""

    host: Host
    count: int = 0
    delay_s: float = 0.0
    dropped: int = 0
    last: bool = False

    def ask(self, data: bytes) -> bytes | None:
        """Take a question."""
        self.delay_s = 0.0
        manners = self.host.manners
        if self.host.protocol in TALKERS and self.dropped < manners.drops:
            self.dropped += 1
            return b""
        if not is_read(self.host.protocol, data):
            return None
        self.host.asked += 1
        if self.dropped < manners.drops:
            self.dropped += 1
            return b""
        self.count += 1
        if self.host.asked in manners.late:
            self.delay_s = 1.5 * TIMEOUT_MS / 1000
        self.last = bool(manners.closes) and self.count >= manners.closes
        if self.last and manners.early:
            return CUT
        if manners.busy is not None and not self.host.asked % 3:
            return manners.busy(data)
        return None

    def say(self, data: bytes) -> tuple[float, bool]:
        """Treat a piece of an answer."""
        return self.delay_s, self.last


def in_few(device: DeviceConfig) -> DeviceConfig:
    """The device, to be read in several requests."""
    return msgspec.structs.replace(device, connection={**device.connection, **FEW[device.protocol]})
