"""`nexus jobs`: what waits, runs and failed, over control's API."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.jobs import JobChoice, Jobs, JobsChanged, JobStats


async def jobs(*, state: str = "", kind: str = "", limit: int = 50, settings: Settings | None = None) -> Jobs:
    """The newest first.

    Args:
        state: `queued`, `running` or `failed`; "" is all.
        kind: Only of this kind.
        limit: At most so many.
        settings: Instead of those of this folder.

    Raises:
        NexusError: NX6400, NX6401, NX6403 control is away or refuses.
    """
    async with ControlClient(settings or load_settings()) as control:
        params = {"state": state, "kind": kind, "limit": str(limit)}
        return await control.call("GET", "/jobs", Jobs, params=params)


async def job_stats(*, settings: Settings | None = None) -> JobStats:
    """Statistics by kind. Raises as `jobs`."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.call("GET", "/jobs/stats", JobStats)


async def change_jobs(
    verb: str, ids: Sequence[int], *, kind: str = "", all_: bool = False, settings: Settings | None = None
) -> list[int]:
    """Retry or discard jobs; the numbers of those that were. Raises as `jobs`, and NX6440 when none is named.

    Args:
        verb: `retry` or `discard`.
        ids: Numbers.
        kind: Only of this kind.
        all_: All that failed.
        settings: Instead of those of this folder.
    """
    async with ControlClient(settings or load_settings()) as control:
        asked = JobChoice(ids=list(ids), kind=kind, all=all_)
        return (await control.call("POST", f"/jobs/{verb}", JobsChanged, body=asked)).ids
