"""The record step: resources, retention classes, series and the journal's `done`, all in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from nexus_cli.database import (
    alert_renames,
    credentials,
    deployments,
    elevations,
    kept_series,
    lease,
    out_of_service,
    tokens,
)
from nexus_cli.database.connect import Connection, Pool, is_lost
from nexus_cli.database.minting import SeriesFacts, facts_by_path
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.sample_class import bring_all_policies, ensure_class, forget_archive
from nexus_cli.database.series import sync_series
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.collection import collection_paused
from nexus_cli.model.config import DeviceConfig, device_from_json
from nexus_cli.model.resources import RetentionConfig, decode
from nexus_cli.model.snapshot import Attributes

DEVICE = "device."
RETENTION = "retention."
STORE = "archive.store"
USER = "user."


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """Forgotten series that a `moved:` entry takes to a tag which begins now.

    Attributes:
        below: Paths that the entries move from.
        created: Tag paths that the deployment creates.
        choose: (old, new) paths, from the forgotten paths and those of the created ones that have a series.
    """

    below: Sequence[str]
    created: Collection[str]
    choose: Callable[[Sequence[str], Collection[str]], list[tuple[str, str]]]


class LeaseLost(Exception):
    """The lock of the site is not ours any more: it was broken, or ran out and was taken."""


async def record(
    pool: Pool,
    site: str,
    *,
    deployment_id: int,
    token: str,
    changed: Mapping[str, Attributes | None],
    digests: Mapping[str, str],
    moved: Sequence[tuple[str, str]],
    returning: Returning | None = None,
) -> None:
    """Record a deployment's resources, whole or not at all.

    Args:
        pool: Where to.
        site: `enterprise/site`.
        deployment_id: Whose journal gets the `done`.
        token: Proof of the lease; looked at inside the transaction.
        changed: Attributes by address; None removes.
        digests: Digest of each written resource, as the client and the plan know it.
        moved: (old, new) tag paths.
        returning: Which forgotten series come back under another path.

    Raises:
        LeaseLost: Nothing was recorded.
        NexusError: NX5000, the database refused the data; nothing was recorded.
        OSError, asyncpg.PostgresError: The database is away; the journal has whether it was recorded.
    """
    # Seconds of computing for a large site: beside the loop, and before anything is locked.
    devices, wanted, kept = await asyncio.to_thread(_series, changed)
    try:
        async with pool.acquire() as conn, conn.transaction():
            if not await lease.holds(conn, site, token=token):
                raise LeaseLost
            await _classes(conn, site, changed)
            await _forget_people(conn, site, changed)
            await deployments.write_resources(conn, site, deployment_id, changed, digests=digests)
            await alert_renames.follow_renames(conn, site, moved=moved)
            await out_of_service.follow_renames(conn, site, moved=moved, changed=changed)
            back = await _forgotten(conn, site, returning)
            await sync_series(conn, site=site, devices=devices, moved=[*moved, *back], wanted=wanted)
            if await kept_series.protect(conn, site=site, paths=kept, deployment_id=deployment_id):
                await bring_all_policies(conn, site=site)
            await deployments.write_journal(conn, deployment_id, deployments.RECORD_STEP, "done")
    except asyncpg.PostgresError as error:
        if is_lost(error):
            raise
        raise NexusError(
            "The database refused what was to be recorded; nothing changed.",
            code="NX5000",
            hint="check with `nexus db check` whether the schema is up to date",
            cause=f"{type(error).__name__}: {error}",
        ) from None


async def _forgotten(conn: Connection, site: str, returning: Returning | None) -> list[tuple[str, str]]:
    """(old, new) paths of forgotten series that come back under the name of a tag which begins now."""
    if returning is None or not returning.below or not returning.created:
        return []
    rows = await conn.fetch(
        f"""SELECT DISTINCT s.path FROM {SCHEMA}.series s, unnest($2::text[]) AS m(old)
            WHERE s.site = $1 AND NOT s.active AND (s.path = m.old OR starts_with(s.path, m.old || '/'))""",
        *(site, list(returning.below)),
    )
    if not rows:
        return []
    present = await conn.fetch(
        f"SELECT path FROM {SCHEMA}.series WHERE site = $1 AND path = ANY($2::text[])", site, list(returning.created)
    )
    return returning.choose([row["path"] for row in rows], {row["path"] for row in present})


async def _forget_people(conn: Connection, site: str, changed: Mapping[str, Attributes | None]) -> None:
    """End passwords, tokens and elevation of a removed user, and what a new one's name may have had before: another person
    had it. Call before the resources are written."""
    people = [address for address in changed if address.startswith(USER)]
    known = await deployments.attributes(conn, site, people) if people else {}
    for address in people:
        if changed[address] is None or address not in known:
            name = address.removeprefix(USER)
            await credentials.remove(conn, site, name)
            await tokens.revoke_all(conn, site, principal=name)
            await elevations.end_all(conn, site, principal=name)


async def _classes(conn: Connection, site: str, changed: Mapping[str, Attributes | None]) -> None:
    if (
        STORE in changed and changed[STORE] is None
    ):  # also of classes that are declared no more: else they would stay for ever
        await forget_archive(conn, site=site)
    for address, value in changed.items():
        if address.startswith(RETENTION) and value is not None:
            declared = decode(value, RetentionConfig)
            await ensure_class(
                conn,
                address.removeprefix(RETENTION),
                site=site,
                keep_ms=declared.keep_ms,
                compress_after_ms=declared.compress_after_ms,
                rollups=declared.rollups,
                archive_after_ms=declared.archive_after_ms,
                archive_keep_ms=declared.archive_keep_ms,
            )


def _series(
    changed: Mapping[str, Attributes | None],
) -> tuple[dict[str, DeviceConfig | None], dict[str, SeriesFacts], list[str]]:
    """The changed devices without their tags, the facts of their series, and the paths of tags with `keep: always`.

    Device by device, so that the decoded tags of a large site are never held all at once.
    """
    devices: dict[str, DeviceConfig | None] = {}
    facts: dict[str, SeriesFacts] = {}
    kept: list[str] = []
    with collection_paused():
        for address, value in changed.items():
            if not address.startswith(DEVICE):
                continue
            path, device = address.removeprefix(DEVICE), None if value is None else device_from_json(value)
            facts |= facts_by_path({path: device})
            if device is not None:
                kept += [f"{path}/{name}" for name, tag in device.tags.items() if tag.keep_always]
            devices[path] = None if device is None else msgspec.structs.replace(device, tags={})
    return devices, facts, kept
