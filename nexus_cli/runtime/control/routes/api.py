"""Control's HTTP API: FastAPI over `Service`, behind a `RequestGuard`. Every answer is JSON, never a traceback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Protocol

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from nexus_cli import __version__
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import BASE
from nexus_cli.runtime.api.failures import FAILURE, add_handlers
from nexus_cli.runtime.api.request_guard import RequestGuard
from nexus_cli.runtime.control.alerts.alert_service import AlertService
from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.runtime.control.audit_chain import AuditChain
from nexus_cli.runtime.control.covering import covered_by
from nexus_cli.runtime.control.plan_facts import PlanFacts
from nexus_cli.runtime.control.recorded_plans import RecordedPlans
from nexus_cli.runtime.control.rolling_out import RollingOut
from nexus_cli.runtime.control.rollouts import Rollouts
from nexus_cli.runtime.control.routes.access import add_access_routes
from nexus_cli.runtime.control.routes.alarms import add_alarm_routes
from nexus_cli.runtime.control.routes.audit import add_audit_routes
from nexus_cli.runtime.control.routes.behind_web import BehindWeb
from nexus_cli.runtime.control.routes.deployment_body import read_deployment
from nexus_cli.runtime.control.routes.deployment_plan import add_plan_route
from nexus_cli.runtime.control.routes.discoveries import add_discovery_routes
from nexus_cli.runtime.control.routes.drift import Drifting, add_drift_routes
from nexus_cli.runtime.control.routes.jobs import add_job_routes
from nexus_cli.runtime.control.routes.keeping import Keeps, add_keeping_routes
from nexus_cli.runtime.control.routes.login import add_login_routes
from nexus_cli.runtime.control.routes.plan_facts import Leading, add_facts_route
from nexus_cli.runtime.control.routes.purges import add_purge_routes
from nexus_cli.runtime.control.routes.rights import DECISIONS
from nexus_cli.runtime.control.routes.rollouts import add_rollout_routes
from nexus_cli.runtime.control.routes.sequences import add_sequence_routes
from nexus_cli.runtime.control.routes.steering import Steering, add_steering_routes
from nexus_cli.runtime.control.routes.undeclared import add_undeclared_routes
from nexus_cli.runtime.control.routes.undoing import add_undo_routes
from nexus_cli.runtime.control.sequences.record import Runs
from nexus_cli.runtime.control.sequences.sequencing import Sequencing
from nexus_cli.runtime.control.service import LeaderParts, Service
from nexus_cli.runtime.control.undoing import Undoing
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.identities import Identities
from nexus_cli.runtime.latency import Latency
from nexus_cli.wire.control import Addresses, Alert, DeploymentRequest, DevicePaths
from nexus_cli.wire.topic import is_slug


def make_api(
    *,
    service: Service,
    runs: Runs,
    plans: RecordedPlans,
    facts: PlanFacts,
    undoing: Undoing,
    chain: AuditChain,
    acting: Callable[[], Acting],
    alerts: Callable[[], Awaitable[list[Alert]]],
    identity: Identities,
    health: list[BaseRoute],
    latency: Latency,
    stopping: Callable[[], bool] = lambda: False,
) -> ASGIApp:
    """The API behind its guard, with the health routes.

    Args:
        service: Operations that each control can do.
        runs: The same for sequences.
        plans: Plans of deployments on record.
        facts: What the runtime measured, for plans.
        undoing: Confirms, rolls back and resumes.
        chain: Checks the audit trail.
        acting: Gives what only the leader has; raises NexusError NX6408 in a standby.
        alerts: The alerts with their state.
        identity: Who calls, and what was refused.
        health: Routes without a token.
        latency: Of requests.
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
    add_handlers(app, identity.refusals)
    _Routes(app, service=service, acting=acting)
    add_alarm_routes(app, base=BASE, service=AlertService(service), acting=acting, alerts=alerts)
    add_plan_route(app, base=BASE, plans=plans)
    add_facts_route(app, base=BASE, facts=facts, acting=acting)
    add_undo_routes(app, base=BASE, undoing=undoing, acting=acting)
    add_audit_routes(app, base=BASE, service=service, chain=chain)
    add_sequence_routes(app, base=BASE, runs=runs, acting=lambda: acting().sequencing)
    add_steering_routes(app, base=BASE, service=service, acting=acting)
    add_keeping_routes(app, base=BASE, service=service, acting=acting)
    add_drift_routes(app, base=BASE, service=service, acting=acting)
    add_job_routes(app, base=BASE, service=service, leader=lambda: acting().pool)
    add_discovery_routes(app, base=BASE, service=service, leader=lambda: acting().pool)
    add_purge_routes(app, base=BASE, service=service, leader=lambda: acting().pool)
    add_undeclared_routes(app, base=BASE, service=service, leader=lambda: acting().pool)
    add_login_routes(app, base=BASE, identity=identity, leader=lambda: acting().pool)
    add_access_routes(app, base=BASE, accounts=identity.accounts, leader=lambda: acting().pool)
    guard = RequestGuard(
        app,
        site=service.site,
        decisions=DECISIONS,
        gate=identity.gate,
        refusals=identity.refusals,
        stopping=stopping,
        latency=latency,
    )
    return BehindWeb(guard, tokens=identity.tokens)


class Acting(LeaderParts, Steering, Keeps, Drifting, Leading, Protocol):
    """The parts of a control that leads."""

    alerting: Alerting
    sequencing: Sequencing
    rollouts: Rollouts


class _Routes:
    """The routes of `/v1/sites/{enterprise}/{site}`."""

    def __init__(
        self,
        app: FastAPI,
        *,
        service: Service,
        acting: Callable[[], Acting],
    ) -> None:
        self._service, self._acting = service, acting
        self._rolling = RollingOut(service)
        add_rollout_routes(app, base=BASE, rolling=self._rolling, acting=acting)
        self._state_routes(app)
        self._deployment_routes(app)
        self._gateway_routes(app)

    def _state_routes(self, app: FastAPI) -> None:
        service, base = self._service, BASE
        addresses = Depends(reader(Addresses))

        @app.get(base + "/state")
        async def state() -> Response:
            return answer(await service.state())

        @app.post(base + "/resources", openapi_extra=documented(Addresses))
        async def resources(body: Addresses = addresses) -> Response:
            return answer(await service.resources(body.addresses))

        @app.get(base + "/lock")
        async def lock() -> Response:
            return answer(await service.lock())

        @app.delete(base + "/lock")
        async def break_lock(
            reason: Annotated[str, Query(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")],
            acquired: Annotated[int, Query(ge=0, lt=2**63)] = 0,
            caller: Caller = CALLING,
        ) -> Response:
            office = self._acting()
            return answer(await service.break_lock(office, who=caller.principal, reason=reason, acquired=acquired))

    def _deployment_routes(self, app: FastAPI) -> None:
        service, base = self._service, BASE

        @app.post(base + "/deployments", status_code=202, openapi_extra=documented(DeploymentRequest))
        async def deploy(request: Request, caller: Caller = CALLING) -> Response:
            office = self._acting()
            asked, summary = await read_deployment(await request.body())

            def within(before: Mapping[str, Attributes]) -> None:
                covered_by(caller)(asked.changed, before)

            made = await self._rolling.accept(office, asked, who=caller.principal, summary=summary, within=within)
            return answer(made, status=202)

        @app.get(base + "/deployments")
        async def deployments(
            who: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
            outcome: Annotated[str, Query(max_length=20, pattern=r"^[a-z]*$")] = "",
            since: Annotated[int, Query(ge=0, lt=2**53)] = 0,
            before: Annotated[int, Query(ge=0, lt=2**31)] = 0,
            limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        ) -> Response:
            return answer(
                await service.deployments(who=who, outcome=outcome, since_us=since, before=before, limit=limit)
            )

        @app.get(base + "/deployments/{number}")
        async def deployment(
            number: Annotated[int, Path(ge=0, lt=2**31)],
            after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
            wait: Annotated[float, Query(ge=0, le=25, allow_inf_nan=False)] = 0,
        ) -> Response:
            return answer(await service.deployment(number, after=after, wait_s=wait))

    def _gateway_routes(self, app: FastAPI) -> None:
        service, base = self._service, BASE

        def own(gateway: str, caller: Caller = CALLING) -> str:
            if not caller.may_read_gateway(gateway):
                raise NexusError(f"{caller.principal} may not do this.", code="NX6403")
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
