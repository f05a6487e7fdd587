"""Mutual TLS with a real PostgreSQL: the right certificate works, every wrong one has a sentence of its own.

The wheel's PostgreSQL is built without TLS. One that has it is looked for in NEXUS_TEST_POSTGRES_BIN (a folder of
programs), where Debian puts it, and on the PATH; without one these tests are skipped loudly.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from nexus_cli.database.connect import connection
from nexus_cli.database.errors import CLOSED
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from tests.postgres import PASSWORD, SITE, EmbeddedPostgres

pytestmark = [pytest.mark.needs_database]
BINARIES = "NEXUS_TEST_POSTGRES_BIN"
LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
RULES = """
hostnossl all all 127.0.0.1/32 scram-sha-256
hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full
"""
"""Without TLS only for this file's own use: whether the server answers."""


def _binaries() -> Path:
    named, plain = os.environ.get(BINARIES), shutil.which("postgres")
    places = [Path(named)] if named else [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    for place in (*places, *([Path(plain).parent] if plain else [])):
        if (place / "initdb").exists():
            return place
    pytest.skip(f"no PostgreSQL with TLS is installed, and {BINARIES} names none: mutual TLS was not tried")


class Papers(NamedTuple):
    """The CA of everybody here, another one, and the folder in which files of certificates are made."""

    ca: trustme.CA
    stranger: trustme.CA
    folder: Path

    def ca_file(self, ca: trustme.CA, name: str) -> str:
        ca.cert_pem.write_to_path(self.folder / name)
        return str(self.folder / name)

    def ours(self, ca: trustme.CA, name: str, *, not_after: dt.datetime | None = None) -> tuple[str, str]:
        """Files of a client's certificate and of its key."""
        made = ca.issue_cert(common_name=name, not_before=LONG_AGO, not_after=not_after)
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        made.cert_chain_pems[0].write_to_path(cert)
        made.private_key_pem.write_to_path(key)
        return str(cert), str(key)


class Server(NamedTuple):
    """A PostgreSQL that wants a certificate, the papers around it, and settings that it lets in."""

    running: EmbeddedPostgres
    papers: Papers
    settings: Settings

    def shows(self, *identities: str, not_after: dt.datetime | None = None) -> None:
        """Start it again with a certificate of its own for these hosts."""
        made = self.papers.ca.issue_cert(*identities, not_before=LONG_AGO, not_after=not_after)
        made.cert_chain_pems[0].write_to_path(self.running.data / "server.crt")
        made.private_key_pem.write_to_path(self.running.data / "server.key")
        self.papers.ca.cert_pem.write_to_path(self.running.data / "root.crt")
        (self.running.data / "server.key").chmod(0o600)
        if os.geteuid() == 0:
            for name in ("server.crt", "server.key", "root.crt"):
                shutil.chown(self.running.data / name, user="nobody")
        self.running.stop()
        self.running.start()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = EmbeddedPostgres(_binaries())
    papers = Papers(trustme.CA(), trustme.CA(), tmp_path_factory.mktemp("papers"))
    with (running.data / "postgresql.conf").open("a") as conf:
        conf.write("ssl = on\nssl_ca_file = 'root.crt'\n")
    (running.data / "pg_hba.conf").write_text(RULES)
    cert, key = papers.ours(papers.ca, "nexus")
    settings = Settings(
        home=papers.folder,
        site=SITE,
        database_url=running.url,
        database_password=PASSWORD,
        database_ca=papers.ca_file(papers.ca, "ca.pem"),
        database_cert=cert,
        database_key=key,
    )
    made = Server(running, papers, settings)
    try:
        made.shows("127.0.0.1")
        yield made
    finally:
        running.close()


async def refusal(settings: Settings) -> NexusError:
    """Why the server does not let us in. Its word can be lost with the connection that it closes: then it is asked again."""
    for _ in range(20):
        with pytest.raises(NexusError) as caught:
            async with connection(settings):
                pass
        if CLOSED not in caught.value.cause:
            break
        assert not settings.database_cert or "NEXUS_DATABASE_CERT" in caught.value.hint
    return caught.value


async def test_the_right_certificate_is_let_in(server: Server) -> None:
    async with connection(server.settings) as conn:
        row = await conn.fetchrow("SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    assert row["ssl"]
    assert row["client_dn"].endswith("/CN=nexus")


async def test_a_certificate_of_ours_that_will_not_do(server: Server) -> None:
    papers, settings = server.papers, server.settings

    def with_ours(paths: tuple[str, str]) -> Settings:
        return dataclasses.replace(settings, database_cert=paths[0], database_key=paths[1])

    expired = papers.ours(papers.ca, "expired", not_after=YESTERDAY)
    right, other = papers.ours(papers.ca, "nexus"), papers.ours(papers.ca, "somebody")
    cases = {
        "requires a client certificate": with_ours(("", "")),
        "refused us": with_ours(other),
        "has expired": with_ours(expired),
        "does not accept our certificate": with_ours(papers.ours(papers.stranger, "stranger")),
        "don't agree on TLS": with_ours((right[0], other[1])),
        "can't be read": with_ours((str(papers.folder / "none.pem"), right[1])),
    }
    for sentence, wrong in cases.items():
        found = await refusal(wrong)
        assert sentence in found.message, (sentence, found.message, found.cause)
        assert found.code in ("NX6200", "NX6202")
        assert "NEXUS_DATABASE_CERT" in found.hint, (sentence, found.hint)


async def test_a_certificate_of_the_server_that_will_not_do(server: Server) -> None:
    stranger = dataclasses.replace(
        server.settings, database_ca=server.papers.ca_file(server.papers.stranger, "stranger-ca.pem")
    )
    assert "comes from a CA that is not trusted here" in (await refusal(stranger)).message


def test_another_host_and_an_expired_server(server: Server) -> None:
    import asyncio

    for identities, not_after, sentence in (
        (("db.example",), None, "is for another address"),
        (("127.0.0.1",), YESTERDAY, "has expired"),
    ):
        server.shows(*identities, not_after=not_after)
        assert sentence in asyncio.run(refusal(server.settings)).message
