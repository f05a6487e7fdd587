"""The verb of `nexus run`: one role in this process, with the libraries of that role alone."""

from __future__ import annotations

import asyncio

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.layout import home_of
from nexus_cli.runtime.event_loop import loop_factory
from nexus_cli.runtime.garbage import GARBAGE
from nexus_cli.runtime.lifecycle import stop_on_signals
from nexus_cli.runtime.logging import configure_logging
from nexus_cli.setting_values import MOCK, REPLAY
from nexus_cli.settings import Settings, load_settings


def run_role(role: str, *, name: str = "") -> None:
    """Run one role in this process until it receives a signal to stop.

    Args:
        role: `control`, `gateway`, `historian`, `web`, `worker`, `broker`, `simulator` or `supervisor`.
        name: Name of a gateway (required there), or of one historian, web or worker of several.
    """
    if role == "gateway" and not name:
        raise NexusError("Which gateway?", code="NX6511")
    settings = load_settings(principal=principal_of(role, name))
    title = f"{role} {name}" if name and name != role else role
    configure_logging(log_format=settings.log_format, log_level=settings.log_level, role=title)
    fast = loop_factory(settings.event_loop) if role in ("gateway", "historian", "web", "simulator") else None
    with asyncio.Runner(loop_factory=fast) as runner:
        runner.run(_serve(role, name, settings))


def principal_of(role: str, name: str) -> str:
    """The name that a role connects to the broker with."""
    return f"nexus.gateway.{name}" if role == "gateway" else f"nexus.{role}"


async def _serve(role: str, name: str, settings: Settings) -> None:
    if role == "control":
        from nexus_cli.runtime.control.control import run_control  # noqa: PLC0415 - one role's libraries

        await run_control(settings)
    elif role == "gateway":
        GARBAGE.manage()
        await _gateway(settings, name)
    elif role == "historian":
        GARBAGE.manage()
        from nexus_cli.runtime.historian.historian import run_historian  # noqa: PLC0415 - one role's libraries

        await run_historian(settings, name=name or "historian")
    elif role == "web":
        GARBAGE.manage()
        from nexus_cli.runtime.web.web import run_web  # noqa: PLC0415 - one role's libraries

        await run_web(settings, name=name or "web")
    elif role == "worker":
        GARBAGE.manage()
        from nexus_cli.runtime.worker.worker import run_worker  # noqa: PLC0415 - one role's libraries

        await run_worker(settings, name=name or "worker")
    else:
        async with stop_on_signals() as stop:
            if role == "broker":
                from nexus_cli.local.broker_amqtt import run_amqtt  # noqa: PLC0415 - one role's libraries

                await run_amqtt(home_of(settings), stop=stop)
            elif role == "simulator":
                from nexus_cli.local.simulator import run_simulator  # noqa: PLC0415 - one role's libraries

                await run_simulator(home_of(settings), stop=stop)
            else:
                from nexus_cli.local.supervisor import run_supervisor  # noqa: PLC0415 - one role's libraries

                await run_supervisor(home_of(settings), stop=stop)


async def _gateway(settings: Settings, name: str) -> None:
    from nexus_cli.runtime.gateway.gateway import run_gateway  # noqa: PLC0415 - one role's libraries

    if settings.environment == REPLAY:
        raise NexusError("A replay has no gateways: it must reach no device.", code="NX6964")
    if settings.environment == MOCK:
        from nexus_cli.runtime.gateway.mocked import mocked_drivers  # noqa: PLC0415 - of a mock alone

        await run_gateway(settings, name=name, drivers=mocked_drivers(settings.home.resolve()))
        return
    await run_gateway(settings, name=name)
