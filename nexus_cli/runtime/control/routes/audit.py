"""The route of the API that reads the audit trail."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, Query, Response

from nexus_cli.database.audit import MOST
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.control.service import Service

Kind = Literal[
    "",
    "command",
    "sequence",
    "deployment",
    "alert",
    "message",
    "device",
    "retained",
    "job",
    "dead-letter",
    "access",
]
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


def add_audit_route(app: FastAPI, *, base: str, service: Service) -> None:
    """Add it."""

    @app.get(base + "/audit")
    async def audit(
        path: Text = "",
        who: Text = "",
        kind: Kind = "",
        since: Annotated[int, Query(ge=0, lt=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> Response:
        return answer(await service.audit(since_us=since, path=path, who=who, kind=kind, limit=limit))
