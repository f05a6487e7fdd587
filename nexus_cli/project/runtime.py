"""The verbs of the local runtime: run a role, up, down, status, logs."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.settings import CREDENTIALS_FILE, Settings, home_folder, home_here, load_settings

if TYPE_CHECKING:
    from nexus_cli.local.layout import Home, Runtime
    from nexus_cli.model.snapshot import Snapshot
    from nexus_cli.source.nodes import SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class UpResult:
    """What `up` did.

    Attributes:
        findings: Of the site file.
        files: Texts that the findings quote.
        runtime: What runs; None when the file has errors.
        credentials: Where the generated credentials lie.
    """

    findings: tuple[Diagnostic, ...] = ()
    files: tuple[SourceFile, ...] = ()
    runtime: Runtime | None = None
    credentials: Path | None = None


def run_role(role: str, *, name: str = "") -> None:
    """Run one role in this process until it is told to stop.

    Args:
        role: `control`, `gateway`, `historian`, `broker` or `supervisor`.
        name: Name of a gateway (required there), or of one historian of several.
    """
    from nexus_cli.runtime.logging import configure_logging

    if role == "gateway" and not name:
        raise NexusError("Which gateway?", code="NX6511")
    settings = load_settings(principal=_principal(role, name))
    title = f"{role} {name}" if name and name != role else role
    configure_logging(log_format=settings.log_format, log_level=settings.log_level, role=title)
    asyncio.run(_serve(role, name, settings))


def _principal(role: str, name: str) -> str:
    return f"nexus.gateway.{name}" if role == "gateway" else f"nexus.{role}"


async def _serve(role: str, name: str, settings: Settings) -> None:
    if role == "control":
        from nexus_cli.runtime.control.control import run_control

        await run_control(settings)
    elif role == "gateway":
        from nexus_cli.runtime.gateway.gateway import run_gateway

        await run_gateway(settings, name=name)
    elif role == "historian":
        from nexus_cli.runtime.historian.historian import run_historian

        await run_historian(settings, name=name or "historian")
    else:
        from nexus_cli.runtime.lifecycle import stop_on_signals

        async with stop_on_signals() as stop:
            if role == "broker":
                from nexus_cli.local.broker_amqtt import run_amqtt

                await run_amqtt(_home(settings), stop=stop)
            else:
                from nexus_cli.local.supervisor import run_supervisor

                await run_supervisor(_home(settings), stop=stop)


def _home(settings: Settings) -> Home:
    from nexus_cli.local.layout import Home

    return Home(Path(settings.home).resolve())


def up(
    site: str | None,
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    broker: str = "",
    database: str = "",
    beside: bool = False,
    foreground: bool = False,
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
        foreground: Stay and be the supervisor until a signal.
        timeout_s: Longest wait without a step forward (see `local.waiting`).
        progress: Called with service, state and detail on every change.
        found: Called with the findings before anything is started.
        ready: Called once everything works.
        given_up: True ends the wait.

    Raises:
        NexusError: NX6512 something else runs here; NX6517 this site runs elsewhere on this machine; NX6513 a part does not work; NX6201 the given database
            needs `nexus db upgrade`; NX6010 or NX6011 the given broker does not answer or refuses us.
    """
    from nexus_cli.database.connect import SCHEMA_BEHIND
    from nexus_cli.local.lock import announce, lock_folder
    from nexus_cli.local.start import (
        StartRequest,
        end_foreign_processes,
        one_at_a_time,
        start_supervisor,
        write_request,
    )
    from nexus_cli.local.supervisor import holder_for, myself
    from nexus_cli.local.waiting import wait_running
    from nexus_cli.project.text import load

    loaded = load(site, env=env, variables=variables)
    result = UpResult(findings=loaded.findings, files=loaded.files)
    found(result)
    if loaded.value is None or has_errors(loaded.findings):
        return result
    home = _home_of(loaded.value.snapshot)
    request = StartRequest(
        snapshot=loaded.value.snapshot, broker=broker, database=database, beside=beside, environ=os.environ
    )
    with one_at_a_time(home):
        end_foreign_processes(home, progress=progress)
        before = home.read_runtime()
        runtime = write_request(home, request)
        try:
            _ask_servers(home, runtime)
        except NexusError as error:
            if error.code != SCHEMA_BEHIND:  # there `nexus db upgrade` and the next `up` go on from here
                home.write_runtime(before)
            raise
        if foreground:
            announce(home, holder_for(home, runtime, myself()), lock_folder())
        else:
            start_supervisor(home, runtime, os.environ)
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
    from nexus_cli.local.layout import Home

    found, here = _home(load_settings()), Home(home_here(os.environ).resolve())
    if found.path != here.path and found.read_runtime().site != f"{snapshot.enterprise}/{snapshot.site}":
        found = here
    os.environ["NEXUS_HOME"] = str(found.path)  # as `--home` does: everything that follows means this one
    return found


def _ask_servers(home: Home, runtime: Runtime) -> None:
    """Servers that were given by URL have to answer before anything is started."""
    from nexus_cli.local.layout import EXTERNAL

    if runtime.database_kind == EXTERNAL:
        from nexus_cli.database.ability import require_able
        from nexus_cli.database.revision import require_current

        asyncio.run(require_able(load_settings(home=home.path)))
        asyncio.run(require_current(load_settings(home=home.path)))
    if runtime.broker_kind == EXTERNAL:
        from nexus_cli.local.start import refuse_silent_broker

        asyncio.run(refuse_silent_broker(load_settings(home=home.path)))


def _stay(home: Home, runtime: Runtime, *, timeout_s: float, ready: Callable[[], None]) -> None:
    """Be the supervisor until a signal, and say when everything works."""
    from nexus_cli.local.services import SUPERVISOR
    from nexus_cli.local.supervisor import run_supervisor
    from nexus_cli.local.waiting import wait_running
    from nexus_cli.runtime.lifecycle import stop_on_signals, tasks
    from nexus_cli.runtime.logging import configure_logging

    settings = load_settings(principal=_principal(SUPERVISOR, ""))
    configure_logging(log_format=settings.log_format, log_level=settings.log_level, role=SUPERVISOR)

    async def tell(stop: asyncio.Event) -> None:
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
            group.create_task(tell(stop), name="tell when it works")
            try:
                await run_supervisor(home, stop=stop)
            finally:
                stop.set()

    asyncio.run(stay())


def down(*, wipe: bool = False, progress: Callable[[str], None]) -> bool:
    """Stop the runtime of this folder in order; with `wipe` remove rows, credentials and logs too.

    Returns:
        False when nothing ran (and nothing was wiped).
    """
    from nexus_cli.local.layout import Home
    from nexus_cli.local.stop import stop_runtime
    from nexus_cli.local.stop import wipe as remove

    home = Home(home_folder(os.environ).resolve())  # also where a file in it is broken
    found = stop_runtime(home, progress=progress)
    return (remove(home) if wipe else False) or found


def status() -> dict[str, Any]:
    """How broker, database, roles and links are, as JSON values (see `local.status.collect`)."""
    from nexus_cli.local.status import collect

    settings = load_settings()
    return asyncio.run(collect(_home(settings), settings))


def control_starts() -> str:
    """Of a control that does not answer yet: what the supervisor of this folder waits for; "" when it starts nothing."""
    from nexus_cli.local.start import read_state

    if os.environ.get("NEXUS_CONTROL_URL"):
        return ""  # another one is asked
    seen = read_state(_home(load_settings())).get("control", {})
    if seen.get("state") not in ("waiting", "starting", "backoff"):
        return ""
    detail = f" ({seen['detail']})" if seen.get("detail") else ""
    if seen["state"] == "backoff":
        return f"control ended and is started again{detail}: `nexus logs control` says why"
    return f"control is starting{detail}: try again in a few seconds; `nexus status` shows it"


def log_files(part: str | None) -> dict[str, Path]:
    """Log files by part, all of them or one.

    Raises:
        NexusError: NX6514, there is no such log; the hint names those there are.
    """
    home = _home(load_settings())
    found = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
    if part is None and found:
        return found
    if part is not None:
        for name in (part, f"gateway-{part}"):
            if name in found:
                return {name: found[name]}
    raise NexusError(
        f"There is no log of '{part}' in {home.logs}." if part else f"There are no logs in {home.logs}.",
        code="NX6514",
        hint=did_you_mean(part, found) if found else "`nexus up SITE` starts the runtime",
    )
