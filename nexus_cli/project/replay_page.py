"""The runtime of a replay: a broker, a database, control, a historian and a page of its own, beside the plant's.

The plant's broker gives no right to publish what is replayed: a replay has servers of its own in `.nexus/replay/`,
which know its site by another name.

See docs/decisions/0086.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from nexus_cli.database.connect import connection
from nexus_cli.database.deployments import full_state
from nexus_cli.database.replayed import copy_credentials, credentials_of
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.kinds import without_servers
from nexus_cli.local.layout import EMBEDDED, Home, Runtime
from nexus_cli.local.start import StartRequest, end_foreign_processes, one_at_a_time, start_supervisor, write_request
from nexus_cli.local.stop import stop_runtime, wipe
from nexus_cli.local.waiting import wait_running
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.plan import Base, make_plan
from nexus_cli.plan.planfile import PlanSource
from nexus_cli.plan.requests import request_count
from nexus_cli.project.apply import ApplyOptions, apply_ready
from nexus_cli.project.ready import Ready
from nexus_cli.project.text import load
from nexus_cli.setting_values import REPLAY
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.http import ControlClient

START_S = 120.0
FOLDER = "replay"


def recorded_resources(settings: Settings, site: str, path: str | None) -> Mapping[str, Attributes]:
    """What the site is made of: as its files say, else as the database of this folder has recorded it.

    Raises:
        NexusError: NX6963, neither is at hand.
    """
    if path is not None:
        loaded = load(path)
        if loaded.value is None:
            raise NexusError(f"The site {path} has errors.", code="NX6963", hint=f"nexus validate {path}")
        return loaded.value.snapshot.resources
    found = asyncio.run(_from_database(settings, site)) if settings.database_url else {}
    if not found:
        raise NexusError(
            f"It is not known here what {site} is made of.",
            code="NX6963",
            hint="name its files with --site PATH, or run it beside the .nexus folder of the plant",
        )
    return found


async def _from_database(settings: Settings, site: str) -> Mapping[str, Attributes]:
    async with connection(settings, application="nexus-replay") as conn:
        return await full_state(conn, site)


def replay_home(settings: Settings, into: str) -> Home:
    """The folder of a replay into a site."""
    return Home(settings.home.resolve() / FOLDER / into.replace("/", "."))


def start_page(
    home: Home,
    snapshot: Snapshot,
    *,
    detail: str,
    broker: str,
    plant: Settings,
    progress: Callable[[str, str, str], None],
) -> tuple[Runtime, Settings]:
    """Start the runtime of a replay, new and empty, and record its site there. Blocking.

    Args:
        home: Its folder; one that an earlier replay left is removed.
        snapshot: By `replayed_site`.
        detail: What is replayed.
        broker: `mosquitto`, `amqtt`, or "" for what is there.
        plant: The plant's settings: its people log in here with their passwords, where its database is at hand.
        progress: Called with service, state and detail on every change.

    Raises:
        NexusError: NX6964, the folder is not a replay's; NX6513 and others, a part does not work.
    """
    end_page(home)
    environ = without_servers({name: text for name, text in os.environ.items() if name not in _OTHERS})
    request = StartRequest(
        snapshot=snapshot,
        broker=broker,
        database=EMBEDDED,
        beside=True,
        listen="127.0.0.1",
        mutual_tls=False,
        environment=REPLAY,
        detail=detail,
        environ=environ,
    )
    with one_at_a_time(home):
        end_foreign_processes(home, progress=progress)
        runtime = write_request(home, request)
        start_supervisor(home, runtime, environ)
    wait_running(home, runtime, timeout_s=START_S, progress=progress)
    settings = load_settings(environ={}, home=home.path)
    _record(snapshot, settings)
    if plant.database_url:
        asyncio.run(_same_people(plant, settings))
    return runtime, settings


_OTHERS = ("NEXUS_SITE", "NEXUS_HOME", "NEXUS_CONTROL_URL", "NEXUS_CONTROL_TOKEN", "NEXUS_HTTP_HOST", "NEXUS_HTTP_PORT")


def end_page(home: Home) -> None:
    """Stop the runtime of a replay and remove its folder. Blocking.

    Raises:
        NexusError: NX6964, the folder is not a replay's.
    """
    before = home.read_runtime()
    if before.site and before.environment != REPLAY:
        raise NexusError(f"The runtime in {home.path} is no replay.", code="NX6964", hint="move that folder away")
    stop_runtime(home, progress=lambda _: None)
    wipe(home)


def _record(snapshot: Snapshot, settings: Settings) -> None:
    """Have the replay's control record the site, as an apply does."""
    plan = make_plan(asyncio.run(_base(settings)), snapshot, moved=[], cost=request_count).unwrap()
    document = plan_document(plan, findings=(), allow=())
    source = PlanSource(path=str(Path(settings.home)), env=None, variables={})
    ready = Ready(site=settings.site, document=document, changed=plan.desired, source=source)
    hazards = sorted({str(each["name"]) for each in ready.open_hazards(())})
    done = apply_ready(
        ready, ApplyOptions(allow=hazards, reason="nexus replay"), settings=settings, on_event=lambda _: None
    )
    if done.outcome != "applied":
        raise NexusError(
            f"The site of the replay could not be recorded: {done.outcome}.",
            code="NX6963",
            hint=f"nexus --home {settings.home} show",
        )


async def _base(settings: Settings) -> Base:
    async with ControlClient(settings, site=settings.site) as control:
        state = await control.state()
    return Base(
        deployment=state.deployment,
        digest=state.digest,
        digests=state.digests,
        resources={},
        running=state.running,
        broker="",
    )


async def _same_people(plant: Settings, replay: Settings) -> None:
    """People log in here as at the plant, with the same passwords and the same rights."""
    async with connection(plant, application="nexus-replay") as conn:
        rows = await credentials_of(conn, site=plant.site)
    if rows:
        async with connection(replay, application="nexus-replay") as conn:
            await copy_credentials(conn, site=replay.site, rows=rows)
