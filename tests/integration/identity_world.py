"""Control's application with people of every kind, without a socket: what the tests of identity share."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from ulid import ULID

from nexus_cli.apply.timing import Timing
from nexus_cli.database import deployments as db
from nexus_cli.database import tokens
from nexus_cli.database.connect import Pool, open_pool
from nexus_cli.model.config import digest
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.control.control import Control
from nexus_cli.runtime.identity.signing import SigningKeys
from nexus_cli.runtime.identity.tokens import Claims, sign
from nexus_cli.settings import Settings
from tests.integration.control_world import API, snapshot
from tests.integration.control_world import device as make_device

SITE = "acme/chicago"
PREFIX = f"/v1/sites/{SITE}"
LONG_AGO, FAR = "2001-01-01", "2090-01-01"
TOKENS = API | {"nexus.historian": "historian-token", "nexus.web": "web-token", "nexus.other": "other-platform-token"}
ROLES: dict[str, dict[str, Any]] = {
    "viewer": {"read": ["**"], "alerts": ["*"]},
    "operator": {"read": ["**"], "write": ["**"], "run": ["*"], "acknowledge": ["*"]},
    "engineer": {"read": ["**"], "run": ["*"], "publish": ["*"], "acknowledge": ["*"], "apply": ["**"]},
    "admin": {"read": ["**"], "admin": True},
    "line": {"apply": ["a/l/**"]},
    "one-tag": {"apply": ["a/m/two/energy"]},
    "no-hot": {"acknowledge": ["*"], "deny": {"alerts": ["hot"]}},
}
USERS: dict[str, dict[str, Any]] = {
    "nina": {"roles": []},
    "vera": {"roles": ["viewer"]},
    "otto": {"roles": ["operator"]},
    "erik": {"roles": ["engineer"]},
    "ada": {"roles": ["admin"]},
    "lars": {"roles": ["line"]},
    "tess": {"roles": ["one-tag"]},
    "dora": {"roles": ["operator", "no-hot"]},
    "gina": {"roles": [], "groups": ["shift"]},
    "past": {"roles": ["admin"], "valid_until": LONG_AGO},
    "soon": {"roles": ["admin"], "valid_from": FAR},
    "mes": {"roles": ["operator"], "kind": "application"},
}
OTHERS: dict[str, Any] = {
    "group.shift": {"roles": ["operator"]},
    "alert.hot": {"tag": "a/l/one/energy", "above": 100.0, "severity": "critical"},
    "alert.cold": {"tag": "a/l/one/energy", "below": 1.0, "severity": "info"},
}


def recorded(**more: Any) -> dict[str, Any]:
    """The resources that are recorded, and more (`kind__name`)."""
    people = {f"user.{name}": value for name, value in USERS.items()}
    roles = {f"role.{name}": {"read": [], "write": [], **value} for name, value in ROLES.items()}
    plant = snapshot(make_device("a/l/one"), make_device("a/m/two"), **more)
    return {**plant.resources, **people, **roles, **OTHERS}


@dataclasses.dataclass
class People:
    """The application and what is behind it.

    Attributes:
        http: Without a token.
        control: The role.
        pool: Of the database.
        settings: Of the control.
    """

    http: httpx.AsyncClient
    control: Control
    pool: Pool
    settings: Settings

    async def token(
        self,
        user: str,
        *,
        scopes: Sequence[str] = ("*",),
        ttl_s: float = 3600.0,
        kind: str = "token",
        **claims: Any,
    ) -> str:
        """A signed token, as control makes it."""
        token_id = str(ULID())
        info = await tokens.add(
            self.pool,
            SITE,
            token_id=token_id,
            principal=user,
            kind=kind,
            scopes=list(scopes),
            ttl_s=ttl_s,
            made_by="test",
        )
        assert info is not None
        said = Claims(**{"token_id": token_id, "principal": user, "expires": info.expires, **claims})
        keys = SigningKeys.of(self.settings)
        return sign(keys, said, site=SITE, scopes=list(scopes), now_us=SystemClock().wall_us())

    async def ask(self, method: str, path: str, *, token: str = "", **keys: Any) -> httpx.Response:
        """One request below the site."""
        head = {"authorization": f"Bearer {token}"} if token else {}
        if method == "POST" and not {"json", "content"} & keys.keys():
            keys["json"] = {}
        return await self.http.request(method, PREFIX + path, headers=head | keys.pop("headers", {}), **keys)

    async def password(self, user: str, *, keep_old_s: int = 3600) -> str:
        """Make a password for a user."""
        body = {"principals": [user], "keep_old_s": keep_old_s}
        answer = await self.ask("POST", "/access/rotate", token="cli-token", json=body)
        assert answer.status_code == 200, answer.text
        made: str = answer.json()["passwords"][0]["password"]
        return made

    async def record(self, changed: Mapping[str, Any]) -> None:
        """Record resources, as a deployment does; None removes one."""
        await write(self.pool, changed)

    async def trail(self, *whats: str) -> list[dict[str, Any]]:
        """Lines of the audit trail."""
        rows = await self.pool.fetch(
            "SELECT who, what, subject, detail::text AS detail FROM nexus.audit WHERE what = ANY($1) ORDER BY id",
            list(whats),
        )
        return [dict(row) for row in rows]


async def write(pool: Pool, changed: Mapping[str, Any]) -> None:
    async with pool.acquire() as conn, conn.transaction():
        deployment_id, _ = await db.begin_deployment(conn, SITE, who="test", reason="", base="", desired="", plan={})
        digests = {address: digest(value) for address, value in changed.items() if value is not None}
        await db.write_resources(conn, SITE, deployment_id, changed, digests=digests)
        await conn.execute(
            "UPDATE nexus.deployment SET outcome = 'applied', ended = now() WHERE id = $1", deployment_id
        )


@contextlib.asynccontextmanager
async def people(database: Settings, home: Path, **more: Any) -> AsyncIterator[People]:
    """The application with everything of `recorded` in the database."""
    settings = dataclasses.replace(
        database,
        home=home,
        site=SITE,
        principal="nexus.control",
        broker_url="mqtt://127.0.0.1:1",
        credentials={"api": TOKENS},
    )
    pool = await open_pool(settings)
    control = Control(settings, pool=pool, timing=Timing(lease_ttl_s=2.0), clock=SystemClock())
    assert await control._leadership.campaign(asyncio.Event())
    control.term = control.new_term()
    transport = httpx.ASGITransport(app=control.app(), raise_app_exceptions=True, client=("192.0.2.1", 4711))
    try:
        await write(pool, recorded(**more))
        async with httpx.AsyncClient(transport=transport, base_url="http://control") as http:
            yield People(http, control, pool, settings)
    finally:
        await control._leadership.resign()
        pool.terminate()
