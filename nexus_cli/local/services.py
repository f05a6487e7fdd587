"""The services of a runtime, from `runtime.json`: broker, database, control, historian, web, gateways."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from nexus_cli.access.grants import CLI, CONTROL, HISTORIAN, WEB, WORKER, gateway_principal, principals
from nexus_cli.access.grants_file import NOTHING, mark_applied, read_wanted
from nexus_cli.local.broker_mosquitto import LocalMosquitto
from nexus_cli.local.credentials import ensure_credentials, ensure_own
from nexus_cli.local.environment import environment_of
from nexus_cli.local.layout import AMQTT, EMBEDDED, MOSQUITTO, Home, Runtime, port_of
from nexus_cli.local.listening import client_files, listener_files
from nexus_cli.local.ports import reached_at
from nexus_cli.local.postgres import SUPERUSER, EmbeddedPostgres, Launch
from nexus_cli.local.probe import Door, broker_answers, database_answers, role_lives
from nexus_cli.local.simulator_probe import simulator_serves
from nexus_cli.setting_values import MOCK
from nexus_cli.settings import Settings, load_settings

BROKER = "broker"
DATABASE = "database"
SIMULATOR = "simulator"

Probe = Callable[[], Awaitable[str]]
Signals = tuple[tuple[signal.Signals, float], ...]


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process to keep running.

    Attributes:
        name: `broker`, `database`, `control`, `historian`, `web`, `gateway-NAME`.
        tier: Started in ascending order, stopped in descending order.
        needs: Services that must be ready before its first start.
        prepare: Writes its files and returns how to start it; blocking.
        probe: Returns "" once it works, else why not yet.
        after: Runs each time that it has become ready (migrations, access rules).
        find: Returns the id of a process of this service that another supervisor started.
        signals: How to end it: signals with their waiting times in seconds, in turn.
    """

    name: str
    tier: int
    prepare: Callable[[], Launch]
    probe: Probe
    needs: tuple[str, ...] = ()
    after: Callable[[], Awaitable[None]] = _nothing
    find: Callable[[], int | None] = field(default=lambda: None)
    signals: Signals = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))


def role_environment(
    home: Home, runtime: Runtime, environ: Mapping[str, str], *, principal: str = ""
) -> dict[str, str]:
    """The environment of a role, or of the supervisor (""), without another runtime's addresses or ports."""
    references = {gateway_principal(name): names for name, names in runtime.references.items()}
    references[CONTROL] = runtime.password_references
    references[WORKER] = runtime.notification_references
    for name, names in runtime.signing_references.items():
        references[name] = [*references.get(name, ()), *names]
    kept = environment_of(principal, environ, references=references)
    if runtime.broker_kind in (MOSQUITTO, AMQTT):
        for name in (
            "NEXUS_BROKER_URL",
            "NEXUS_BROKER_USER",
            "NEXUS_BROKER_ACCOUNTS",
            "NEXUS_BROKER_PASSWORD",
            "NEXUS_BROKER_PASSWORD_FILE",
        ):
            kept.pop(name, None)
        for name in ("NEXUS_BROKER_CA", "NEXUS_BROKER_CERT", "NEXUS_BROKER_KEY"):
            kept.pop(name, None)
    if runtime.database_kind == EMBEDDED:
        for name in ("NEXUS_DATABASE_URL", "NEXUS_DATABASE_PASSWORD", "NEXUS_DATABASE_PASSWORD_FILE"):
            kept.pop(name, None)
        for name in ("NEXUS_DATABASE_CA", "NEXUS_DATABASE_CERT", "NEXUS_DATABASE_KEY"):
            kept.pop(name, None)
    kept |= _shown_to_broker(home, runtime, principal)
    return {**kept, "NEXUS_HOME": str(home.path), "NEXUS_SITE": runtime.site, "PYTHONUNBUFFERED": "1"}


def _shown_to_broker(home: Home, runtime: Runtime, principal: str) -> dict[str, str]:
    """The certificate of a role's own; that of the command line is in `runtime.json`."""
    certificate, key = client_files(home.path, runtime, principal) if principal else ("", "")
    return {"NEXUS_BROKER_CERT": certificate, "NEXUS_BROKER_KEY": key} if certificate else {}


def door_of(runtime: Runtime) -> Door:
    """How the roles' HTTP is reached."""
    return Door(host=reached_at(runtime.listen), ca=runtime.http_ca)


def services_of(home: Home, runtime: Runtime, *, environ: Mapping[str, str] | None = None) -> dict[str, Service]:
    """The services of a runtime by name, without external servers."""
    given = os.environ if environ is None else environ
    environment = role_environment(home, runtime, given)
    settings = load_settings(principal=CLI, environ=environment, home=home.path)
    found = [_mosquitto(home, runtime, settings)] if runtime.broker_kind == MOSQUITTO else []
    if runtime.broker_kind == AMQTT:
        found.append(_amqtt(home, runtime, settings, role_environment(home, runtime, given, principal=BROKER)))
    if runtime.database_kind == EMBEDDED:
        found.append(_postgres(home, runtime, settings))
    own = tuple(service.name for service in found)
    found.append(_role(home, runtime, given, name="control", tier=1, needs=own, principal=CONTROL))
    needs = (*own, "control")
    found.append(_role(home, runtime, given, name="historian", tier=2, needs=needs, principal=HISTORIAN))
    if WORKER in runtime.http_ports:  # a runtime that an older version started has none
        found.append(_role(home, runtime, given, name="worker", tier=3, needs=needs, principal=WORKER))
    found.append(_role(home, runtime, given, name="web", tier=3, needs=needs, principal=WEB))
    needs = tuple(name for name in needs if name != DATABASE)
    if runtime.environment == MOCK:
        found.append(_simulator(home, runtime, given))
        needs = (*needs, SIMULATOR)
    for gateway in runtime.gateways:
        principal = gateway_principal(gateway)
        name = f"gateway-{gateway}"
        found.append(
            _role(
                home,
                runtime,
                given,
                name=name,
                tier=3,
                needs=needs,
                principal=principal,
                option=("--name", gateway),
            )
        )
    return {service.name: service for service in found}


def _role(
    home: Home,
    runtime: Runtime,
    environ: Mapping[str, str],
    *,
    name: str,
    tier: int,
    needs: tuple[str, ...],
    principal: str,
    option: tuple[str, ...] = (),
) -> Service:
    command = (sys.executable, "-m", "nexus_cli", "run", name.partition("-")[0], *option)
    environment = role_environment(home, runtime, environ, principal=principal)
    launch = Launch(command=command, folder=_folder(home, runtime), environment=environment, identity=None)
    return Service(
        name=name,
        tier=tier,
        needs=needs,
        prepare=lambda: launch,
        probe=partial(role_lives, runtime.http_ports[principal], door_of(runtime)),
    )


def _simulator(home: Home, runtime: Runtime, environ: Mapping[str, str]) -> Service:
    """The field of a mock: gateways end before it does."""
    launch = Launch(
        command=(sys.executable, "-m", "nexus_cli", "run", SIMULATOR),
        folder=_folder(home, runtime),
        environment=role_environment(home, runtime, environ, principal=f"nexus.{SIMULATOR}"),
        identity=None,
    )
    return Service(name=SIMULATOR, tier=2, prepare=lambda: launch, probe=partial(simulator_serves, home.path))


def _mosquitto(home: Home, runtime: Runtime, settings: Settings) -> Service:
    broker = LocalMosquitto(home.path)

    def prepare() -> Launch:
        wanted = read_wanted(home.path) or NOTHING
        passwords = ensure_own(home.path, principals(wanted.grants))
        files = listener_files(home.path, runtime)
        broker.prepare(port=port_of(runtime.broker_url), wanted=wanted, passwords=passwords, files=files)
        return broker.launch()

    async def after() -> None:
        mark_applied(home.path, (read_wanted(home.path) or NOTHING).digest)

    return Service(name=BROKER, tier=0, prepare=prepare, probe=partial(broker_answers, settings), after=after)


def _amqtt(home: Home, runtime: Runtime, settings: Settings, environment: Mapping[str, str]) -> Service:
    command = (sys.executable, "-m", "nexus_cli", "run", BROKER)
    launch = Launch(command=command, folder=_folder(home, runtime), environment=dict(environment), identity=None)
    return Service(name=BROKER, tier=0, prepare=lambda: launch, probe=partial(broker_answers, settings))


def _postgres(home: Home, runtime: Runtime, settings: Settings) -> Service:
    server = EmbeddedPostgres(home.path, programs=runtime.database_programs)

    def prepare() -> Launch:
        secrets = ensure_credentials(home.path, database=["nexus", SUPERUSER])["database"]
        server.prepare(password=secrets["nexus"], superuser_password=secrets[SUPERUSER])
        files = listener_files(home.path, runtime) if runtime.database_tls else None
        return server.launch(port_of(runtime.database_url), files=files)

    async def migrate() -> None:
        from nexus_cli.database.migrate import upgrade  # noqa: PLC0415 - SQLAlchemy: the supervisor alone migrates

        await upgrade(settings)

    return Service(
        name=DATABASE,
        tier=0,
        prepare=prepare,
        probe=partial(database_answers, settings),
        after=migrate,
        find=server.postmaster,
        # Fast shutdown; a smart one (SIGTERM) waits until all clients have disconnected.
        signals=((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)),
    )


def _folder(home: Home, runtime: Runtime) -> Path:
    folder = Path(runtime.folder) if runtime.folder else home.path.parent
    return folder if folder.is_dir() else home.path
