"""The verbs of the local runtime: run a role, up, down, status, logs, tail, read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings, load_settings

if TYPE_CHECKING:
    from nexus_cli.local.layout import Home


def run_role(role: str, *, name: str = "") -> None:
    """Run one role in this process until it is told to stop.

    Args:
        role: `control`, `gateway`, `historian`, `broker` or `supervisor`.
        name: Name of a gateway (required there), or of one historian of several.
    """
    from nexus_cli.runtime.logging import configure_logging

    if role == "gateway" and not name:
        raise NexusError("Which gateway?", code="NX6511", hint="nexus run gateway --name NAME", exit_code=64)
    settings = load_settings(principal=_principal(role, name))
    title = f"{role} {name}" if name and name != role else role
    configure_logging(log_format=settings.log_format, log_level=settings.log_level, role=title)
    asyncio.run(_serve(role, name, settings))


def _principal(role: str, name: str) -> str:
    return f"nexus.gateway.{name}" if role == "gateway" else f"nexus.{role}"


async def _serve(role: str, name: str, settings: Settings) -> None:
    if role == "control":
        from nexus_cli.runtime.control.control import run_control

        await run_control(settings)
    elif role == "gateway":
        from nexus_cli.runtime.gateway.gateway import run_gateway

        await run_gateway(settings, name=name)
    elif role == "historian":
        from nexus_cli.runtime.historian.historian import run_historian

        await run_historian(settings, name=name or "historian")
    else:
        from nexus_cli.runtime.lifecycle import stop_on_signals

        async with stop_on_signals() as stop:
            if role == "broker":
                from nexus_cli.local.broker_amqtt import run_amqtt

                await run_amqtt(_home(settings), stop=stop)
            else:
                from nexus_cli.local.supervisor import run_supervisor

                await run_supervisor(_home(settings), stop=stop)


def _home(settings: Settings) -> Home:
    from nexus_cli.local.layout import Home

    return Home(Path(settings.home).resolve())
