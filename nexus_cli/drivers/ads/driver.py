"""Beckhoff ADS: opens links, directly over AMS/TCP or through a local TwinCAT router."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from nexus_cli.diagnostics.system import system_words
from nexus_cli.drivers.ads import frame, groups
from nexus_cli.drivers.ads.asking import asked
from nexus_cli.drivers.ads.channel import Channel
from nexus_cli.drivers.ads.errors import route_hint
from nexus_cli.drivers.ads.router_transport import open_routed
from nexus_cli.drivers.ads.session import AdsSession
from nexus_cli.drivers.ads.tcp_transport import DirectChannel
from nexus_cli.drivers.ads.url import TCP_PORT
from nexus_cli.drivers.base import (
    DriverError,
    Opinion,
    Point,
    Request,
    Scope,
)
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason

DEFAULT_TIMEOUT_MS = 1_000
DEFAULT_CONNECT_TIMEOUT_MS = 3_000


class AdsDriver:
    """See `drivers.base.Driver`."""

    name = "ads"
    concurrency = 4

    async def ask(self, session: AdsSession, device: DeviceConfig, point: Point, /) -> Opinion:
        """See `plugin.Ask`."""
        return await asked(session, device, point)

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """See `Driver.group`."""
        return groups.group(device, points, fill_gaps=fill_gaps)

    async def connect(self, devices: Sequence[DeviceConfig], *, home: str) -> AdsSession:
        """See `Driver.connect`."""
        connection = devices[0].connection
        limit_s = (connection.get("connect_timeout") or DEFAULT_CONNECT_TIMEOUT_MS) / 1000
        host = resolve(str(connection.get("host", "")))
        channel: Channel | None = None
        session: AdsSession | None = None
        try:
            if connection.get("router") == "local":
                channel = await _open_routed(host, connection, devices)
                session = AdsSession(channel, devices)
                await session.start()
            else:
                async with asyncio.timeout(limit_s):
                    channel = direct = await _open_direct(host, connection)
                    session = AdsSession(channel, devices)
                    await _prove(session, direct)
        except TimeoutError:
            raise DriverError(
                f"{host} did not open a connection within {limit_s:g} s", scope=Scope.SESSION, reason=Reason.LINK_LOST
            ) from None
        except OSError as error:
            raise DriverError(
                f"no connection to {host}: {system_words(error)}", scope=Scope.SESSION, reason=Reason.LINK_LOST
            ) from None
        else:
            opened, channel = session, None
            return opened
        finally:
            if channel is not None:
                await channel.close()


async def _open_direct(host: str, connection: Mapping[str, Any]) -> DirectChannel:
    port = int(connection.get("tcp_port") or TCP_PORT)
    timeout_s = (connection.get("timeout") or DEFAULT_TIMEOUT_MS) / 1000
    endpoint = f"ads://{host}:{port}"
    loop = asyncio.get_running_loop()
    _, channel = await loop.create_connection(lambda: DirectChannel(endpoint=endpoint, timeout_s=timeout_s), host, port)
    net_id = str(connection.get("source_net_id") or "")
    try:
        channel.name_source(frame.net_id_bytes(net_id or default_net_id(channel.local_address)))
    except ValueError:
        await channel.close()
        raise DriverError(
            f"{endpoint}: no AMS NetId can be derived from the address {channel.local_address}; set source_net_id",
            scope=Scope.SESSION,
            retriable=False,
            reason=Reason.LINK_LOST,
        ) from None
    return channel


def default_net_id(address: str) -> str:
    """Our AMS NetId from our IPv4 address, as TwinCAT makes its own. Raises ValueError."""
    return f"{ipaddress.IPv4Address(address)}.1.1"


async def _prove(session: AdsSession, channel: DirectChannel) -> None:
    """Have the PLC answer. Without a route it resets the connection or stays mute: say which route it lacks."""
    address = channel.local_address
    net_id = frame.address_text(channel.source).partition(":")[0]
    hint = route_hint(net_id=net_id, address=address, name=socket.gethostname())
    try:
        async with asyncio.timeout(channel.timeout_s + 1.0):
            await session.start()
    except TimeoutError:
        raise DriverError(
            f"{channel.endpoint} accepts the connection and does not answer; {hint}",
            scope=Scope.SESSION,
            reason=Reason.DEVICE_TIMEOUT,
            code=1861,
        ) from None
    except DriverError as error:
        raise DriverError(
            f"{error.message}; {hint}",
            scope=Scope.SESSION,
            reason=error.reason,
            code=error.code,
            retriable=error.retriable,
        ) from None


async def _open_routed(host: str, connection: Mapping[str, Any], devices: Sequence[DeviceConfig]) -> Channel:
    timeout_s = (connection.get("timeout") or DEFAULT_TIMEOUT_MS) / 1000
    return await open_routed(
        host,
        net_ids=sorted({str(device.connection.get("ams_net_id", "")) for device in devices}),
        source_net_id=str(connection.get("source_net_id") or ""),
        timeout_s=timeout_s,
    )


DRIVER = AdsDriver()
