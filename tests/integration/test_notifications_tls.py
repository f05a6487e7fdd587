"""Channels with TLS: STARTTLS and implicit TLS of mail, a webhook with a CA of the site's own, and certificates that are refused."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller

from nexus_cli.model.resources import ChannelConfig
from nexus_cli.runtime.worker.notifying.channels import NotSentError, send
from nexus_cli.runtime.worker.notifying.messages import Text
from tests.integration.test_notifications import Board
from tests.servers import free_port

TEXT = Text(key="k.1", subject="HIGH hot: active", body="Too hot.", document={"name": "hot"})
HOST = "127.0.0.1"


class Office:
    """A CA and the server certificates that it issues."""

    def __init__(self, folder: Path) -> None:
        self._ca, self.file = trustme.CA(), folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def server(self, name: str = HOST) -> ssl.SSLContext:
        """The context of a server of this name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name).configure_cert(context)
        return context


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A CA that the worker does not know before `trusted`."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    return Office(tmp_path)


@pytest.fixture
def trusted(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """The same, known by `SSL_CERT_FILE`, as docs/notifications.md says."""
    monkeypatch.setenv("SSL_CERT_FILE", str(office.file))
    return office


class Mails:
    """Takes mails, and remembers whether they came encrypted."""

    def __init__(self) -> None:
        self.took: list[tuple[bool, bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.took.append(
            (session.ssl is not None or server.transport.get_extra_info("cipher") is not None, envelope.content)
        )
        return "250 OK"


@contextmanager
def mail_server(context: ssl.SSLContext, *, security: str) -> Iterator[tuple[Mails, ChannelConfig]]:
    """A mail server that speaks TLS from the first byte, or demands STARTTLS."""
    mails, port = Mails(), free_port()
    keys: dict[str, Any] = {"tls_context": context, "require_starttls": True} if security == "starttls" else {}
    loop_server = (
        _Implicit(mails, context, port) if security == "tls" else Controller(mails, hostname=HOST, port=port, **keys)
    )
    loop_server.start()
    try:
        yield (
            mails,
            ChannelConfig(
                kind="mail", to=["s@acme.example"], sender="n@acme.example", server=f"{HOST}:{port}", security=security
            ),
        )
    finally:
        loop_server.stop()


class _Implicit(Controller):
    """Its own look whether it is up does not ask for a certificate."""

    def __init__(self, mails: Mails, context: ssl.SSLContext, port: int) -> None:
        super().__init__(mails, hostname=HOST, port=port, ssl_context=context)

    def _trigger_server(self) -> None:
        import socket

        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((HOST, self.port), timeout=30) as raw, client.wrap_socket(raw) as secured:
            secured.recv(1024)


SECURITIES = pytest.mark.parametrize("security", ["starttls", "tls"])


@SECURITIES
async def test_mail_is_encrypted(trusted: Office, security: str) -> None:
    with mail_server(trusted.server(), security=security) as (mails, channel):
        await send("shift", channel, TEXT)
    [(encrypted, content)] = mails.took
    assert encrypted
    assert b"Subject: HIGH hot: active" in content and b"Too hot." in content


@SECURITIES
@pytest.mark.parametrize("wrong", ["unknown CA", "another host", "no TLS"])
async def test_a_wrong_certificate_sends_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch, security: str, wrong: str
) -> None:
    if wrong != "unknown CA":
        monkeypatch.setenv("SSL_CERT_FILE", str(office.file))
    context = office.server("other.example" if wrong == "another host" else HOST)
    with mail_server(context, security=security if wrong != "no TLS" else "none") as (mails, channel):
        if wrong == "no TLS":
            channel = ChannelConfig(
                kind="mail", to=channel.to, sender=channel.sender, server=channel.server, security=security
            )
        with pytest.raises(NotSentError) as refused:
            await send("shift", channel, TEXT)
    assert mails.took == []
    said = {"unknown CA": "certificate verify failed", "another host": "IP address mismatch", "no TLS": ""}
    assert said[wrong] in str(refused.value)


@asynccontextmanager
async def https_board(context: ssl.SSLContext) -> AsyncIterator[tuple[Board, ChannelConfig]]:
    """A webhook receiver behind TLS."""
    receiver = Board()
    server = await asyncio.start_server(receiver.serve, HOST, 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield receiver, ChannelConfig(kind="webhook", url=f"https://{HOST}:{port}/alarms")


async def test_a_webhook_behind_a_ca_of_its_own(trusted: Office) -> None:
    async with https_board(trusted.server()) as (receiver, channel):
        await send("board", channel, TEXT)
    [document] = receiver.documents
    assert document == {"name": "hot", "text": "Too hot."}


@pytest.mark.parametrize("known", [False, True])
async def test_a_webhook_with_a_wrong_certificate_hears_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(office.file))
    async with https_board(office.server("other.example" if known else HOST)) as (receiver, channel):
        with pytest.raises(NotSentError):
            await send("board", channel, TEXT)
    assert receiver.heard == []


async def test_apprise_sends_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Board()
    server = await asyncio.start_server(receiver.serve, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("TEAMS", f"json://{HOST}:{port}/alarms")
        channel = ChannelConfig(kind="url", url="${env:TEAMS}")
        await send("teams", channel, TEXT)
        assert [(one["title"], one["message"]) for one in receiver.documents] == [(TEXT.subject, TEXT.body)]
        receiver.status = 500
        with pytest.raises(NotSentError):
            await send("teams", channel, TEXT)
        with pytest.raises(NotSentError, match="does not know the address"):
            await send("teams", ChannelConfig(kind="url", url="nonsense://x"), TEXT)
