"""`nexus sequence`: dry run, start in control, follow, abort."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from ulid import ULID

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.live import OBSERVER_QOS
from nexus_cli.project.rehearsal import Rehearsal, rehearsed
from nexus_cli.project.write import site_topics
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.control.sequences.live_values import LiveValues
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.control_sequences import RunAborted, RunLine, RunProgress, Sequences
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.sample import Scalar

VALUES_S = 1.5
"""MQTT has no end of the retained messages; a broker sends them within moments of the subscription."""


async def listing(*, settings: Settings | None = None) -> Sequences:
    """Declared sequences and the newest runs."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.sequences()


async def rehearse(name: str, texts: Mapping[str, str] | None = None, *, settings: Settings | None = None) -> Rehearsal:
    """Check every step of an applied sequence without executing any.

    Args:
        name: Of the sequence.
        texts: Values of its parameters, as a person types them.
        settings: Instead of those of this folder.

    Raises:
        NexusError: NX6830 unknown, NX6837 the values don't fit; NX6400, NX6010 control or broker is away.
    """
    settings = settings or load_settings()
    async with ControlClient(settings) as control:
        brief = await control.sequence(name)
    found = settings

    async def read(paths: Sequence[str]) -> LiveValues:
        return await _values(paths, found, brief.gateways)

    return await rehearsed(name, brief, texts or {}, read=read)


async def start(
    name: str,
    *,
    values: Mapping[str, Scalar] | None = None,
    reason: str = "",
    agreed: str = "",
    settings: Settings | None = None,
) -> str:
    """Begin a run in control; gives its id. From here on it does not depend on this process.

    Raises:
        NexusError: NX6838 something that `agreed` covers has changed; any refusal of control.
    """
    run = str(ULID())
    async with ControlClient(settings or load_settings()) as control:
        await control.start_sequence(name, run=run, reason=reason, values=values, agreed=agreed)
    return run


async def follow(run: str, *, on_line: Callable[[RunLine], None], settings: Settings | None = None) -> RunProgress:
    """Follow a run to its end; `on_line` gets every line of its journal once. Control may be away in between."""
    seen = 0
    async with ControlClient(settings or load_settings()) as control:
        while True:
            try:
                found = await control.sequence_run(run, after=seen, wait_s=10.0)
            except NexusError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(1.0)
                continue
            for line in found.journal:
                seen = max(seen, line.id)
                on_line(line)
            if found.state != "running" and not found.journal:
                return found


async def status(run: str, *, settings: Settings | None = None) -> RunProgress:
    """One run with its complete journal."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.sequence_run(run)


async def abort(run: str, *, settings: Settings | None = None) -> RunAborted:
    """End a run before its next step."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.abort_sequence(run)


async def _values(paths: Sequence[str], settings: Settings, gateways: Mapping[str, str]) -> LiveValues:
    """Retained values of these tags, read as control reads them."""
    topics = site_topics(settings)
    found = LiveValues(topics, clock=SystemClock())
    found.gateways = gateways
    found.want(paths)
    left = set(paths)
    if not left:
        return found
    client = BrokerClient(settings=settings, client_id=client_id(settings, "sequence"))
    try:
        async with asyncio.timeout(VALUES_S + 5), client.session() as messages:
            await client.subscribe([(topics.tag(path), OBSERVER_QOS) for path in paths])
            async with asyncio.timeout(VALUES_S):
                async for message in messages:
                    # Whether a value without a time of its own is fresh, control knows: it was listening before.
                    found.receive(message.topic, message.payload)
                    left.discard(topics.path(message.topic) or "")
                    if not left:
                        break
    except TimeoutError:
        pass
    return found
