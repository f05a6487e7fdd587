"""Callers by token, remembered for a moment: a page asks a hundred times a second, and the database is asked once.

While the database is away no right can be revoked there: who was known stays known for some minutes, and reads live values.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.gate import Gate
from nexus_cli.runtime.web.caller_rights import CallerRights, rights_of
from nexus_cli.runtime.web.site_view import SiteView

FRESH_S = 2.0
"""A revoked token or a removed role has ended after this time, at the latest."""
AWAY_S = 900.0
"""How long a caller is known while the database does not answer."""
MOST_CALLERS = 4096
MOST_ROLES = 64
"""Combinations of roles whose rights are kept."""


@dataclass(slots=True)
class _Known:
    caller: Caller
    asked_s: float
    shown: str | None


class KnownCallers:
    """Callers by `Authorization` header, and their rights on the tags."""

    def __init__(self, gate: Gate, *, clock: Clock) -> None:
        """`gate` is asked for who is not known, or not known well enough any more."""
        self._gate, self._clock = gate, clock
        self._callers: dict[bytes, _Known] = {}
        self._rights: dict[tuple[str, ...], CallerRights] = {}
        self._view: SiteView | None = None

    async def caller(self, authorization: str | None) -> Caller:
        """The caller with this header; errors as of `Gate.caller`."""
        key = _key(authorization)
        known, now_s = self._callers.get(key), self._clock.monotonic_s()
        if known is not None and now_s - known.asked_s < FRESH_S and not self._over(known.caller):
            return known.caller
        try:
            caller = await self._gate.caller(authorization)
        except NexusError as error:
            if known is None or not error.code.startswith("NX62") or now_s - known.asked_s > AWAY_S:
                self._callers.pop(key, None)
                raise
            if self._over(known.caller):
                raise
            return known.caller
        if len(self._callers) >= MOST_CALLERS:
            self._callers.pop(next(iter(self._callers)))
        self._callers.pop(key, None)
        self._callers[key] = _Known(caller, now_s, authorization)
        return caller

    async def again(self, caller: Caller) -> Caller:
        """The same caller as the record says now, nothing remembered: for what changes something.

        Raises:
            NexusError: As `Gate.caller`; NX62xx when the record can't be read, however well the caller was known.
        """
        for known in reversed(self._callers.values()):
            if (known.caller.principal, known.caller.token) == (caller.principal, caller.token):
                return await self._gate.caller(known.shown)
        raise NexusError("The login is not known here any more.", code="NX6401", hint="log in again")

    def forget(self, authorization: str) -> None:
        """Who logs out here is unknown here at once."""
        self._callers.pop(_key(authorization), None)

    def _over(self, caller: Caller) -> bool:
        return caller.expires is not None and caller.expires <= self._clock.wall_us()

    async def rights(self, view: SiteView, caller: Caller) -> CallerRights:
        """The rights of a caller on the tags of a view; computed in a thread, once for its combination of roles."""
        if self._view is not view:
            self._view, self._rights = view, {}
        key = (caller.held.kind, caller.principal if caller.office else "", *caller.held.roles)
        found = self._rights.get(key)
        if found is None:
            found = await asyncio.to_thread(rights_of, view, caller)
            if self._view is view:
                if len(self._rights) >= MOST_ROLES:
                    self._rights.pop(next(iter(self._rights)))
                self._rights[key] = found
        return found


def _key(authorization: str | None) -> bytes:
    return hashlib.blake2b((authorization or "").encode("utf-8", "surrogateescape"), digest_size=16).digest()
