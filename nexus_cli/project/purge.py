"""`nexus purge`: forgotten series and their samples, removed for good by the worker, through control."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.control_purges import Purge, PurgePreview, PurgeQuestion, Purges, PurgeSelection
from nexus_cli.wire.http import ControlClient

COUNTING_S = 600.0
"""Counting the samples of many series takes its time."""


async def preview(selectors: Sequence[str], *, settings: Settings | None = None) -> PurgePreview:
    """What would go; changes nothing.

    Raises:
        NexusError: NX4140 nothing forgotten has such a path, NX4141 too many, NX6403 no administrator; NX6400 control is away.
    """
    if not all(each.strip() for each in selectors):
        raise NexusError("A path can't be empty.", code="NX4140")
    async with ControlClient(settings or load_settings()) as control:
        question = PurgeSelection(selectors=list(selectors))
        return await control.call("POST", "/purges/preview", PurgePreview, body=question, timeout_s=COUNTING_S)


async def purge(
    selectors: Sequence[str], shown: PurgePreview, *, reason: str, settings: Settings | None = None
) -> Purge:
    """Have the worker remove what was shown, without what is protected. Raises as `preview`, and NX4142, NX4143."""
    paths = [each.path for each in shown.series if not each.protected]
    if not paths:
        raise NexusError("Every series that it takes is protected.", code="NX4146")
    async with ControlClient(settings or load_settings()) as control:
        question = PurgeQuestion(selectors=list(selectors), series=paths, reason=reason)
        return await control.call("POST", "/purges", Purge, body=question)


async def list_purges(*, limit: int, settings: Settings | None = None) -> Purges:
    """The newest first. Raises NexusError NX6400, NX6403."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.call("GET", "/purges", Purges, params={"limit": str(limit)})


async def find_purge(purge_id: str, *, settings: Settings | None = None) -> Purge:
    """One purge. Raises NexusError NX4145, there is none; NX6400, NX6403."""
    if not (purge_id.isascii() and purge_id.isalnum()):
        raise NexusError(f"There is no purge '{purge_id[:100]}'.", code="NX4145")
    async with ControlClient(settings or load_settings()) as control:
        return await control.call("GET", f"/purges/{purge_id}", Purge)
