"""The verbs of `nexus access` that ask control: tokens, elevation, passwords, and who has one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

if TYPE_CHECKING:
    from nexus_cli.wire.control_access import Elevation, NewPassword, NewToken, TokenInfo
    from nexus_cli.wire.http_access import AccessClient

Answer = TypeVar("Answer")
PATIENCE_S = 3.0
"""How long `nexus access check` waits for control before it says that passwords were not looked at."""


def make_token(settings: Settings, *, user: str, scopes: Sequence[str], ttl_s: int, note: str) -> NewToken:
    """A token for the API, with a user's rights at most. Raises NexusError of control."""
    return _asked(
        settings, lambda control: control.make_token(principal=user, scopes=list(scopes), ttl_s=ttl_s, note=note)
    )


def tokens(settings: Settings, *, user: str = "") -> list[TokenInfo]:
    """Tokens that are valid or ended lately, of a user or of all. Raises NexusError of control."""
    return _asked(settings, lambda control: control.tokens(user))


def revoke_token(settings: Settings, token_id: str) -> bool:
    """Whether the token was valid before. Raises NexusError of control."""
    return _asked(settings, lambda control: control.revoke_token(token_id))


def elevate(settings: Settings, *, user: str, for_s: int, reason: str) -> Elevation:
    """Give a user the role `admin` for a while. Raises NexusError of control."""
    return _asked(settings, lambda control: control.elevate(user, for_s=for_s, reason=reason))


def elevations(settings: Settings) -> list[Elevation]:
    """Those in force. Raises NexusError of control."""
    return _asked(settings, lambda control: control.elevations())


def end_elevation(settings: Settings, elevation_id: str) -> bool:
    """Whether the elevation was in force before. Raises NexusError of control."""
    return _asked(settings, lambda control: control.end_elevation(elevation_id))


def rotate(settings: Settings, *, names: Sequence[str], keep_old_s: int) -> list[NewPassword]:
    """New passwords of users and applications; no names are all of them. Raises NexusError of control."""
    return _asked(settings, lambda control: control.rotate(list(names), keep_old_s=keep_old_s))


def without_password(settings: Settings) -> tuple[str, ...] | None:
    """Users and applications that have no password; None when control does not answer."""
    if not settings.control_url:
        return None

    async def look() -> tuple[str, ...] | None:
        try:
            async with asyncio.timeout(PATIENCE_S), _client(settings) as control:
                overview = await control.access()
        except (NexusError, TimeoutError):
            return None
        return tuple(account.principal for account in overview.accounts if not account.password)

    return asyncio.run(look())


def _asked(settings: Settings, question: Callable[[AccessClient], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        async with _client(settings) as control:
            return await question(control)

    return asyncio.run(run())


def _client(settings: Settings) -> AccessClient:
    from nexus_cli.wire.http_access import AccessClient  # noqa: PLC0415 - HTTP client: only beside a runtime

    return AccessClient(settings)
