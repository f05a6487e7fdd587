"""Modbus TCP, RTU over TCP and RTU on a serial line: reads are planned and links opened here."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from nexus_cli.drivers.base import (
    DriverError,
    Opinion,
    Point,
    Request,
    Scope,
)
from nexus_cli.drivers.failure import kind_of
from nexus_cli.drivers.modbus.asking import asked
from nexus_cli.drivers.modbus.channel import Channel, Lenience, RtuChannel, TcpChannel
from nexus_cli.drivers.modbus.groups import group
from nexus_cli.drivers.modbus.session import ModbusSession, cause_of
from nexus_cli.drivers.modbus.url import DEFAULT_PORT
from nexus_cli.drivers.secrets import resolve
from nexus_cli.drivers.timeouts import connect_timeout_s, timeout_s
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.wire.sample import Reason


def _channels(connection: Mapping[str, Any]) -> Callable[[], Channel]:
    """What makes channels of a connection, not open yet. Raises DriverError."""
    limits = {"timeout_s": timeout_s(connection), "connect_timeout_s": connect_timeout_s(connection)}
    lenience = Lenience(
        any_unit=bool(connection.get("any_unit")),
        any_transaction=bool(connection.get("any_transaction")),
        echo=connection.get("echo"),
    )
    if connection.get("serial"):
        from nexus_cli.drivers.modbus.line import SerialChannel, installed, line_of  # noqa: PLC0415 - only POSIX has such lines

        if not installed():
            raise DriverError(
                "pyserial is not installed: pip install 'nexus-cli[serial]'",
                scope=Scope.SESSION,
                retriable=False,
                reason=Reason.LINK_LOST,
                kind=FailureKind.MISSING_PACKAGE,
            )
        line = line_of(connection, device=resolve(str(connection["serial"])))
        return partial(SerialChannel, line, lenience=lenience, **limits)
    return partial(
        RtuChannel if connection.get("framing") == "rtu-over-tcp" else TcpChannel,
        resolve(str(connection.get("host", ""))),
        int(connection.get("port") or DEFAULT_PORT),
        lenience=lenience,
        **limits,
    )


class ModbusDriver:
    """See `nexus_cli.drivers.base.Driver`."""

    name = "modbus"
    concurrency = 1

    async def ask(self, session: ModbusSession, device: DeviceConfig, point: Point, /) -> Opinion:
        """See `plugin.Ask`."""
        return await asked(session, device, point)

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """Join points into reads; see `groups.group`."""
        return group(device, points, fill_gaps=fill_gaps)

    async def connect(self, devices: Sequence[DeviceConfig], *, home: str) -> ModbusSession:
        """Open the link that these devices share. Raises DriverError with scope SESSION."""
        connection = devices[0].connection
        make = _channels(connection)
        channel = make()
        try:
            await channel.open()
        except OSError as error:
            where = connection.get("serial") or f"{connection.get('host')}:{channel.port}"
            raise DriverError(
                f"no connection to {where}: {cause_of(error)}{_other_name(error, connection)}",
                scope=Scope.SESSION,
                reason=Reason.LINK_LOST,
                kind=kind_of(error, serial=bool(connection.get("serial"))),
            ) from None
        return ModbusSession(channel, devices, reopen=make, pause_s=(connection.get("pause") or 0) / 1000)


def _other_name(error: OSError, connection: Mapping[str, Any]) -> str:
    """A hint for an adapter that was plugged in again and has another name now."""
    line = str(connection.get("serial") or "")
    if not line.startswith("/dev/tty") or error.errno not in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return ""
    return (
        "; an adapter may come back under another name, the one below /dev/serial/by-id stays (ls -l /dev/serial/by-id)"
    )


DRIVER = ModbusDriver()
