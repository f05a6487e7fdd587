"""Control's HTTP API: FastAPI over `Service`, behind a `RequestGuard`. Every answer is JSON, never a traceback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from nexus_cli import __version__
from nexus_cli.database.alert_states import KEPT_CHANGES
from nexus_cli.diagnostics.errors import FindingsError, NexusError
from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.runtime.control.auth import Caller, May, Tokens
from nexus_cli.runtime.control.principals import Principals
from nexus_cli.runtime.control.routes.audit import add_audit_route
from nexus_cli.runtime.control.routes.bodies import Name, answer, documented, read_deployment, reader, schema_of
from nexus_cli.runtime.control.routes.request_guard import RequestGuard, failure
from nexus_cli.runtime.control.routes.sequences import add_sequence_routes
from nexus_cli.runtime.control.sequences.record import Runs
from nexus_cli.runtime.control.sequences.sequencing import Sequencing
from nexus_cli.runtime.control.service import LeaderParts, Service
from nexus_cli.wire.control import Accepted, Addresses, Alert, Alerts, DeploymentRequest, DevicePaths, Failure
from nexus_cli.wire.topic import is_slug


def make_api(
    *,
    service: Service,
    runs: Runs,
    principals: Principals,
    acting: Callable[[], Acting],
    alerts: Callable[[], Awaitable[list[Alert]]],
    tokens: Tokens,
    health: list[BaseRoute],
    stopping: Callable[[], bool] = lambda: False,
) -> ASGIApp:
    """The API behind its guard, with the health routes.

    Args:
        service: Operations that each control can do.
        runs: The same for sequences.
        principals: Rights of declared users.
        acting: Gives what only the leader has; raises NexusError NX6408 in a standby.
        alerts: The alerts with their state.
        tokens: The known tokens.
        health: Routes without a token.
        stopping: True when control is stopping.
    """
    app = FastAPI(
        title="NEXUS control",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses={"default": FAILURE},
        routes=list(health),
    )
    app.add_exception_handler(NexusError, _on_failure)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)
    routes = _Routes(app, service=service, acting=acting, alerts=alerts, tokens=tokens, principals=principals)
    add_audit_route(app, base=BASE, service=service, may=routes.may)
    add_sequence_routes(
        app, base=BASE, runs=runs, acting=lambda: acting().sequencing, principals=principals, may=routes.may
    )
    return RequestGuard(app, tokens=tokens, stopping=stopping)


class Acting(LeaderParts, Protocol):
    """The parts of a control that leads."""

    alerting: Alerting
    sequencing: Sequencing


class _Routes:
    """The routes of `/v1/sites/{enterprise}/{site}`."""

    def __init__(
        self,
        app: FastAPI,
        *,
        service: Service,
        acting: Callable[[], Acting],
        alerts: Callable[[], Awaitable[list[Alert]]],
        tokens: Tokens,
        principals: Principals,
    ) -> None:
        self._people = principals
        self._service, self._acting, self._alerts, self._tokens = service, acting, alerts, tokens
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
            )

    def _state_routes(self, app: FastAPI, may: May) -> None:
        service, base = self._service, BASE
        reads, deploys = may(lambda caller: caller.may_read), may(lambda caller: caller.may_deploy)
        addresses = Depends(reader(Addresses))

        @app.get(base + "/state", dependencies=[reads])
        async def state() -> Response:
            return answer(await service.state())

        @app.post(base + "/resources", dependencies=[reads], openapi_extra=documented(Addresses))
        async def resources(body: Addresses = addresses) -> Response:
            return answer(await service.resources(body.addresses))

        @app.get(base + "/lock", dependencies=[reads])
        async def lock() -> Response:
            return answer(await service.lock())

        @app.delete(base + "/lock")
        async def break_lock(caller: Caller = deploys) -> Response:
            return answer(await service.break_lock(self._acting(), who=caller.principal))

    def _deployment_routes(self, app: FastAPI, may: May) -> None:
        service, base = self._service, BASE
        reads, deploys = may(lambda caller: caller.may_read), may(lambda caller: caller.may_deploy)

        @app.post(base + "/deployments", status_code=202, openapi_extra=documented(DeploymentRequest))
        async def deploy(request: Request, caller: Caller = deploys) -> Response:
            office = self._acting()
            asked, summary = await read_deployment(await request.body())
            number = await service.deploy(office, asked, who=caller.principal, summary=summary)
            return answer(Accepted(number=number), status=202)

        @app.get(base + "/deployments", dependencies=[reads])
        async def deployments() -> Response:
            return answer(await service.deployments())

        @app.get(base + "/deployments/{number}", dependencies=[reads])
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
                raise NexusError(f"'{gateway[:100]}' is not the name of a gateway.", code="NX6406")
            return gateway

        owner, paths = Depends(own), Depends(reader(DevicePaths))

        @app.get(base + "/gateways/{gateway}/index")
        async def index(name: str = owner) -> Response:
            return answer(await service.gateway_index(name))

        @app.post(base + "/gateways/{gateway}/devices", openapi_extra=documented(DevicePaths))
        async def devices(name: str = owner, body: DevicePaths = paths) -> Response:
            return answer(await service.gateway_devices(name, body.paths))

    def _alert_routes(self, app: FastAPI, may: May) -> None:
        service, base, principals = self._service, BASE, self._people
        anybody = may(lambda caller: not caller.gateway)

        @app.get(base + "/alerts")
        async def alerts(caller: Caller = anybody) -> Response:
            found = await self._alerts()
            mine = await principals.named(caller, "alerts", [one.name for one in found])
            return answer(Alerts(alerts=[one for one in found if one.name in mine]))

        @app.get(base + "/alerts/{name}/changes")
        async def changes(
            name: Name, limit: Annotated[int, Query(ge=1, le=KEPT_CHANGES)] = 50, caller: Caller = anybody
        ) -> Response:
            await principals.require(caller, "alerts", name)
            return answer(await service.alert_changes(name, limit=limit))

        @app.post(base + "/alerts/{name}/acknowledge")
        async def acknowledge(name: str, caller: Caller = anybody) -> Response:
            await principals.require(caller, "acknowledge", name)
            return answer(await self._acting().alerting.acknowledge(name, who=caller.principal))


BASE = "/v1/sites/{enterprise}/{site}"


FAILURE: dict[str, object] = {
    "description": "Every answer that is not a success",
    "content": {"application/json": {"schema": schema_of(Failure)}},
}


def _forbidden(caller: Caller) -> NexusError:
    return NexusError(f"{caller.principal} may not do this.", code="NX6403", hint="use the token of nexus.cli")


_STATUS = {
    "NX5001": 409,
    "NX5002": 409,
    "NX5006": 404,
    "NX5010": 409,
    "NX6401": 401,
    "NX6402": 404,
    "NX6403": 403,
    "NX6405": 400,
    "NX6406": 404,
    "NX6407": 409,
    "NX6830": 404,
    "NX6831": 409,
    "NX6832": 422,
    "NX6840": 404,
    "NX6841": 400,
    "NX6837": 400,
    "NX6838": 409,
    "NX6839": 409,
}


async def _on_failure(_: Request, error: Exception) -> Response:
    assert isinstance(error, NexusError)  # registered only for this class
    status = _STATUS.get(error.code, 422 if error.code[:3] in ("NX4", "NX5") else 503)
    message, hint = error.message, error.hint
    if isinstance(error, FindingsError) and error.findings:
        first = error.findings[0]
        more = f" (and {len(error.findings) - 1} more)" if len(error.findings) > 1 else ""
        message, hint = f"{error.message} {first.message}{more}", first.hint or hint
    return failure(status, error.code, message, hint=hint, cause=error.cause)


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # registered only for this class
    found = error.errors()[0]
    where = ".".join(str(part)[:100] for part in found.get("loc", ()))
    return failure(422, "NX6405", f"Control could not read the request: {where}: {found.get('msg', '')}")


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered only for this class
    code = "NX6406" if error.status_code in (404, 405) else "NX6405"
    return failure(error.status_code, code, f"Control refused the request: {error.detail}")


async def _on_bug(_: Request, error: Exception) -> Response:
    return failure(
        500, "NX9000", f"This is a bug in nexus ({type(error).__name__}).", hint="control's log has the report"
    )
