"""The history of deployments, as control has it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, tzinfo

from nexus_cli.history.moment import parse_moment
from nexus_cli.model.calendar import microseconds
from nexus_cli.settings import Settings
from nexus_cli.wire.control import DeploymentProgress, Deployments
from nexus_cli.wire.http import ControlClient


def deployments(
    settings: Settings,
    *,
    limit: int = 20,
    who: str = "",
    outcome: str = "",
    since: str = "",
    zone: tzinfo | None = None,
) -> Deployments:
    """The newest first.

    Args:
        settings: Where control is.
        limit: At most so many.
        who: Only of this principal.
        outcome: Only with this one.
        since: Only begun then or later: how long ago, or ISO 8601; "" is all.
        zone: On whose clocks `since` is read; None is this machine's.

    Raises:
        NexusError: NX6211 not a time; NX6400 and others of control.
    """
    moment = parse_moment(since, now=datetime.now(UTC), zone=zone) if since else None
    since_us = 0 if moment is None else max(0, microseconds(moment))

    async def ask() -> Deployments:
        async with ControlClient(settings) as control:
            return Deployments(
                deployments=await control.deployments(limit=limit, who=who, outcome=outcome, since_us=since_us)
            )

    return asyncio.run(ask())


def deployment(settings: Settings, number: int) -> DeploymentProgress:
    """One deployment with its whole journal. Raises NexusError NX5006, and others of control."""

    async def ask() -> DeploymentProgress:
        async with ControlClient(settings) as control:
            found = await control.deployment(number)
            lines = list(found.journal)
            while found.journal:  # a page of the journal is limited
                found = await control.deployment(number, after=lines[-1].id)
                lines += found.journal
        return DeploymentProgress(
            **{**{name: getattr(found, name) for name in found.__struct_fields__}, "journal": lines}
        )

    return asyncio.run(ask())
