"""The start of a runtime by `nexus up`: decide what to run, write `runtime.json`, start the supervisor."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.encrypted import refuse_open_broker
from nexus_cli.access.grants import RESERVED, join, principals
from nexus_cli.access.grants_file import NOTHING, Wanted, read_wanted
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.local import broker_amqtt, broker_mosquitto
from nexus_cli.local.credentials import ensure_credentials
from nexus_cli.local.environment import (
    notification_references_of,
    password_references_of,
    references_of,
    signing_references_of,
)
from nexus_cli.local.instances import holds, living_parts, marks, parts_of
from nexus_cli.local.kinds import refuse_other_kind
from nexus_cli.local.layout import AMQTT, EMBEDDED, EXTERNAL, MOSQUITTO, SUPERVISOR, Home, Runtime, assign_ports
from nexus_cli.local.listening import checked_listen, choose_listen
from nexus_cli.local.lock import announce, holders, lock_folder
from nexus_cli.local.ports import LOOPBACK
from nexus_cli.local.postgres import SUPERUSER, has_tls, installed_programs
from nexus_cli.local.processes import PidFile, identify, spawn
from nexus_cli.local.running import supervisor_runs
from nexus_cli.local.services import role_environment
from nexus_cli.local.signing import ensure_signing
from nexus_cli.local.stop import end_parts, left_behind
from nexus_cli.local.supervisor import holder_for
from nexus_cli.model.secrets import password_in_url, without_passwords
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.setting_values import MOCK
from nexus_cli.settings import Settings
from nexus_cli.wire.abilities import require_able
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.url import parse_broker_url

POSTGRES_PROGRAMS = "NEXUS_POSTGRES_BIN"
"""The `bin` folder of a PostgreSQL on this machine to run in place of the embedded one."""
_WORD = re.compile(r"[A-Za-z0-9_-]+")
"""Neither a URL nor host:port: the name of a kind of broker."""
Progress = Callable[[str, str, str], None]
"""Called with service, state and detail on every change, and with the state `slow` after a long time without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """The options of `nexus up`.

    Attributes:
        snapshot: The declared site.
        broker: `mosquitto`, `amqtt`, or a URL; "" for the previous one, else the one that is installed.
        database: `embedded`, or a URL; "" for the previous one, else the embedded one.
        beside: Run although another runtime of this site runs on this machine.
        listen: Address to listen on, a loopback one for the loopback interface; None for the previous one.
        mutual_tls: Ask clients of broker and database for a certificate; None for what it was.
        environment: `mock` or `replay`; "" is the plant.
        detail: A sentence about it.
        folder: Of the site file, for the CSV files of a mock's signals.
        environ: The environment of the command.
    """

    snapshot: Snapshot
    broker: str = ""
    database: str = ""
    beside: bool = False
    listen: str | None = None
    mutual_tls: bool | None = None
    environment: str = ""
    detail: str = ""
    folder: str = ""
    environ: Mapping[str, str]


@contextmanager
def one_at_a_time(home: Home) -> Iterator[None]:
    """Hold a lock while a start decides and writes, so that of two concurrent `up` the second finds the first one's
    supervisor."""
    import fcntl  # noqa: PLC0415 - not on every system

    # One lock for all folders, since two of them may have the same site.
    with (lock_folder() / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        home.make()
        try:
            yield
        except NexusError:
            home.remove_empty()
            raise


def end_foreign_processes(home: Home, *, progress: Progress) -> None:
    """End the processes of a removed folder that had this path: both would write here. For a moved folder, processes
    without a supervisor are ended too: they would write to the old path.

    Blocking.

    Raises:
        NexusError: NX6515, a process does not end.
    """
    instance = home.instance()
    if not instance and home.there():
        return  # of a version without instance ids: what runs belongs to this folder
    parts = parts_of(home)
    supervised = any(part.name == SUPERVISOR and part.instance == instance for part in parts)
    strangers = [part for part in parts if part.instance != instance or (part.home != home.path and not supervised)]
    for part in strangers:
        progress(part.name, "stopping", f"process {part.process.pid} runs for a folder that was removed or moved")
    end_parts([(part.name, part.process) for part in strangers])


def refuse_second(home: Home, runtime: Runtime) -> None:
    """Refuse a second runtime of a site: both would poll the same devices, and each would get half of the commands and
    rows.

    Raises:
        NexusError: NX6517, another runtime of this site runs on this machine; NX6512, this one runs, and its folder was
            moved since.
    """
    for holder in holders(lock_folder()):
        if holder.home == str(home.path) or holder.site != runtime.site:
            continue
        if holder.instance == runtime.instance and not holds(Path(holder.home), holder.instance):
            raise NexusError(
                f"The runtime here was started in {holder.home} and its folder was moved since.",
                code="NX6512",
                cause=f"process {holder.pid} and what it started still look for their files there",
                hint="`nexus down` first, then `nexus up`: rows and credentials stay",
            )
        if not (holder.beside or runtime.beside):
            raise NexusError(
                f"{runtime.site} runs on this machine already: process {holder.pid}, in {holder.home}.",
                code="NX6517",
                hint=f"`nexus --home {holder.home} status` shows it; a second one on purpose: nexus up --beside",
            )


def write_request(home: Home, request: StartRequest) -> Runtime:
    """Write `runtime.json`, credentials and the first grants. Idempotent; a running supervisor starts what is added.

    Raises:
        NexusError: NX6964, the folder is of another kind; NX6512, a running process would be changed; NX6032 to NX6034, nothing can listen where it was asked to;
            NX6035, restricted data would reach the broker in the clear.
    """
    home.make()
    # Processes of a killed supervisor keep their ports; the next supervisor adopts them.
    running = supervisor_runs(home) or bool(left_behind(home))
    before = home.read_runtime()
    runtime = home.read_runtime()
    refuse_other_kind(home, before, request.environment)
    runtime.environment, runtime.environment_detail = request.environment, request.detail
    runtime.mock_folder = request.folder if request.environment == MOCK else ""
    runtime.site = f"{request.snapshot.enterprise}/{request.snapshot.site}"
    runtime.gateways = gateways_of(request.snapshot)
    runtime.folder = str(Path.cwd())
    # A mock connects to simulators, which ask for no secret of the plant.
    runtime.references = {} if request.environment else references_of(request.snapshot)
    runtime.password_references = password_references_of(request.snapshot)
    # A mock or a replay notifies no one.
    runtime.notification_references = [] if request.environment else notification_references_of(request.snapshot)
    runtime.signing_references = signing_references_of(request.snapshot, gateways=runtime.gateways)
    runtime.instance = _instance(home, before)
    # Beside the plant's own: neither polls its devices.
    runtime.beside = request.beside or bool(request.environment) or (running and before.beside)
    refuse_second(home, runtime)
    _choose_broker(runtime, request)
    _choose_database(runtime, request)
    _choose_programs(runtime, request)
    choose_listen(home, runtime, listen=request.listen, mutual=request.mutual_tls)
    refuse_open_broker(request.snapshot.resources, runtime.broker_url if runtime.broker_kind == EXTERNAL else "")
    if running:
        _refuse_change(before, runtime)
    assign_ports(runtime, running=running)
    roles = runtime.principals
    grants = compile_grants(request.snapshot, users=False)
    known = read_wanted(home.path)
    before_them = known or NOTHING
    if known is None or join(known.grants, grants) != known.grants:
        Wanted(join(before_them.grants, grants), before_them.people).write(home.path)
    own = {name for name in principals(before_them.grants) if name.startswith(RESERVED)}
    ensure_credentials(home.path, broker={*roles, *own}, api=roles, database=["nexus", SUPERUSER])
    ensure_signing(home.path, request.snapshot.resources)
    if runtime != before:
        home.write_runtime(runtime)
    return runtime


def _instance(home: Home, before: Runtime) -> str:
    """The runtime's id: the previous one, unless the folder is a copy of one that runs elsewhere."""
    alive = [part for part in living_parts() if part.home == home.path]
    if not before.instance:
        # `runtime.json` was lost; the running processes have the id.
        return next((part.instance for part in alive if part.instance), "") or secrets.token_hex(8)
    elsewhere = (part for part in living_parts() if part.instance == before.instance and part.home != home.path)
    copied = any(holds(part.home, part.instance) for part in elsewhere)
    return secrets.token_hex(8) if copied and not alive else before.instance


def gateways_of(snapshot: Snapshot) -> list[str]:
    """The names of a site's gateways, sorted."""
    named = {name for name, _ in snapshot.of_kind("gateway")}
    return sorted(named | {str(device["gateway"]) for _, device in snapshot.of_kind("device") if device.get("gateway")})


def _brokers_here() -> list[str]:
    there = {MOSQUITTO: broker_mosquitto.program() is not None, AMQTT: broker_amqtt.available()}
    return [name for name, found in there.items() if found]


def broker_here() -> str:
    """The kind of broker that is installed, the better one first; "" for none."""
    return next(iter(_brokers_here()), "")


def _choose_broker(runtime: Runtime, request: StartRequest) -> None:
    wanted = request.broker or request.environ.get("NEXUS_BROKER_URL", "")
    if not wanted and runtime.broker_kind == EXTERNAL:
        return  # given once; a local broker is requested by its kind
    if wanted not in ("", MOSQUITTO, AMQTT):
        if _WORD.fullmatch(wanted):
            near = did_you_mean(wanted, (MOSQUITTO, AMQTT))
            near = f"{near} " if near.startswith("did") else ""
            raise NexusError(
                f"'{wanted}' is neither a kind of broker nor an address.",
                code="NX6505",
                hint=f"{near}{MOSQUITTO}, {AMQTT}, or mqtt://{wanted}:1883 for your own broker",
                exit_code=64,
            )
        if runtime.broker_kind != EXTERNAL:  # others may use it, too; one of an earlier version keeps its plain names
            runtime.broker_accounts = "site"
        runtime.broker_accounts = request.environ.get("NEXUS_BROKER_ACCOUNTS", runtime.broker_accounts)
        runtime.broker_kind, runtime.broker_url = EXTERNAL, str(parse_broker_url(wanted))
        runtime.broker_ca = request.environ.get("NEXUS_BROKER_CA", "")
        runtime.broker_cert = request.environ.get("NEXUS_BROKER_CERT", "")
        runtime.broker_key = request.environ.get("NEXUS_BROKER_KEY", "")
        return
    if runtime.broker_kind == EXTERNAL:
        runtime.broker_kind = runtime.broker_url = runtime.broker_ca = runtime.broker_accounts = ""
        runtime.broker_cert = runtime.broker_key = ""
    there = _brokers_here()
    kept = runtime.broker_kind if runtime.broker_kind in there else ""
    kind = wanted or kept or broker_here()
    if kind not in there:
        raise NexusError(
            f"There is no {kind or 'broker'} on this machine.",
            code="NX6505",
            hint="install mosquitto (apt-get install mosquitto), or pip install 'nexus-cli[local]', or give --broker URL",
        )
    runtime.broker_kind = kind


def _choose_database(runtime: Runtime, request: StartRequest) -> None:
    wanted = request.database or request.environ.get("NEXUS_DATABASE_URL", "")
    if not wanted and runtime.database_kind == EXTERNAL:
        return  # never switch silently to a database without the existing rows
    if not wanted or wanted == EMBEDDED:
        if runtime.database_kind == EXTERNAL:
            runtime.database_url = runtime.database_ca = runtime.database_cert = runtime.database_key = ""
        runtime.database_kind = EMBEDDED
        return
    if ":" in wanted.partition("://")[2].rpartition("@")[0] or password_in_url(wanted):
        raise NexusError(
            "The database's address holds a password; it would show in files and process lists.",
            code="NX6203",
            hint="put it in NEXUS_DATABASE_PASSWORD (or NEXUS_DATABASE_PASSWORD_FILE)",
        )
    if not wanted.startswith(("postgresql://", "postgres://")):
        raise NexusError(
            f"'{without_passwords(wanted)}' is not a postgresql:// address.",
            code="NX6203",
            hint="write embedded, or postgresql://USER@HOST:5432/NAME",
        )
    runtime.database_kind, runtime.database_url = EXTERNAL, wanted
    runtime.database_ca = request.environ.get("NEXUS_DATABASE_CA", "")
    runtime.database_cert = request.environ.get("NEXUS_DATABASE_CERT", "")
    runtime.database_key = request.environ.get("NEXUS_DATABASE_KEY", "")


def _choose_programs(runtime: Runtime, request: StartRequest) -> None:
    """The database listens beyond the loopback interface only with TLS, which depends on how its programs were built."""
    given = request.environ.get(POSTGRES_PROGRAMS, "")
    if runtime.database_kind != EMBEDDED:
        runtime.database_programs, runtime.database_tls = "", False
        return
    runtime.database_programs = given or runtime.database_programs
    wanted = runtime.listen if request.listen is None else checked_listen(request.listen)
    programs = Path(runtime.database_programs) if runtime.database_programs else installed_programs()
    runtime.database_tls = bool(wanted) and has_tls(programs)


def _refuse_change(before: Runtime, after: Runtime) -> None:
    for what, old, new in (
        ("site", before.site, after.site),
        ("broker", before.broker_kind, after.broker_kind),
        ("database", before.database_kind, after.database_kind),
        ("address", before.listen or LOOPBACK, after.listen or LOOPBACK),
        ("mutual TLS", *("on" if one.mutual_tls else "off" for one in (before, after))),
    ):
        if old != new:
            raise NexusError(
                f"The runtime here has the {what} {old}; it can't become {new} while it runs.",
                code="NX6512",
                hint="`nexus down` first, or use another folder: nexus --home OTHER up SITE",
            )


def start_supervisor(home: Home, runtime: Runtime, environ: Mapping[str, str]) -> None:
    """Start the supervisor, detached, unless it runs."""
    if supervisor_runs(home):
        return
    home.state_file.unlink(missing_ok=True)
    child = spawn(
        [sys.executable, "-m", "nexus_cli", "run", SUPERVISOR],
        log=home.log_file(SUPERVISOR),
        environment={**role_environment(home, runtime, environ), **marks(home, runtime.instance, SUPERVISOR)},
        folder=Path(runtime.folder) if runtime.folder else None,
    )
    running = identify(child.pid)
    if running is not None:
        # It does so itself once Python has started; a `down` before that must find it as well.
        announce(home, holder_for(home, runtime, running), lock_folder())
        PidFile(home.pid_file(SUPERVISOR)).write(running)


async def refuse_silent_broker(settings: Settings) -> None:
    """Check, before anything is started, that a broker given by URL answers and has the required features.

    Raises:
        NexusError: NX6010 it does not answer, NX6011 it refuses the credentials, NX6015 it lacks a required feature.
    """
    client = BrokerClient(settings=settings, client_id=client_id(settings, "up"))
    async with client.session():
        pass
    await require_able(settings)
