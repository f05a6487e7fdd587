"""Routes of alerts: their states, what people do to them, the journal, why one is as it is, key figures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Protocol

from fastapi import Depends, FastAPI, Query, Response

from nexus_cli.access.lines import TagFacts
from nexus_cli.alarms.why import why
from nexus_cli.database.alert_states import KEPT_CHANGES
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.runtime.api.bodies import Name, answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.alerts import acts
from nexus_cli.runtime.control.alerts.alert_service import AlertService
from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.held import PLATFORM, Named
from nexus_cli.runtime.identity.principals import named, refuse, require
from nexus_cli.wire.control import Alert, Alerts
from nexus_cli.wire.control_alarms import MOST_LINES, AcknowledgeRequest, Journal, ShelveRequest, TakeOutRequest

LAST_LINES = 10
"""Lines of the journal in an answer to why."""
Time = Annotated[int, Query(ge=0, lt=2**53)]
Names = Annotated[list[Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]], Query(max_length=500)]


class Acting(Protocol):
    """What only the leader has."""

    alerting: Alerting


def add_alarm_routes(
    app: FastAPI,
    *,
    base: str,
    service: AlertService,
    acting: Callable[[], Acting],
    alerts: Callable[[], Awaitable[list[Alert]]],
) -> None:
    """Add them; `acting` raises NexusError NX6408 in a standby, `alerts` are those that are known here."""
    seen = Depends(reader(AcknowledgeRequest, without=AcknowledgeRequest()))
    shelf, out = Depends(reader(ShelveRequest)), Depends(reader(TakeOutRequest))

    async def visible(caller: Caller) -> list[Alert]:
        found = await alerts()
        mine = named(caller, "alerts", [one.name for one in found])
        tags = await service.alert_tags(mine)
        return [one for one in found if one.name in mine and _shows(caller, "alerts", one.name, tags)]

    async def require_alert(caller: Caller, right: Named, name: str) -> None:
        require(caller, right, name)
        tags = await service.alert_tags([name])
        if name not in tags and right == "acknowledge":
            raise await unknown(caller, name)
        if not _shows(caller, right, name, tags):
            refuse(caller, right, name)

    async def unknown(caller: Caller, name: str) -> NexusError:
        """That there is no such alert, with the one that the caller may see and may have meant."""
        hint = did_you_mean(name, [one.name for one in await visible(caller)])
        return NexusError(f"There is no alert '{name[:100]}'.", code="NX6406", hint=hint)

    async def names_of(caller: Caller, wanted: Sequence[str]) -> list[str] | None:
        """The alerts whose lines a caller may read; None is all, those that are no longer declared too."""
        if not wanted and (caller.held.admin or caller.held.kind == PLATFORM):
            return None
        mine = {one.name for one in await visible(caller)}
        return sorted(mine & set(wanted) if wanted else {*mine, ""})

    async def done(found: Alert) -> Response:
        await acting().alerting.kept()
        return answer(found)

    @app.get(base + "/alerts")
    async def listing(caller: Caller = CALLING) -> Response:
        return answer(Alerts(alerts=await visible(caller)))

    @app.get(base + "/alerts/journal")
    async def journal(
        since: Time = 0,
        name: Names = [],  # noqa: B006 - FastAPI copies it
        kind: Names = [],  # noqa: B006
        priority: Names = [],  # noqa: B006
        group: Names = [],  # noqa: B006
        limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 100,
        before: Annotated[Time | None, Query(description="`at` of the oldest line of the newer page.")] = None,
        before_name: Annotated[str, Query(max_length=500, pattern=r"^[^\x00]*$", description="And its name.")] = "",
        caller: Caller = CALLING,
    ) -> Response:
        found = await service.journal(
            since_us=since,
            names=await names_of(caller, name),
            kinds=kind,
            priorities=priority,
            groups=group,
            limit=limit + 1,
            before=None if before is None else (before, before_name),
        )
        return answer(Journal(lines=found[-limit:], truncated=len(found) > limit))

    @app.get(base + "/alerts/kpi")
    async def kpi(
        since: Time,
        until: Time,
        operators: Annotated[int, Query(ge=1, le=1000)] = 1,
        caller: Caller = CALLING,
    ) -> Response:
        if until <= since:
            raise NexusError("The span ends before it begins.", code="NX6211")
        names = await names_of(caller, ())
        return answer(await service.key_figures(since_us=since, until_us=until, operators=operators, names=names))

    @app.get(base + "/alerts/{name}/changes")
    async def changes(
        name: Name, limit: Annotated[int, Query(ge=1, le=KEPT_CHANGES)] = 50, caller: Caller = CALLING
    ) -> Response:
        await require_alert(caller, "alerts", name)
        return answer(await service.alert_changes(name, limit=limit))

    @app.get(base + "/alerts/{name}/why")
    async def reasons(name: Name, caller: Caller = CALLING) -> Response:
        await require_alert(caller, "alerts", name)
        alerting = acting().alerting
        if name not in alerting.panel.alerts:
            raise await unknown(caller, name)
        lines = await service.journal(since_us=0, names=[name], limit=LAST_LINES)
        told = await service.told(name, alerting.panel.alerts[name].occurrence_us)
        return answer(why(alerting.panel, name, alerting.now(), lines, told))

    @app.post(base + "/alerts/{name}/acknowledge", openapi_extra=documented(AcknowledgeRequest))
    async def acknowledge(name: Name, caller: Caller = CALLING, body: AcknowledgeRequest = seen) -> Response:
        await require_alert(caller, "acknowledge", name)
        return await done(await acting().alerting.acknowledge(name, who=caller.principal, reason=body.reason))

    @app.post(base + "/alerts/{name}/shelve", openapi_extra=documented(ShelveRequest))
    async def shelve(name: Name, caller: Caller = CALLING, body: ShelveRequest = shelf) -> Response:
        await require_alert(caller, "acknowledge", name)
        return await done(
            acts.shelve(acting().alerting, name, for_s=body.for_s, reason=body.reason, who=caller.principal)
        )

    @app.post(base + "/alerts/{name}/unshelve")
    async def unshelve(name: Name, caller: Caller = CALLING) -> Response:
        await require_alert(caller, "acknowledge", name)
        return await done(acts.unshelve(acting().alerting, name, who=caller.principal))

    @app.post(base + "/alerts/{name}/out-of-service", openapi_extra=documented(TakeOutRequest))
    async def take_out(name: Name, caller: Caller = CALLING, body: TakeOutRequest = out) -> Response:
        await require_alert(caller, "acknowledge", name)
        return await done(acts.take_out(acting().alerting, name, reason=body.reason, who=caller.principal))

    @app.post(base + "/alerts/{name}/in-service")
    async def take_in(name: Name, caller: Caller = CALLING) -> Response:
        await require_alert(caller, "acknowledge", name)
        return await done(acts.take_in(acting().alerting, name, who=caller.principal))


def _shows(caller: Caller, right: Named, name: str, tags: Mapping[str, Sequence[TagFacts | None]]) -> bool:
    """An alert shows each of its tags: every one must be shown."""
    found = tags.get(name)
    return (
        caller.held.shows(right, name, None) if not found else all(caller.held.shows(right, name, tag) for tag in found)
    )
