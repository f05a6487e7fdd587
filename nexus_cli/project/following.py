"""Follow a deployment that control runs to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nexus_cli.diagnostics import NexusError
from nexus_cli.wire.control import DeploymentProgress, JournalLine
from nexus_cli.wire.http import ControlClient

FOLLOW_WAIT_S = 20.0
LOST_S = 60.0
"""How long a deployment is followed while control does not answer (it may be restarting)."""
OnEvent = Callable[[JournalLine], None]
"""Called with every line of the journal."""


async def follow(control: ControlClient, number: int, *, after: int = 0, on_event: OnEvent) -> DeploymentProgress:
    """Follow a deployment to its end, from the line of its journal behind `after` on.

    Raises:
        NexusError: Control refuses, or did not answer for `LOST_S`.
    """
    loop = asyncio.get_running_loop()
    answered_s, away = loop.time(), False
    while True:
        try:
            found = await control.deployment(number, after=after, wait_s=FOLLOW_WAIT_S)
        except NexusError as error:
            if not error.retriable:
                raise
            if loop.time() - answered_s > LOST_S:
                hint = f"deployment {number} may continue all the same: `nexus show` says what is recorded, `nexus status` why"
                raise NexusError(error.message, code=error.code, cause=error.cause, hint=hint, retriable=True) from None
            if not away:
                on_event(JournalLine(id=0, step="away", state="begun", subject=f"{LOST_S:.0f}"))
            away = True
            await asyncio.sleep(0.5)
            continue
        answered_s, away = loop.time(), False
        for line in found.journal:
            after = max(after, line.id)
            on_event(line)
        if found.state == "ended" and not found.journal:
            return found
