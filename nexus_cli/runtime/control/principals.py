"""The rights of declared users in control: run and abort sequences, acknowledge and see alerts, publish messages.

Principals of NEXUS (`nexus.…`) have fixed rights; users have those of their recorded roles.

See docs/decisions/0047.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from nexus_cli.access.globs import names_matching
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.access_config import RoleConfig, UserConfig
from nexus_cli.model.resources import decode
from nexus_cli.runtime.control.auth import Caller
from nexus_cli.settings import Settings

Right = Literal["run", "acknowledge", "alerts", "publish"]
VERBS: dict[Right, str] = {
    "run": "run the sequence",
    "acknowledge": "acknowledge the alert",
    "alerts": "see the alert",
    "publish": "publish the message",
}


class Principals:
    """The rights of declared users, as recorded."""

    def __init__(self, *, settings: Settings, pool: Pool) -> None:
        """Query a pool at each request, so that a revoked role has effect at once."""
        self._settings, self._pool = settings, pool

    async def require(self, caller: Caller, right: Right, name: str) -> None:
        """Raise NexusError NX6403 unless a caller has a right on the resource of this name."""
        if not await self.named(caller, right, [name]):
            raise NexusError(
                f"{caller.principal} may not {VERBS[right]} '{name[:100]}'.",
                code="NX6403",
                hint=f"a role with `{right}: [{name[:100]}]`, given to this user and applied",
            )

    async def named(self, caller: Caller, right: Right, names: Iterable[str]) -> set[str]:
        """The names on which a caller has a right; the right to acknowledge an alert includes the right to see it."""
        wanted = set(names)
        if caller.office:
            return wanted if caller.may_deploy or (caller.may_read and right == "alerts") else set()
        globs = [glob for role in await self._roles(caller.principal) for glob in _globs(role, right)]
        return {name for glob in globs for name in names_matching(glob, wanted)}

    async def _roles(self, user: str) -> list[RoleConfig]:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                known = await db.attributes(conn, self._settings.site, [f"user.{user}"])
                names = decode(known.get(f"user.{user}", {}), UserConfig).every_role()
                roles = await db.attributes(conn, self._settings.site, [f"role.{name}" for name in names])
        return [decode(attributes, RoleConfig) for attributes in roles.values()]


def _globs(role: RoleConfig, right: Right) -> list[str]:
    """Globs of names on which a role gives a right."""
    given: dict[Right, list[str]] = {
        "run": role.run,
        "acknowledge": role.acknowledge,
        "alerts": [*role.alerts, *role.acknowledge],
        "publish": role.publish,
    }
    return given[right]
