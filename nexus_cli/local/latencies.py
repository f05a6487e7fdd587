"""Latencies of the roles that run for this folder, asked from each one's `/status`."""

from __future__ import annotations

from nexus_cli.access.grants import CONTROL, HISTORIAN, WEB, gateway_principal
from nexus_cli.diagnostics.groups import Group
from nexus_cli.local.layout import Home
from nexus_cli.local.probe import PATIENT_S, Door, role_status, slow
from nexus_cli.local.services import door_of
from nexus_cli.wire.health import OperatingHealth, decode_status
from nexus_cli.wire.latency_health import LatencyRow, LatencyTable, rows_of


async def ask_latencies(home: Home, *, role: str = "") -> LatencyTable:
    """The table of every role, or of one kind."""
    runtime = home.read_runtime()
    gateways = ((f"gateway {name}", gateway_principal(name)) for name in runtime.gateways)
    wanted = [("control", CONTROL), *gateways, ("historian", HISTORIAN), ("web", WEB)]
    async with Group() as group:
        asked = [
            (name, group.create_task(_ask(runtime.http_ports.get(principal, 0), door_of(runtime)), name=f"ask {name}"))
            for name, principal in wanted
            if name.partition(" ")[0] == role or not role
        ]
    rows: list[LatencyRow] = []
    missing: list[str] = []
    for name, task in asked:
        found = task.result()
        if isinstance(found, str):
            missing.append(f"{name}: {found}")
        else:
            kind, _, of = name.partition(" ")
            rows += rows_of(kind, str(found.name or of), found.latencies)
    return LatencyTable(rows=rows, missing=missing)


async def _ask(port: int, door: Door) -> OperatingHealth | str:
    """What a role says, or why it says nothing."""
    if not port:
        return "does not run here"
    try:
        said = await role_status(port, door)
    except TimeoutError:
        return slow(PATIENT_S)
    return decode_status(said, OperatingHealth) if said else "does not answer"
