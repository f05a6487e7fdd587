"""The address spaces of the combinations of rights that are in use, prepared in a thread; and what moved objects were called."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from nexus_cli.database.connect import plain_errors
from nexus_cli.database.former_names import with_levels
from nexus_cli.database.former_paths import former_paths
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.compression import compressed
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.i3x.address_space import AddressSpace
from nexus_cli.runtime.web.i3x.skeleton import Skeleton
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.site_view import SiteView

MOST_SPACES = 16


@dataclass(slots=True, eq=False)
class _Kept:
    rights: CallerRights
    space: AddressSpace
    packed: dict[bool, bytes] = field(default_factory=dict)


class Spaces:
    """Spaces by rights. What a deployment replaced is forgotten."""

    def __init__(self, parts: WebParts) -> None:
        """Prepare nothing yet."""
        self._parts = parts
        self._busy = asyncio.Lock()
        self._skeleton: Skeleton | None = None
        self._kept: dict[int, _Kept] = {}
        self._former: dict[str, str] = {}
        self._former_of: SiteView | None = None

    async def of(self, caller: Caller) -> AddressSpace:
        """What a caller sees now."""
        return (await self._of(caller)).space

    async def listing(self, caller: Caller, *, metadata: bool) -> bytes:
        """The answer of `GET /objects` without a filter, compressed; made once for each combination of rights."""
        kept = await self._of(caller)
        if metadata not in kept.packed:
            async with self._busy:
                if metadata not in kept.packed:
                    kept.packed[metadata] = await asyncio.to_thread(_packed, kept.space, metadata)
        return kept.packed[metadata]

    async def _of(self, caller: Caller) -> _Kept:
        view = self._parts.keeper.view
        rights = await self._parts.callers.rights(view, caller)
        found = self._kept.get(id(rights))
        if found is not None and found.space.view is view:
            return found
        async with self._busy:
            found = self._kept.get(id(rights))
            if found is None or found.space.view is not view:
                found = await self._prepare(view, rights)
            return found

    async def _prepare(self, view: SiteView, rights: CallerRights) -> _Kept:
        skeleton = self._skeleton
        if skeleton is None or skeleton.view is not view:
            skeleton = self._skeleton = await asyncio.to_thread(Skeleton.of, view)
        self._kept = {key: each for key, each in self._kept.items() if each.space.view is view}
        if len(self._kept) >= MOST_SPACES:
            self._kept.pop(next(iter(self._kept)))
        space = await asyncio.to_thread(AddressSpace.of, skeleton, rights)
        # The rights are kept along: their id names them as long as they live.
        found = self._kept[id(rights)] = _Kept(rights, space)
        return found

    async def current(self, space: AddressSpace, elements: list[str]) -> dict[str, str]:
        """The present id of each element: itself where there is one, else the object that once had this path.

        Those that never were are not in it. While the database is away, former paths are those that were known before.
        """
        found = {element: element for element in elements if space.has(element)}
        missing = [element for element in elements if element not in found]
        if missing:
            await self._learn_former(space.view)
            for element in missing:
                now = self._former.get(element)
                if now is not None and space.has(now):
                    found[element] = now
        return found

    async def _learn_former(self, view: SiteView) -> None:
        if self._former_of is view:
            return
        settings = self._parts.settings
        try:
            with plain_errors(settings):
                async with self._parts.pool.acquire() as conn:
                    moved = await former_paths(conn, site=settings.site)
        except NexusError:
            return
        self._former = with_levels(moved)
        self._former_of = view


def _packed(space: AddressSpace, metadata: bool) -> bytes:
    return compressed(space.listing(metadata=metadata))
