"""The routes of the API that read the audit trail, and check its digest chain."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Query, Response

from nexus_cli.database.audit import MOST
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.control.audit_chain import AuditChain
from nexus_cli.runtime.control.service import Service
from nexus_cli.wire.control_audit import AuditKind
from nexus_cli.wire.control_chain import ChainQuestion

Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


def add_audit_routes(app: FastAPI, *, base: str, service: Service, chain: AuditChain) -> None:
    """Add them."""
    question = Depends(reader(ChainQuestion))

    @app.get(base + "/audit")
    async def audit(
        path: Text = "",
        who: Text = "",
        kind: AuditKind = "",
        what: Text = "",
        since: Annotated[int, Query(ge=0, lt=2**53)] = 0,
        until: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
        before: Annotated[str, Query(pattern=r"^([0-9]{1,16}-[0-9]{1,18})?$")] = "",
    ) -> Response:
        at, _, number = before.partition("-")
        older = (int(at), int(number)) if before else None
        wanted = {"path": path, "who": who, "kind": kind, "what": what}
        return answer(await service.audit(since_us=since, until_us=until, limit=limit, before=older, **wanted))

    @app.get(base + "/audit/head")
    async def head() -> Response:
        return answer(await chain.head())

    @app.post(base + "/audit/verify", openapi_extra=documented(ChainQuestion))
    async def verify(body: ChainQuestion = question) -> Response:
        return answer(await chain.check(body))
