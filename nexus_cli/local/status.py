"""How everything is: what the supervisor sees, and what each role says of itself."""

from __future__ import annotations

import asyncio
from typing import Any

from nexus_cli.access.grants import CONTROL, HISTORIAN, gateway_principal
from nexus_cli.access.handover import grants_digest, in_force, read_grants
from nexus_cli.diagnostics.groups import Group
from nexus_cli.local import broker_amqtt, broker_mosquitto
from nexus_cli.local.layout import AMQTT, EXTERNAL, Home, Runtime
from nexus_cli.local.probe import broker_answers, database_answers, role_ready, role_status
from nexus_cli.local.start import read_state, supervisor_runs
from nexus_cli.settings import Settings

UP = "up"
DOWN = "down"
DEGRADED = "degraded"


async def collect(home: Home, settings: Settings) -> dict[str, Any]:
    """The status as JSON values; `state` is `up`, `degraded` (something is not well) or `down`."""
    runtime = home.read_runtime()
    seen = await asyncio.to_thread(read_state, home)
    principals = {"control": CONTROL, "historian": HISTORIAN}
    principals |= {f"gateway-{name}": gateway_principal(name) for name in runtime.gateways}
    async with Group() as group:
        broker = group.create_task(_broker(runtime, settings, seen), name="ask broker")
        database = group.create_task(_database(runtime, settings, seen), name="ask database")
        roles = [
            group.create_task(_role(name, runtime.http_ports.get(principal, 0), seen.get(name, {})), name=f"ask {name}")
            for name, principal in principals.items()
        ]
    answers = [role.result() for role in roles]
    parts = [broker.result(), database.result(), *answers]
    running = supervisor_runs(home)
    links = _links(answers)
    well = all(part["state"] == UP for part in parts) and not dark(links)
    return {
        "format_version": "1.0",
        "state": DOWN if not running else UP if well else DEGRADED,
        "site": runtime.site,
        "home": str(home.path),
        "control_url": runtime.control_url,
        "broker": broker.result(),
        "database": database.result(),
        "roles": answers,
        "links": links,
        "access": _access(home, runtime),
    }


async def _broker(runtime: Runtime, settings: Settings, seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    limits = {AMQTT: broker_amqtt.LIMITS, EXTERNAL: "its rights are not ours to manage"}
    problem = await broker_answers(settings) if settings.broker_url else "no address"
    return {
        "kind": runtime.broker_kind or "none",
        "url": settings.broker_url,
        "state": DOWN if problem else UP,
        "detail": problem,
        "limits": limits.get(runtime.broker_kind, broker_mosquitto.LIMITS),
        **_process(seen.get("broker", {})),
    }


async def _database(runtime: Runtime, settings: Settings, seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    problem = await database_answers(settings) if settings.database_url else "no address"
    return {
        "kind": runtime.database_kind or "none",
        "url": settings.database_url,
        "state": DOWN if problem else UP,
        "detail": problem,
        **_process(seen.get("database", {})),
    }


async def _role(name: str, port: int, seen: dict[str, Any]) -> dict[str, Any]:
    said = await role_status(port) if port else None
    ready, why = await role_ready(port) if said is not None else (False, "")
    if seen.get("state") not in (None, "running"):
        why = f"{seen['state']}: {seen.get('detail', '')}".rstrip(": ")
    state = UP if said is not None and ready else DEGRADED if said is not None else DOWN
    return {
        "name": name,
        "state": state,
        "detail": _doubt(said or {}) if state == UP else why or "does not answer",
        "port": port,
        **_process(seen),
        "status": said or {},
    }


def _doubt(said: dict[str, Any]) -> str:
    """A gateway with a doubtful clock is up and does its work; its samples are UNCERTAIN."""
    clock = said.get("clock")
    doubt = clock.get("doubt") if isinstance(clock, dict) else ""
    return f"samples are UNCERTAIN: {doubt}" if doubt else ""


def _process(seen: dict[str, Any]) -> dict[str, Any]:
    return {"pid": seen.get("pid", 0), "restarts": seen.get("restarts", 0), "since": seen.get("since", 0.0)}


def _links(roles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every link of every gateway, as its gateway tells."""
    found = []
    for role in roles:
        links = role["status"].get("links")
        # Control tells of links too, by gateway: what it heard. The gateways know.
        if role["name"].startswith("gateway-") and isinstance(links, dict):
            for link, facts in sorted(links.items()):
                found.append({"gateway": role["name"].partition("-")[2], "link": link, **(facts or {})})
    return found


def dark(links: list[dict[str, Any]]) -> bool:
    """True when there are links to devices and not one is connected: nothing comes in, however well the parts are."""
    states = [link["state"] for link in links if link.get("state")]
    return bool(states) and not any(state in ("connected", "idle") for state in states)


def _access(home: Home, runtime: Runtime) -> dict[str, Any]:
    if runtime.broker_kind in ("", EXTERNAL):
        return {"managed": False, "rules": 0, "in_force": False}
    grants = read_grants(home.path) or ()
    return {"managed": True, "rules": len(grants), "in_force": in_force(home.path) == grants_digest(grants)}
