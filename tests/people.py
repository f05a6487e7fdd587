"""Passwords of declared users for tests: NEXUS keeps their hashes alone, so `nexus access rotate` makes one and shows it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import aiomqtt

from tests.waiting import until_found


class Commanding(Protocol):
    """A folder with a running site, where commands run."""

    folder: Path

    def nexus(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""


def passwords_of(plant: Commanding, *users: str) -> dict[str, str]:
    """First passwords of users, by name, once the broker takes them.

    Those that a further call makes belong to the account `NAME.b`, then to `NAME` again.
    """
    done = plant.nexus("access", "rotate", *users, "--format", "json")
    made: dict[str, str] = {one["account"]: one["password"] for one in json.loads(done.stdout)["passwords"]}
    assert set(made) == set(users), "users that had no password before"
    runtime = json.loads((plant.folder / ".nexus" / "runtime.json").read_bytes())

    async def taken() -> None:
        for user, password in made.items():
            await until_found(lambda user=user, password=password: logs_in(runtime["broker_url"], user, password))

    asyncio.run(taken())
    return made


def password_of(plant: Commanding, user: str) -> str:
    """The first password of one user; see `passwords_of`."""
    return passwords_of(plant, user)[user]


async def logs_in(broker_url: str, user: str | None, password: str | None) -> bool:
    """Whether a broker without TLS lets a client in; None and None are an anonymous one."""
    url = urlsplit(broker_url)
    try:
        async with aiomqtt.Client(
            hostname=url.hostname or "127.0.0.1", port=url.port or 1883, username=user, password=password, timeout=10
        ):
            return True
    except aiomqtt.MqttError:
        return False
