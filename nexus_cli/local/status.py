"""The state of a runtime: from its processes, the supervisor, and each role's own status."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from nexus_cli.access.grants import CONTROL, HISTORIAN, gateway_principal
from nexus_cli.access.grants_file import grants_digest, in_force, read_grants
from nexus_cli.diagnostics.groups import Group
from nexus_cli.local import broker_amqtt, broker_mosquitto
from nexus_cli.local.instances import Part, original_of, parts_of
from nexus_cli.local.layout import AMQTT, EXTERNAL, SUPERVISOR, Home, Runtime
from nexus_cli.local.lock import holder_of, lock_folder
from nexus_cli.local.probe import PATIENT_S, Problem, broker_problem, database_problem, role_ready, role_status, slow
from nexus_cli.local.running import read_state
from nexus_cli.local.stop import left_behind, supervisors_of
from nexus_cli.model.secrets import without_passwords
from nexus_cli.settings import Settings

UP = "up"
DOWN = "down"
DEGRADED = "degraded"
OFTEN = 3
"""Failed starts in a row after which a restarting part counts as down."""


async def collect(home: Home, settings: Settings) -> dict[str, Any]:
    """The status as JSON values; `state` is `up`, `degraded` (a part has a problem) or `down` (nothing runs)."""
    runtime = home.read_runtime()
    processes = await asyncio.to_thread(_processes, home)
    original = None if processes else await asyncio.to_thread(original_of, home)
    if original is not None:
        return _copy(home, runtime, str(original))
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
    server = {"broker": broker.result(), "database": database.result()}
    parts = [*server.values(), *answers]
    pids = {one["name"]: one["pid"] for one in processes}
    for name, part in (*server.items(), *((role["name"], role) for role in answers)):
        part["pid"] = part["pid"] or pids.get(name, 0)
        part["log"] = home.log_of(name)
    for name, part in server.items():
        _state_of(part, _role_report(answers, name, "connected"))
    links, devices = _links(answers), _silent(answers)
    supervisor = await asyncio.to_thread(_supervisor, home, processes)
    well = (
        supervisor["state"] == UP
        and all(part["state"] == UP for part in parts)
        and all(link.get("state") in (None, "", "connected", "idle") for link in links)
        and not devices
    )
    alive = bool(processes) or any(role["state"] != DOWN for role in answers)
    return {
        "format_version": "1.0",
        "state": UP if well else DEGRADED if alive else DOWN,
        "site": runtime.site,
        "supervisor": supervisor,
        "processes": processes,
        "home": str(home.path),
        "control_url": runtime.control_url,
        **server,
        "roles": answers,
        "links": links,
        "devices": devices,
        "devices_left_out": sum(int(role["status"].get("silent_left_out") or 0) for role in _gateways(answers)),
        "device_reasons": _reasons(answers),
        "tags": _tags(answers),
        "access": _access(home, runtime),
    }


def _copy(home: Home, runtime: Runtime, original: str) -> dict[str, Any]:
    """The status of a copied folder, whose addresses are those of the original's runtime."""
    detail = f"nothing runs for this folder; it is a copy of {original}, whose runtime runs"
    server = {"kind": "none", "url": "", "state": DOWN, "detail": "", "limits": "", "pid": 0}
    return {
        "format_version": "1.0",
        "state": DOWN,
        "site": runtime.site,
        "supervisor": {"state": DOWN, "pids": [], "detail": detail},
        "processes": [],
        "home": str(home.path),
        "original": original,
        "control_url": "",
        "broker": server,
        "database": dict(server),
        "roles": [],
        "links": [],
        "devices": [],
        "devices_left_out": 0,
        "device_reasons": {},
        "tags": {},
        "access": {"managed": False, "in_force": False, "rules": 0},
    }


def _processes(home: Home) -> list[dict[str, Any]]:
    """The running processes of this folder, by name: from their environment, the lock and the pid files."""
    found = [(SUPERVISOR, process.pid) for process in supervisors_of(home)]
    return [{"name": name, "pid": pid} for name, pid in [*found, *((n, p.pid) for n, p in left_behind(home))]]


def _supervisor(home: Home, processes: list[dict[str, Any]]) -> dict[str, Any]:
    """Whether a supervisor runs, and what is unusual about it."""
    pids = [one["pid"] for one in processes if one["name"] == SUPERVISOR]
    detail = ""
    if not pids:
        detail = "no supervisor runs: what ends is not started again; `nexus up` starts it" if processes else ""
    elif len(pids) > 1:
        detail = f"{len(pids)} supervisors run (processes {', '.join(map(str, pids))}): `nexus down` ends them all"
    elif not home.there():
        detail = f"the folder {home.path} was removed while its runtime ran: `nexus down` ends it"
    elif (moved := _moved_from(home)) is not None:
        detail = f"the folder was moved from {moved} while its runtime ran: `nexus down`, then `nexus up`"
    return {"state": UP if pids and not detail else DEGRADED if processes else DOWN, "pids": pids, "detail": detail}


def _moved_from(home: Home) -> str | None:
    holder = holder_of(home, lock_folder())
    if holder is not None and holder.home != str(home.path):
        return holder.home
    elsewhere: list[Part] = [part for part in parts_of(home) if part.home != home.path]
    return str(elsewhere[0].home) if elsewhere else None


async def _broker(runtime: Runtime, settings: Settings, seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    process = seen.get("broker", {})
    limits = {AMQTT: broker_amqtt.LIMITS, EXTERNAL: "its rights are not ours to manage"}
    problem = await broker_problem(settings) if settings.broker_url else Problem("no address")
    return {
        "kind": runtime.broker_kind or "none",
        "url": settings.broker_url,
        "state": UP if not problem.text else DEGRADED if _starts(process) else DOWN,
        "detail": _with_state(process, problem.text) if problem.text else "",
        "refused": problem.refused,
        "slow": problem.slow,
        "limits": limits.get(runtime.broker_kind, broker_mosquitto.LIMITS),
        **_process(process),
    }


async def _database(runtime: Runtime, settings: Settings, seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    process = seen.get("database", {})
    problem = await database_problem(settings) if settings.database_url else Problem("no address")
    return {
        "kind": runtime.database_kind or "none",
        "url": without_passwords(settings.database_url),
        "state": UP if not problem.text else DEGRADED if _starts(process) else DOWN,
        "detail": _with_state(process, problem.text) if problem.text else "",
        "refused": problem.refused,
        "slow": problem.slow,
        **_process(process),
    }


def _role_report(roles: list[dict[str, Any]], server: str, well: str) -> str:
    """The first role that reports that it works with this server; "" when none does."""
    return next((role["name"] for role in roles if role["status"].get(server) == well), "")


def _state_of(part: dict[str, Any], witness: str) -> None:
    """Correct the state of a server that could not be used: one that refuses *these* credentials answers, and a role
    with the right ones knows its state; a slow one has not ended while its process runs or a role works with it."""
    late = part.pop("slow")
    if late and part["state"] == DOWN and (witness or part["pid"]):
        part["state"] = DEGRADED
    if part.pop("refused") and witness:
        part["state"] = UP
        part["detail"] = f"{witness} works with it; it refuses this shell: {part['detail']}"


async def _role(name: str, port: int, seen: dict[str, Any]) -> dict[str, Any]:
    late = False
    try:
        said = await role_status(port) if port else None
    except TimeoutError:
        said, late = None, True
    ready, why = await role_ready(port) if said is not None else (False, slow(PATIENT_S) if late else "")
    why = _with_state(seen, why)
    state = UP if said is not None and ready else DEGRADED if said is not None or late or _starts(seen) else DOWN
    return {
        "name": name,
        "state": state,
        "detail": _doubt(said or {}) if state == UP else why or "does not answer",
        "port": port,
        **_process(seen),
        "status": said or {},
    }


def _starts(seen: dict[str, Any]) -> bool:
    """True while the supervisor waits for it, or for what it needs, and it has not failed `OFTEN` times."""
    return seen.get("state") in ("waiting", "starting") and seen.get("failed", 0) < OFTEN


def _with_state(seen: dict[str, Any], why: str) -> str:
    """The supervisor's state of a part that does not run, with its reason if it has one."""
    if seen.get("state") in (None, "running"):
        return why
    if seen["state"] == "waiting":
        return str(seen.get("detail") or "waits for what it needs")
    return f"{seen['state']}: {seen.get('detail') or why}".rstrip(": ")


def _doubt(said: dict[str, Any]) -> str:
    """A gateway's doubtful clock; the gateway is up, and its samples are UNCERTAIN."""
    clock = said.get("clock")
    doubt = clock.get("doubt") if isinstance(clock, dict) else ""
    return f"samples are UNCERTAIN: {doubt}" if doubt else ""


def _process(seen: dict[str, Any]) -> dict[str, Any]:
    return {"pid": seen.get("pid", 0), "restarts": seen.get("restarts", 0), "since": seen.get("since", 0.0)}


def _links(roles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The links of all gateways, as reported by the gateways."""
    found = []
    for role in roles:
        links = role["status"].get("links")
        # Control reports links too, as it received them; the gateways' own data is newer.
        if role["name"].startswith("gateway-") and isinstance(links, dict):
            for link, facts in sorted(links.items()):
                found.append({"gateway": role["name"].partition("-")[2], "link": link, **(facts or {})})
    return found


def _gateways(roles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [role for role in roles if role["name"].startswith("gateway-")]


def _silent(roles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Devices without a usable value, as reported by their gateways."""
    return [
        {"gateway": role["name"].partition("-")[2], **device}
        for role in _gateways(roles)
        for device in role["status"].get("silent") or ()
        if isinstance(device, dict)
    ]


def _reasons(roles: list[dict[str, Any]]) -> dict[str, int]:
    """Devices without a value by reason, including unnamed ones, most frequent first."""
    counts: Counter[str] = Counter()
    for role in _gateways(roles):
        given = role["status"].get("silent_reasons")
        if isinstance(given, dict):
            counts.update({str(reason): int(count) for reason, count in given.items()})
        else:  # an older gateway: only the named ones
            named = [one for one in role["status"].get("silent") or () if isinstance(one, dict)]
            counts.update(str(one.get("reason") or "") for one in named)
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _tags(roles: list[dict[str, Any]]) -> dict[str, int]:
    """Tags by the quality of their newest sample, of all gateways that answer."""
    counts: dict[str, int] = {}
    for role in _gateways(roles):
        tags = role["status"].get("tags")
        for quality, count in tags.items() if isinstance(tags, dict) else ():
            counts[str(quality)] = counts.get(str(quality), 0) + int(count)
    return counts


def _access(home: Home, runtime: Runtime) -> dict[str, Any]:
    if runtime.broker_kind in ("", EXTERNAL):
        return {"managed": False, "rules": 0, "in_force": False}
    grants = read_grants(home.path) or ()
    return {"managed": True, "rules": len(grants), "in_force": in_force(home.path) == grants_digest(grants)}
