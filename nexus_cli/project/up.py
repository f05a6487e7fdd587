"""The verb of `nexus up`: start the runtime of a site on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nexus_cli.database.ability import require_able
from nexus_cli.database.connect import SCHEMA_BEHIND
from nexus_cli.database.revision import require_current
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.local.expiring import findings, of_files
from nexus_cli.local.kinds import refuse_foreign_servers, without_servers
from nexus_cli.local.layout import EXTERNAL, SUPERVISOR, Home, Runtime, home_of
from nexus_cli.local.lock import announce, lock_folder
from nexus_cli.local.start import (
    StartRequest,
    end_foreign_processes,
    one_at_a_time,
    refuse_silent_broker,
    start_supervisor,
    write_request,
)
from nexus_cli.local.supervisor import holder_for, myself, run_supervisor
from nexus_cli.local.waiting import wait_running
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.run_role import principal_of
from nexus_cli.project.text import load, locate
from nexus_cli.runtime.lifecycle import stop_on_signals, tasks
from nexus_cli.runtime.logging import configure_logging
from nexus_cli.setting_values import MOCK
from nexus_cli.settings import CREDENTIALS_FILE, Settings, home_here, load_settings
from nexus_cli.source.nodes import SourceFile

MOCK_DETAIL = "a simulator answers for every device; no address of the plant is connected to"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpResult:
    """The result of `up`.

    Attributes:
        findings: Of the site file.
        files: Texts that the findings quote.
        runtime: The running one; None when the file has errors.
        credentials: Where the generated credentials lie.
    """

    findings: tuple[Diagnostic, ...] = ()
    files: tuple[SourceFile, ...] = ()
    runtime: Runtime | None = None
    credentials: Path | None = None


def up(
    site: str | None,
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    broker: str = "",
    database: str = "",
    beside: bool = False,
    listen: str | None = None,
    mutual_tls: bool | None = None,
    foreground: bool = False,
    mock: bool = False,
    timeout_s: float = 60.0,
    progress: Callable[[str, str, str], None],
    found: Callable[[UpResult], None] = lambda _: None,
    ready: Callable[[UpResult], None] = lambda _: None,
    given_up: Callable[[], bool] = lambda: False,
) -> UpResult:
    """Start the runtime of a site on this machine, or add to the one that runs; blocking until everything works.

    Args:
        site: Site file or folder; None takes `site.yaml` here, or the only one below `sites/`.
        env: Overlay, as for apply.
        variables: Values over the declared `vars`.
        broker: "" (what it was, else what is there), `mosquitto`, `amqtt` or a URL.
        database: "" (what it was, else embedded), `embedded` or a URL.
        beside: Run although another runtime of this site runs on this machine.
        listen: Address to listen on, with TLS unless it is a loopback one; None is what it was.
        mutual_tls: Ask clients of broker and database for certificates; None is what it was.
        foreground: Stay and be the supervisor until a signal.
        mock: Simulators in the place of every device, in a folder of its own.
        timeout_s: Longest wait without a step forward (see `local.waiting`).
        progress: Called with service, state and detail on every change.
        found: Called with the findings before anything is started.
        ready: Called once everything works.
        given_up: True ends the wait.

    Raises:
        NexusError: NX6964 the folder is of another kind; NX6965 a mock with servers of others; NX6512 something else runs here; NX6517 this site runs elsewhere on this machine; NX6513 a part does not work; NX6201 the given database
            needs `nexus db upgrade`; NX6010 or NX6011 the given broker does not answer or refuses us.
    """
    loaded = load(site, env=env, variables=variables)
    result = UpResult(findings=loaded.findings, files=loaded.files)
    found(result)
    if loaded.value is None or has_errors(loaded.findings):
        return result
    if mock:
        refuse_foreign_servers(broker, database)
    home = _home_of(loaded.value.snapshot)
    request = StartRequest(
        snapshot=loaded.value.snapshot,
        broker=broker,
        database=database,
        beside=beside,
        listen=listen,
        mutual_tls=mutual_tls,
        environment=MOCK if mock else "",
        detail=MOCK_DETAIL if mock else "",
        folder=str(locate(site).unwrap().parent.absolute()) if mock else "",
        environ=without_servers(os.environ) if mock else os.environ,
    )
    if expiring := findings(of_files(home.path, _known_settings(home))):
        found(UpResult(findings=expiring))
    with one_at_a_time(home):
        end_foreign_processes(home, progress=progress)
        before = home.read_runtime()
        runtime = write_request(home, request)
        try:
            _ask_servers(home, runtime)
        except NexusError as error:
            if error.code != SCHEMA_BEHIND:  # there `nexus db upgrade` and the next `up` continue from here
                home.write_runtime(before)
            raise
        if foreground:
            announce(home, holder_for(home, runtime, myself()), lock_folder())
        else:
            start_supervisor(home, runtime, request.environ)
    result = replace(result, runtime=runtime, credentials=home.path / CREDENTIALS_FILE)
    if foreground:
        _stay(home, runtime, timeout_s=timeout_s, ready=lambda: ready(result))
        return result
    wait_running(home, runtime, timeout_s=timeout_s, progress=progress, given_up=given_up)
    if not given_up():
        ready(result)
    return result


def _home_of(snapshot: Snapshot) -> Home:
    """The folder that a site runs in: one that is found above belongs to it only when it is of this site."""
    found, here = home_of(load_settings()), Home(home_here(os.environ).resolve())
    if found.path != here.path and found.read_runtime().site != f"{snapshot.enterprise}/{snapshot.site}":
        found = here
    os.environ["NEXUS_HOME"] = str(found.path)  # as `--home` does: everything that follows means this one
    return found


def _known_settings(home: Home) -> Settings:
    """The settings as far as they can be read: what is wrong with them is said where they are needed."""
    try:
        return load_settings(home=home.path)
    except NexusError:
        return Settings(home=home.path)


def _ask_servers(home: Home, runtime: Runtime) -> None:
    """Servers that were given by URL have to answer before anything is started."""
    if runtime.database_kind == EXTERNAL:
        asyncio.run(require_able(load_settings(home=home.path)))
        asyncio.run(require_current(load_settings(home=home.path)))
    if runtime.broker_kind == EXTERNAL:
        asyncio.run(refuse_silent_broker(load_settings(home=home.path)))


def _stay(home: Home, runtime: Runtime, *, timeout_s: float, ready: Callable[[], None]) -> None:
    """Run the supervisor until a signal, and report when everything works."""
    settings = load_settings(principal=principal_of(SUPERVISOR, ""))
    configure_logging(log_format=settings.log_format, log_level=settings.log_level, role=SUPERVISOR)

    async def report(stop: asyncio.Event) -> None:
        try:
            await asyncio.to_thread(
                wait_running, home, runtime, timeout_s=timeout_s, progress=lambda *_: None, given_up=stop.is_set
            )
        except NexusError as error:
            logging.getLogger("nexus.supervisor").error("%s %s", error.message, error.cause)
        else:
            if not stop.is_set():
                ready()

    async def stay() -> None:
        async with stop_on_signals() as stop, tasks("nexus up") as group:
            group.create_task(report(stop), name="report when it works")
            try:
                await run_supervisor(home, stop=stop)
            finally:
                stop.set()

    asyncio.run(stay())
