"""The gateway that only answers, in a process of its own, to be killed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from nexus_cli.settings import Settings
from tests.forks import Fork, redirect
from tests.integration.control_world import FakeGateway, World


def gateway_process(world: World) -> Fork:
    """Start it."""
    names = ("site", "control_url", "broker_url", "home")
    return Fork(_run, {each: str(getattr(world.settings, each)) for each in names})


def _run(facts: Mapping[str, str]) -> None:
    redirect(os.devnull, os.devnull)
    settings = Settings(**{**facts, "home": Path(facts["home"])})

    async def answer() -> None:
        async with FakeGateway(settings).up():
            await asyncio.Event().wait()  # until it is killed

    asyncio.run(answer())
