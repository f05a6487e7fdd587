"""The runtime of `nexus test --live`: a mock in a temporary folder, with nothing of the user's runtime in reach.

Its gateways connect to simulators alone (decision 0086), its broker, database, credentials and locks are its own, and
no NEXUS_* variable of the shell reaches it. It is stopped by process id, and its folder removed, however the block ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.simulation.holding import Held, HoldFiles
from nexus_cli.drivers.simulation.mock_links import MockFolder
from nexus_cli.local.layout import Home
from nexus_cli.local.lock import LOCKS
from nexus_cli.local.stop import stop_runtime
from nexus_cli.project.apply import ApplyOptions, apply_ready
from nexus_cli.project.demo import Blocking
from nexus_cli.project.plan import plan_site
from nexus_cli.project.up import up
from nexus_cli.settings import Settings, load_settings

HOME = ".nexus"
START_S = 120.0
"""Longest wait for a part of the runtime without a step forward."""

Progress = Callable[[str, str, str], None]
"""Called with a part, its state and a detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRuntime:
    """A running mock.

    Attributes:
        home: Its folder.
        settings: That reach it.
        files: What its simulators hold.
    """

    home: Path
    settings: Settings
    files: HoldFiles


@asynccontextmanager
async def live_runtime(
    site: Path, *, env: str | None, variables: Mapping[str, str] | None, progress: Progress
) -> AsyncIterator[LiveRuntime]:
    """Start a mock of a site and apply it; everything is stopped and removed when the block ends.

    Raises:
        NexusError: A part can't be started (NX6513 and others of `up`), or the site can't be applied.
    """
    home, blocking = await asyncio.to_thread(_new_home), Blocking()
    files = HoldFiles(MockFolder(home).path)
    with _own_environment(home):
        try:
            await blocking.call(lambda: _prepare(home, files))
            await blocking.call(
                lambda: up(
                    str(site),
                    env=env,
                    variables=variables,
                    beside=True,
                    mock=True,
                    timeout_s=START_S,
                    progress=progress,
                    given_up=blocking.given_up,
                )
            )
            settings = await blocking.call(lambda: _apply(site, env, variables, home))
            yield LiveRuntime(home=home, settings=settings, files=files)
        finally:
            blocking.give_up()
            progress("runtime", "stopping", "")
            await blocking.call(lambda: _end(home))


def _new_home() -> Path:
    """In a new folder that is ours alone; its path is short, because PostgreSQL's socket has to fit into 107 bytes."""
    return Path(tempfile.mkdtemp(prefix="nexus-live-")).resolve() / HOME


def _prepare(home: Path, files: HoldFiles) -> None:
    """The folder, and devices whose values move only when a test says so."""
    Home(home).make()
    files.ask(Held(steady=True))


def _apply(site: Path, env: str | None, variables: Mapping[str, str] | None, home: Path) -> Settings:
    settings = load_settings(home=home)
    ready = plan_site(str(site), settings=settings, env=env, variables=variables).value
    if ready is None or ready.errored:
        raise NexusError("The site can't be planned for the runtime of the test.", code="NX6513", hint="nexus validate")
    hazards = sorted({str(each["name"]) for each in ready.open_hazards(())})
    done = apply_ready(
        ready, ApplyOptions(allow=hazards, reason="nexus test --live"), settings=settings, on_event=lambda _: None
    )
    if done.outcome not in ("applied", "nothing"):
        why = "; ".join(f"{row.address} {row.state}: {row.detail}" for row in done.table if row.state != "applied")
        raise NexusError(
            "The site could not be applied to the runtime of the test.", code="NX6513", cause=why or done.outcome
        )
    return settings


def _end(home: Path) -> None:
    """Stop by process id, then remove the folder."""
    try:
        stop_runtime(Home(home), progress=lambda _: None)
    finally:
        shutil.rmtree(home.parent, ignore_errors=True)


@contextmanager
def _own_environment(home: Path) -> Iterator[None]:
    """The process's environment with this home alone, and as it was afterwards."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("NEXUS_"):
            del os.environ[name]
    os.environ["NEXUS_HOME"] = str(home)
    os.environ[LOCKS] = str(home.parent / "locks")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
