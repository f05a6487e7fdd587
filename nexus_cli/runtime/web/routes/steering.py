"""Routes that change something."""

from __future__ import annotations

import asyncio

from fastapi import Depends, FastAPI, Response

from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import Decision, route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.steering.commands import dry_run, send_command
from nexus_cli.wire import command
from nexus_cli.wire.web_steering import CommandRequest

STEERING: tuple[Decision, ...] = (route("POST", "/commands", "values:write"),)
"""Which right each of these routes needs."""


def add_steering_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""
    request = Depends(reader(CommandRequest))

    @app.post(base + "/commands", openapi_extra=documented(CommandRequest))
    async def send(body: CommandRequest = request, caller: Caller = CALLING) -> Response:
        if body.dry_run:
            return answer(await dry_run(parts, caller, path=body.path, value=body.value, expect=body.expect))
        try:
            found = await send_command(
                parts,
                caller,
                path=body.path,
                wish_id=body.id,
                value=body.value,
                expect=body.expect,
                reason=body.reason,
                timeout_s=body.timeout_s,
            )
        except asyncio.CancelledError:
            if not parts.stopping():
                raise
            # The server ends running requests at a stop; this one may have been sent.
            found = command.Response(
                id="", state=command.State.UNKNOWN, path=body.path, code="NX6819", detail="web stopped meanwhile"
            )
        return answer(found)
