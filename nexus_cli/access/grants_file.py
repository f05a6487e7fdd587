"""From control to the broker that `nexus up` runs: `.nexus/access.json` holds the grants, the supervisor applies them.

Control writes the file before it notifies gateways of a deployment (old and new rights together) and once more when
the deployment is final. The supervisor renders and reloads, then writes the digest of what is in force into
`.nexus/access.applied`. Where another broker is used there is no answer, and control does not wait.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

import orjson

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.grants import Grant, from_json, join, to_json
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import digest
from nexus_cli.model.snapshot import Snapshot

GRANTS_FILE = "access.json"
APPLIED_FILE = "access.applied"
POLL_S = 0.02


def write_grants(home: Path, *snapshots: Snapshot) -> str:
    """Ask for the rights of these snapshots together; gives the digest to wait for.

    Args:
        home: The `.nexus` folder.
        snapshots: What is recorded and what is desired while a deployment runs; afterwards only what is recorded.
    """
    return store_grants(home, join(*(compile_grants(snapshot) for snapshot in snapshots)))


def store_grants(home: Path, grants: tuple[Grant, ...]) -> str:
    """Write a list of grants; gives its digest."""
    data = orjson.dumps(to_json(grants), option=orjson.OPT_INDENT_2)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = home / f".{GRANTS_FILE}.{os.getpid()}.{secrets.token_hex(4)}"
    beside.write_bytes(data)
    beside.replace(home / GRANTS_FILE)
    return grants_digest(grants)


def read_grants(home: Path) -> tuple[Grant, ...] | None:
    """The grants that control requested; None before the first deployment.

    Raises:
        NexusError: NX7011, the file is not what control writes.
    """
    try:
        return from_json(orjson.loads((home / GRANTS_FILE).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise NexusError(
            f"The rights in {home / GRANTS_FILE} can't be read; those in force stay.",
            code="NX7011",
            cause=str(error)[:200],
        ) from None


def grants_digest(grants: tuple[Grant, ...]) -> str:
    """Equal for equal rights."""
    return digest(to_json(grants))


def mark_applied(home: Path, applied: str) -> None:
    """The supervisor's word: these rights are in force."""
    beside = home / f".{APPLIED_FILE}.{os.getpid()}"
    beside.write_text(applied, encoding="ascii")
    beside.replace(home / APPLIED_FILE)


def in_force(home: Path) -> str:
    """Digest of the rights in force; "" when no local broker obeys us."""
    try:
        return (home / APPLIED_FILE).read_text(encoding="ascii").strip()
    except OSError:
        return ""


async def wait_in_force(home: Path, wanted: str, *, timeout_s: float = 5.0) -> bool:
    """Wait until the local broker has taken the rights over; True at once when no local broker obeys us."""
    if not in_force(home):
        return True
    try:
        async with asyncio.timeout(timeout_s):
            while in_force(home) not in (wanted, ""):  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return False
    return True
