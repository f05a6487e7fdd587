"""Control's HTTP API: FastAPI over `Service`. Every body is validated and bounded, every answer is JSON, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus_cli import __version__
from nexus_cli.apply.request import Request as Asked
from nexus_cli.diagnostics.errors import FindingsError, NexusError
from nexus_cli.runtime.control.alerting import Alerting
from nexus_cli.runtime.control.audit_api import add_audit_route
from nexus_cli.runtime.control.auth import Caller, Tokens
from nexus_cli.runtime.control.sequence_api import add_sequence_routes
from nexus_cli.runtime.control.sequencing import Sequencing
from nexus_cli.runtime.control.service import Service
from nexus_cli.wire.topic import is_slug

MAX_BODY = 64 * 2**20
"""Bytes of a deployment: a first one of 41,000 tags is about 15 MB."""
MAX_SMALL_BODY = 2**20
"""Bytes of every other body: the addresses of 10,000 resources."""

Name = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""A NUL can't be stored as text."""


class Body(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Addresses(Body):
    """Which resources."""

    addresses: list[Name] = Field(max_length=20_000)


class Paths(Body):
    """Which devices."""

    paths: list[Name] = Field(max_length=20_000)


class PlanSummary(BaseModel):
    """What of the plan control needs; the rest it computes itself."""

    model_config = ConfigDict(extra="ignore")

    moved: list[tuple[Name, Name]] = Field(default_factory=list, max_length=10_000)
    summary: dict[Name, Annotated[int, Field(ge=0, lt=2**53)]] = Field(default_factory=dict, max_length=100)


class DeploymentBody(Body):
    """A deployment."""

    base_digest: Name
    desired_digest: Name
    changed: dict[Name, dict[str, Any] | None] = Field(min_length=1, max_length=100_000)
    plan: PlanSummary = Field(default_factory=PlanSummary)
    reason: str = Field(default="", max_length=1000, pattern=r"^[^\x00]*$")
    allow: list[Name] = Field(default_factory=list, max_length=1000)


class Failure(BaseModel):
    """Every answer that is not a success."""

    code: str
    message: str
    hint: str = ""
    cause: str = ""


def make_api(
    *, service: Service, alerting: Alerting, sequencing: Sequencing, tokens: Tokens, health: list[BaseRoute]
) -> ASGIApp:
    """The whole API, with the health routes beside it."""
    app = FastAPI(
        title="NEXUS control",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses={"default": {"model": Failure}},
        routes=list(health),
    )
    app.add_exception_handler(NexusError, _on_failure)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)
    routes = _Routes(app, service=service, alerting=alerting, tokens=tokens)
    add_audit_route(app, base=BASE, service=service, may=routes.may)
    add_sequence_routes(app, base=BASE, sequencing=sequencing, may=routes.may)
    return Bounded(app)


class _Routes:
    """The routes of `/v1/sites/{enterprise}/{site}`."""

    def __init__(self, app: FastAPI, *, service: Service, alerting: Alerting, tokens: Tokens) -> None:
        self._service, self._alerting, self._tokens = service, alerting, tokens
        may = self.may
        self._state_routes(app, may)
        self._deployment_routes(app, may)
        self._gateway_routes(app)
        self._alert_routes(app, may)

    def may(self, allowed: Callable[[Caller], bool]) -> Any:
        def check(request: Request, enterprise: str, site: str) -> Caller:
            caller = self._tokens.caller(request.headers.get("authorization"))
            self._same_site(f"{enterprise}/{site}")
            if not allowed(caller):
                raise _forbidden(caller)
            return caller

        return Depends(check)

    def _same_site(self, asked: str) -> None:
        if asked != self._service.site:
            raise NexusError(
                f"This control serves {self._service.site}, not {asked}.",
                code="NX6402",
                hint="NEXUS_CONTROL_URL names the runtime of another site; `nexus up SITE` starts one",
            )

    def _state_routes(self, app: FastAPI, may: Callable[[Callable[[Caller], bool]], Any]) -> None:
        service, base = self._service, BASE
        reader, deployer = may(lambda caller: caller.may_read), may(lambda caller: caller.may_deploy)

        @app.get(base + "/state", dependencies=[reader])
        async def state() -> Response:
            return answer(await service.state())

        @app.post(base + "/resources", dependencies=[reader])
        async def resources(body: Addresses) -> Response:
            return answer(await service.resources(body.addresses))

        @app.get(base + "/lock", dependencies=[reader])
        async def lock() -> Response:
            return answer(await service.lock())

        @app.delete(base + "/lock")
        async def break_lock(caller: Caller = deployer) -> Response:
            return answer(await service.break_lock(who=caller.principal))

    def _deployment_routes(self, app: FastAPI, may: Callable[[Callable[[Caller], bool]], Any]) -> None:
        service, base = self._service, BASE
        reader, deployer = may(lambda caller: caller.may_read), may(lambda caller: caller.may_deploy)

        @app.post(base + "/deployments", status_code=202)
        async def deploy(body: DeploymentBody, caller: Caller = deployer) -> Response:
            asked = Asked(
                base_digest=body.base_digest,
                desired_digest=body.desired_digest,
                changed=body.changed,
                moved=body.plan.moved,
                allow=body.allow,
                reason=body.reason,
            )
            number = await service.deploy(asked, who=caller.principal, summary=body.plan.summary)
            return answer({"number": number}, status=202)

        @app.get(base + "/deployments", dependencies=[reader])
        async def deployments() -> Response:
            return answer(await service.deployments())

        @app.get(base + "/deployments/{number}", dependencies=[reader])
        async def deployment(
            number: Annotated[int, Path(ge=0, lt=2**31)],
            after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
            wait: Annotated[float, Query(ge=0, le=25, allow_inf_nan=False)] = 0,
        ) -> Response:
            return answer(await service.deployment(number, after=after, wait_s=wait))

    def _gateway_routes(self, app: FastAPI) -> None:
        service, base = self._service, BASE

        def own(request: Request, enterprise: str, site: str, gateway: str) -> str:
            caller = self._tokens.caller(request.headers.get("authorization"))
            self._same_site(f"{enterprise}/{site}")
            if not caller.may_read_gateway(gateway):
                raise _forbidden(caller)
            if not is_slug(gateway):
                raise NexusError(f"'{gateway[:100]}' is not the name of a gateway.", code="NX6406", exit_code=1)
            return gateway

        owner = Depends(own)

        @app.get(base + "/gateways/{gateway}/index")
        async def index(name: str = owner) -> Response:
            return answer(await service.gateway_index(name))

        @app.post(base + "/gateways/{gateway}/devices")
        async def devices(body: Paths, name: str = owner) -> Response:
            return answer(await service.gateway_devices(name, body.paths))

    def _alert_routes(self, app: FastAPI, may: Callable[[Callable[[Caller], bool]], Any]) -> None:
        alerting, base, deployer = self._alerting, BASE, may(lambda caller: caller.may_deploy)

        @app.get(base + "/alerts", dependencies=[may(lambda caller: caller.may_read)])
        async def alerts() -> Response:
            return answer({"alerts": alerting.listing()})

        @app.post(base + "/alerts/{name}/acknowledge")
        async def acknowledge(name: str, caller: Caller = deployer) -> Response:
            return answer(await alerting.acknowledge(name, who=caller.principal))


BASE = "/v1/sites/{enterprise}/{site}"


def answer(data: object, *, status: int = 200) -> Response:
    """JSON."""
    return Response(orjson.dumps(data), status_code=status, media_type="application/json")


def _failure(status: int, code: str, message: str, *, hint: str = "", cause: str = "") -> Response:
    return answer({"code": code, "message": message, "hint": hint, "cause": cause}, status=status)


def _forbidden(caller: Caller) -> NexusError:
    return NexusError(f"{caller.principal} may not do this.", code="NX6403", hint="use the token of nexus.cli")


_STATUS = {
    "NX5001": 409,
    "NX5002": 409,
    "NX5006": 404,
    "NX6401": 401,
    "NX6402": 404,
    "NX6403": 403,
    "NX6405": 400,
    "NX6406": 404,
    "NX6407": 409,
    "NX6830": 404,
    "NX6831": 409,
    "NX6837": 400,
}


async def _on_failure(_: Request, error: Exception) -> Response:
    assert isinstance(error, NexusError)  # registered for it alone
    status = _STATUS.get(error.code, 422 if error.code[:3] in ("NX4", "NX5") else 503)
    message, hint = error.message, error.hint
    if isinstance(error, FindingsError) and error.findings:
        first = error.findings[0]
        more = f" (and {len(error.findings) - 1} more)" if len(error.findings) > 1 else ""
        message, hint = f"{error.message} {first.message}{more}", first.hint or hint
    return _failure(status, error.code, message, hint=hint, cause=error.cause)


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # registered for it alone
    found = error.errors()[0]
    where = ".".join(str(part)[:100] for part in found.get("loc", ()))
    return _failure(422, "NX6405", f"Control could not read the request: {where}: {found.get('msg', '')}")


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for it alone
    code = "NX6406" if error.status_code in (404, 405) else "NX6405"
    return _failure(error.status_code, code, f"Control refused the request: {error.detail}")


async def _on_bug(_: Request, error: Exception) -> Response:
    return _failure(
        500, "NX9000", f"This is a bug in nexus ({type(error).__name__}).", hint="control's log has the report"
    )


class Bounded:
    """Refuses bodies over the limit before they are read whole, whatever Content-Length says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_BODY if str(scope.get("path", "")).endswith("/deployments") else MAX_SMALL_BODY
        parts: list[Message] = []
        size = 0
        more = True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                refusal = _failure(413, "NX6405", f"The request is larger than {limit // 2**20} MiB.")
                await refusal(scope, receive, send)
                return
            parts.append(message)
            more = message["type"] == "http.request" and bool(message.get("more_body"))
        replay = iter(parts)

        async def again() -> Message:
            part = next(replay, None)
            return part if part is not None else await receive()

        await self._app(scope, again, send)
