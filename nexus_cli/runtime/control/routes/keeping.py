"""Routes of the series that are never dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fastapi import FastAPI, Response

from nexus_cli.database.kept_series import kept_series
from nexus_cli.runtime.api.bodies import Name, answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.keeping import Keeping
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.wire.control_kept import KeptList


class Keeps(Protocol):
    """What only the leader has."""

    keeping: Keeping


def add_keeping_routes(app: FastAPI, *, base: str, service: Service, acting: Callable[[], Keeps]) -> None:
    """Add them; `acting` raises NexusError NX6408 in a standby."""

    @app.get(base + "/kept")
    async def listing() -> Response:
        async with service.connection() as conn:
            return answer(KeptList(series=await kept_series(conn, site=service.site)))

    @app.delete(base + "/kept/{path:path}")
    async def end(path: Name, caller: Caller = CALLING) -> Response:
        return answer(await acting().keeping.end(path, caller=caller))
