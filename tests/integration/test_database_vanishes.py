"""A database whose machine vanishes without a word: no end of the connection, no reset, nothing is acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from nexus_cli.database import connect
from nexus_cli.database.connect import MIGRATING, NO_LIMITS, POOLED, READING, UPKEEP, WRITING, Limits, open_connection
from nexus_cli.settings import Settings
from tests.integration.historian_rig import SmallOutbox, declare, device, historian, lane, outbox_settings, query
from tests.servers import TestBroker, free_port
from tests.waiting import until

pytestmark = [pytest.mark.needs_database]
SESSION = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
SOCKET = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}


class Swallowing:
    """A proxy in front of the database; a machine that vanished takes everything and says nothing on what was open."""

    def __init__(self, database: Settings) -> None:
        self.port, self.opened, self._vanished = free_port(), 0, 0
        self._server = urlsplit(database.database_url)

    def vanish(self) -> None:
        """What is open now gets no byte any more, in either direction."""
        self._vanished = self.opened

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        number = self.opened
        answers, onward = await asyncio.open_connection(self._server.hostname, self._server.port)

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65_536):
                    if number > self._vanished:
                        target.write(data)
                        await target.drain()
            target.close()

        await asyncio.gather(pump(reader, onward), pump(answers, writer))


@pytest.mark.parametrize("limits", [READING, WRITING, UPKEEP, POOLED, MIGRATING])
async def test_the_server_ends_the_session_of_a_client_that_vanished(database: Settings, limits: Limits) -> None:
    """The server shows what its socket has (ms), not what was asked for."""
    opened = await open_connection(database, limits=limits)
    try:
        assert {name: await opened.fetchval(f"SHOW {name}") for name in SESSION} == SESSION
    finally:
        await opened.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no TCP_USER_TIMEOUT")
@pytest.mark.parametrize("limits", [NO_LIMITS, UPKEEP])
async def test_a_statement_without_a_limit_ends_with_a_server_that_vanished(database: Settings, limits: Limits) -> None:
    opened = await open_connection(database, limits=limits)
    try:
        end = opened._transport.get_extra_info("socket")
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert {name: end.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in SOCKET} == SOCKET
    finally:
        await opened.close()


@pytest.mark.needs_broker
async def test_the_historian_notices_a_database_that_vanished_and_writes_again(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "CLIENT_SLACK_S", 1.0)
    await declare(database, device(a="float64"))
    proxy, outbox = Swallowing(database), SmallOutbox(outbox_settings(broker))
    url = urlsplit(database.database_url)
    place = f"{(url.netloc.rpartition('@')[0] + '@') if '@' in url.netloc else ''}127.0.0.1:{proxy.port}"
    through = dataclasses.replace(database, database_url=url._replace(netloc=place).geturl())
    async with proxy.running(), historian(through, broker, ready=False) as role, outbox.running():
        lane(role).link._limits = Limits(lock_s=0.5, statement_s=1.0, idle_in_transaction_s=10.0)
        await until(lambda: role.ready()[0], "readiness")
        outbox.frame(1, {"a": 1.0})
        await outbox.drained()
        opened = proxy.opened
        proxy.vanish()
        outbox.frame(2, {"a": 2.0})
        await outbox.drained()
        assert lane(role).link.losses >= 1
        assert proxy.opened > opened, "a new connection, since nothing comes on the old one"
        await until(lambda: role.ready()[0], "readiness")
    rows = await query(database, "SELECT count(*), count(DISTINCT (series_id, time)) FROM nexus.sample")
    assert tuple(rows[0]) == (2, 2)
