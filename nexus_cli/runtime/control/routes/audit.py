"""The route of the API that reads the audit trail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import orjson
from fastapi import FastAPI, Query, Response

from nexus_cli.database.audit import MOST
from nexus_cli.runtime.control.auth import Caller
from nexus_cli.runtime.control.service import Service

Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


def add_audit_route(
    app: FastAPI, *, base: str, service: Service, may: Callable[[Callable[[Caller], bool]], Any]
) -> None:
    """Add the route; readers of the state may read the audit trail."""

    @app.get(base + "/audit", dependencies=[may(lambda caller: caller.may_read)])
    async def audit(
        path: Text = "",
        who: Text = "",
        kind: Literal["", "command", "sequence", "deployment", "alert", "message"] = "",
        since: Annotated[int, Query(ge=0, lt=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> Response:
        found = await service.audit(since_us=since, path=path, who=who, kind=kind, limit=limit)
        return Response(orjson.dumps(found), media_type="application/json")
