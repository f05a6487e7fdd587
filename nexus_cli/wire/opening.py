"""Opening a connection, with an error that says who was refused, or why there is no answer."""

from __future__ import annotations

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.abilities import explain
from nexus_cli.wire.connection import Connection
from nexus_cli.wire.lost import RefusedError
from nexus_cli.wire.refusals import lost_as_unreachable, refused
from nexus_cli.wire.url import BrokerUrl


async def open_as(connection: Connection, settings: Settings, url: BrokerUrl) -> None:
    """Open it for the account of the settings. Raises NexusError: NX6011 it is refused, NX6010 the broker does not answer."""
    with lost_as_unreachable(url):
        try:
            await connection.open()
        except RefusedError as error:
            raise refused(error, url, user=settings.broker_user) from None


async def open_once(connection: Connection, settings: Settings, url: BrokerUrl) -> None:
    """As `open_as`, for a command, which tries once: with the reason, as well as it can be had."""
    try:
        await open_as(connection, settings, url)
    except NexusError as error:
        if error.code != "NX6010":
            raise
        raise (await explain(settings, error) or error) from None
