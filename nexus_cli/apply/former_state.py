"""The state before a deployment, as far as it differs from what is recorded: from the plans of it and of all later ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_cli.database import deployments as db
from nexus_cli.database import past_state
from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import Recorded
from nexus_cli.database.ordered import from_jsonb
from nexus_cli.model.config import digest
from nexus_cli.model.snapshot import Attributes, site_digest
from nexus_cli.plan.diff import tag_paths
from nexus_cli.plan.moved import Rename
from nexus_cli.plan.reversal import Made, reversed_renames


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """A former state against the recorded one.

    Attributes:
        first: The first deployment that is not in it.
        undone: That one and the later ones that recorded something, the newest first.
        base: Number of the deployment that recorded the former state; 0 is none.
        recorded: What is recorded now.
        changed: What differs: former attributes by address, None of what was not there.
        digests: Digest of every resource of the former state, by address.
        moved: Renames from now to then, as they apply.
    """

    first: int
    undone: tuple[int, ...]
    base: int
    recorded: Recorded
    changed: Mapping[str, Attributes | None]
    digests: Mapping[str, str]
    moved: tuple[Rename, ...]

    @property
    def digest(self) -> str:
        """Of the whole former state."""
        return site_digest(self.recorded.enterprise, self.recorded.site, self.digests)


async def before(conn: Connection, site: str, first: int) -> Former:
    """The state before a deployment that recorded something.

    Attributes of a plan's `before` came through JSONB, which writes some floats in another way, with another digest. Where the
    whole does not have the digest that was recorded then, they are read from the plans that wrote them.
    """
    undone = await past_state.recorded_numbers(conn, site, since=first)
    found: dict[str, Attributes | None] = {}
    made: list[Made] = []
    for number in undone:
        plan = from_jsonb(await past_state.plan_of(conn, site, number) or "{}")
        made.append(renames_of(plan))
        for address in plan.get("changed", {}):
            found[address] = plan["before"].get(address)
    recorded = await db.recorded(conn, site)
    since = await past_state.since(conn, site, first)
    row = await db.deployment(conn, site, first)
    former = Former(
        first=first,
        undone=tuple(undone),
        base=since.base,
        recorded=recorded,
        changed=found,
        digests=_digests(recorded, found),
        moved=tuple(await asyncio.to_thread(reversed_renames, made)),
    )
    if row is not None and former.digest != row.base_digest:
        exact = {**found, **await _as_written(conn, site, first, found)}
        former = _with(former, exact)
    return _with(
        former,
        {address: value for address, value in former.changed.items() if _differs(former, address)},
        digests=former.digests,
    )


def renames_of(plan: Mapping[str, Any]) -> Made:
    """What a recorded plan renamed: its JSON with `moved`, `before` and `changed`."""
    return Made(
        moved=[(old, new) for old, new in plan.get("moved", ())],
        before=tag_paths(plan.get("before", {})),
        after=tag_paths(plan.get("changed", {})),
    )


def _with(
    former: Former, changed: Mapping[str, Attributes | None], *, digests: Mapping[str, str] | None = None
) -> Former:
    return Former(
        first=former.first,
        undone=former.undone,
        base=former.base,
        recorded=former.recorded,
        changed=changed,
        digests=_digests(former.recorded, changed) if digests is None else digests,
        moved=former.moved,
    )


def _differs(former: Former, address: str) -> bool:
    return former.digests.get(address) != former.recorded.digests.get(address)


def _digests(recorded: Recorded, changed: Mapping[str, Attributes | None]) -> dict[str, str]:
    kept = {address: value for address, value in recorded.digests.items() if address not in changed}
    return {**kept, **{address: digest(value) for address, value in changed.items() if value is not None}}


async def _as_written(
    conn: Connection, site: str, first: int, found: Mapping[str, Attributes | None]
) -> dict[str, Attributes]:
    """What the newest earlier plans wrote, by address; nothing of what no plan wrote."""
    wanted = {address for address, value in found.items() if value is not None}
    exact: dict[str, Attributes] = {}
    for number in await past_state.recorded_numbers(conn, site):
        if number >= first or not wanted:
            continue
        changed = from_jsonb(await past_state.plan_of(conn, site, number) or "{}").get("changed", {})
        for address in wanted & set(changed):
            if changed[address] is not None:
                exact[address] = changed[address]
        wanted -= set(changed)
    return exact
