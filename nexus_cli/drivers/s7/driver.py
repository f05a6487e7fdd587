"""Siemens S7 by ISO-on-TCP: one connection is one CPU."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from nexus_cli.diagnostics.system import system_words
from nexus_cli.drivers.base import (
    DriverError,
    Opinion,
    Point,
    Request,
    Scope,
)
from nexus_cli.drivers.failure import kind_of
from nexus_cli.drivers.s7.asking import asked
from nexus_cli.drivers.s7.channel import Channel
from nexus_cli.drivers.s7.groups import group
from nexus_cli.drivers.s7.pdu import MAX_PDU
from nexus_cli.drivers.s7.session import S7Session
from nexus_cli.drivers.s7.watch import SILENT_FIRST_S, Silence
from nexus_cli.drivers.secrets import resolve
from nexus_cli.drivers.timeouts import connect_timeout_s, timeout_s
from nexus_cli.drivers.transport import ConnectionLost
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason

DEFAULT_TSAP = 0x0100
CONNECTION_TYPES = {"pg": 1, "op": 2, "basic": 3}
"""High byte of the CPU's TSAP. Source: Snap7 manual, "Connecting to a PLC"."""


def tsap_of(connection: Mapping[str, Any]) -> int:
    """The CPU's TSAP: as said, or of connection type, rack and slot."""
    if (declared := connection.get("remote_tsap")) is not None:
        return int(declared)
    rack, slot = connection.get("rack"), connection.get("slot")
    kind = CONNECTION_TYPES[str(connection.get("connection_type") or "pg")]
    return kind << 8 | int(rack or 0) << 5 | (1 if slot is None else int(slot))


class S7Driver:
    """See `nexus_cli.drivers.base.Driver`."""

    name = "s7"
    concurrency = 1

    async def ask(self, session: S7Session, device: DeviceConfig, point: Point, /) -> Opinion:
        """See `plugin.Ask`."""
        return await asked(session, device, point)

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """Join points into reads; see `groups.group`."""
        return group(device, points, fill_gaps=fill_gaps)

    def __init__(self) -> None:
        self._silence = Silence()

    async def connect(self, devices: Sequence[DeviceConfig], *, home: str) -> S7Session:
        """Open the connection to the CPU of these devices. Raises DriverError with scope SESSION.

        A device that does not survive the question for its state is connected to once more, and not asked: also one that
        lets the first question of each connection drop.
        """
        loop = asyncio.get_running_loop()
        session = await self._open(devices[0])
        link = session.name
        if not self._silence.asks(link, loop.time()):
            return session
        try:
            await session.look()
        except DriverError:
            await session.close()
            self._silence.keep(link, loop.time() + SILENT_FIRST_S)
            return await self._open(devices[0])
        except BaseException:
            await session.close()
            raise
        return session

    async def _open(self, device: DeviceConfig) -> S7Session:
        connection = device.connection
        host, port = str(connection.get("host", "")), int(connection.get("port") or 102)
        local = connection.get("local_tsap")
        channel = Channel(
            resolve(host),
            port,
            local_tsap=DEFAULT_TSAP if local is None else int(local),
            remote_tsap=tsap_of(connection),
            timeout_s=timeout_s(connection),
        )
        try:
            await channel.open(
                pdu=int(connection.get("pdu") or MAX_PDU),
                connect_timeout_s=connect_timeout_s(connection),
            )
        except (OSError, ConnectionLost) as error:
            raise DriverError(
                f"no connection to {host}:{port}: {system_words(error)}",
                scope=Scope.SESSION,
                reason=Reason.LINK_LOST,
                kind=kind_of(error),
            ) from None
        pause_s = (connection.get("pause") or 0) / 1000
        return S7Session(channel, pause_s=pause_s, silence=self._silence)


DRIVER = S7Driver()
