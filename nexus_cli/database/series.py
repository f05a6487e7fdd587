"""Series: the stored history of each tag. An id is minted once and survives renames; a forgotten series keeps its
samples and is resumed when its path comes back; a change of type or unit starts a new segment, and what a tag was called
and measured at each time stays on record (see `segments`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from nexus_cli.database.assignment import assign
from nexus_cli.database.connect import Connection
from nexus_cli.database.minting import EXTERNAL, SeriesFacts, create_series, facts_by_path
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.queries import Series, series_at
from nexus_cli.database.sample_class import ensure_class, load_classes
from nexus_cli.model.config import DeviceConfig

RECORDED_CHANNEL = "nexus_recorded"
"""Where PostgreSQL notifies, at the commit, that the series of a site changed; the payload is the site."""
GLOB_LOCK = 0x6E6578_75730005
"""Seed of the advisory locks under which the series of an external device's globs are made."""
DEVICE_LEVELS = 3
"""area/line/device; a series that an external glob made may lie deeper than one level below its device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesChange:
    """The result of `sync_series`, as paths in ascending order.

    Attributes:
        created: New series.
        resumed: Forgotten ones that came back.
        forgotten: No longer declared; their samples are kept.
        moved: (old path, new path) of series that kept their id.
        segmented: Type or unit changed: a new segment began.
    """

    created: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    segmented: tuple[str, ...] = ()


async def sync_series(
    conn: Connection,
    *,
    site: str,
    devices: Mapping[str, DeviceConfig | None],
    moved: Sequence[tuple[str, str]] = (),
    wanted: Mapping[str, SeriesFacts] | None = None,
) -> SeriesChange:
    """Bring the series of the changed devices in line; part of the caller's transaction.

    Args:
        conn: An open connection, best inside the deployment's transaction.
        site: `enterprise/site`.
        devices: New or changed devices by path with all their tags, None for a removed device. Devices that are
            not named stay untouched.
        moved: (from, to) paths of tags, devices or whole lines that were renamed. Ids and samples go along.
        wanted: `facts_by_path(devices)`, where it was made before; the tags of the devices are not read then.
    """
    wanted = facts_by_path(devices) if wanted is None else wanted
    async with conn.transaction():
        renamed = await _move(conn, site=site, moved=moved)
        await _ensure_classes(conn, {facts.retention for facts in wanted.values()}, site=site)
        have = await _load(conn, site=site, devices=list(devices))
        created = sorted(wanted.keys() - have.keys())
        # Series that an external glob made are kept as long as their device is declared: the site does not name them.
        kept = {path for path, device in devices.items() if device is not None and device.protocol == EXTERNAL}
        forgotten = sorted(
            path
            for path, row in have.items()
            if path not in wanted and row.active and not (row.external and device_of(path) in kept)
        )
        resumed = sorted(path for path in wanted.keys() & have.keys() if not have[path].active)
        changed = [wanted[path] for path in wanted.keys() & have.keys() if _differs(wanted[path], have[path])]
        segmented = sorted(
            facts.path
            for facts in changed
            if (have[facts.path].type, have[facts.path].unit) != (facts.type, facts.unit)
        )
        await create_series(conn, site=site, facts=[wanted[path] for path in created])
        await _update(conn, site=site, facts=changed)
        await conn.execute(
            f"UPDATE {SCHEMA}.series SET {FORGET_SQL} WHERE site = $1 AND active AND path = ANY($2::text[])",
            *(site, forgotten),
        )
        await assign(conn, site=site, devices=devices)
        await conn.execute("SELECT pg_notify($1, $2)", RECORDED_CHANNEL, site)
    return SeriesChange(
        created=tuple(created),
        resumed=tuple(resumed),
        forgotten=tuple(forgotten),
        moved=tuple(renamed),
        segmented=tuple(segmented),
    )


def device_of(path: str) -> str:
    """The device that a series' path belongs to."""
    return "/".join(path.split("/", DEVICE_LEVELS)[:DEVICE_LEVELS])


async def create_by_globs(
    conn: Connection,
    *,
    site: str,
    device: str,
    facts: Sequence[SeriesFacts],
    matches: Callable[[str], bool],
    most: int,
) -> list[Series]:
    """Mint series that the globs of an external device cover, never more than its bound, however many ask at once.

    Args:
        conn: An open connection; one device at a time is worked on, over all historians.
        site: `enterprise/site`.
        device: The external device.
        facts: What is wanted, the most urgent first; a path that exists is left as it is.
        matches: Whether a path of the device is covered by its globs, and so counts.
        most: At most so many covered series.

    Returns:
        Those of the wanted series that exist now.
    """
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", f"{site}/{device}", GLOB_LOCK)
        rows = await conn.fetch(
            f"SELECT path FROM {SCHEMA}.series WHERE site = $1 AND external AND starts_with(path, $2)",
            *(site, f"{device}/"),
        )
        have = {row["path"] for row in rows}
        covered = sum(map(matches, have))
        new = [each for each in facts if each.path not in have][: max(0, most - covered)]
        await create_series(conn, site=site, facts=new)
        return await series_at(conn, site=site, paths=[each.path for each in facts])


def _named(segments: str, labels: str) -> str:
    """SQL: the segments, the newest with its value names; older versions did not write them down."""
    return (
        f"CASE WHEN jsonb_array_length({segments}) = 0 OR {segments}->-1 ? 'labels' THEN {segments}"
        f" ELSE ({segments} - -1) || jsonb_build_array({segments}->-1 || jsonb_build_object('labels', {labels})) END"
    )


FORGET_SQL = """active = false, segments = CASE WHEN jsonb_array_length(segments) = 0 THEN segments
  ELSE (segments - -1) || jsonb_build_array(segments->-1 || jsonb_build_object('until', now())) END"""
"""From now on its tag is not declared: the newest value does not hold any more."""


async def _update(conn: Connection, *, site: str, facts: Sequence[SeriesFacts]) -> None:
    """Write changed facts; a new segment where type or unit differ from the stored ones.

    Its place in time is written down as well where only the value names differ, or the tag is declared again: what was
    stored keeps the names that it was stored with, and no value holds over a time in which it was not read.
    """
    if not facts:
        return
    columns = [list(column) for column in zip(*facts, strict=True)]
    await conn.execute(
        f"""UPDATE {SCHEMA}.series AS s SET
              active = true, retention = n.retention, external = n.external, labels = n.labels, lineage = n.lineage,
              segment = s.segment + (s.type <> n.type OR s.unit <> n.unit)::int,
              segments = CASE WHEN s.type <> n.type OR s.unit <> n.unit OR s.labels <> n.labels OR NOT s.active
                THEN {_named("s.segments", "s.labels")} || jsonb_build_array(
                  jsonb_build_object('segment', s.segment + (s.type <> n.type OR s.unit <> n.unit)::int, 'type', n.type,
                    'unit', n.unit, 'labels', n.labels, 'since', now()))
                ELSE s.segments END,
              type = n.type, unit = n.unit
            FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::jsonb[], $8::jsonb[])
              AS n(path, type, unit, retention, external, labels, lineage)
            WHERE s.site = $1 AND s.path = n.path""",
        *(site, *columns),
    )


class _Stored(NamedTuple):
    """A row of `series`; `labels` and `lineage` are JSON texts."""

    path: str
    type: str
    unit: str
    retention: str
    active: bool
    external: bool
    labels: str
    lineage: str


def _differs(facts: SeriesFacts, row: _Stored) -> bool:
    stored = (row.type, row.unit, row.retention, row.external)
    if not row.active or stored != (facts.type, facts.unit, facts.retention, facts.external):
        return True
    return bool(
        orjson.loads(row.labels) != orjson.loads(facts.labels)
        or orjson.loads(row.lineage) != orjson.loads(facts.lineage)
    )


async def _load(conn: Connection, *, site: str, devices: list[str]) -> dict[str, _Stored]:
    """The series of these devices by path."""
    rows = await conn.fetch(
        f"""SELECT {", ".join(_Stored._fields)} FROM {SCHEMA}.series
            WHERE site = $1 AND array_to_string((string_to_array(path, '/'))[1:$3], '/') = ANY($2::text[])""",
        *(site, devices, DEVICE_LEVELS),
    )
    return {row["path"]: _Stored(*row) for row in rows}


async def _ensure_classes(conn: Connection, names: Iterable[str], *, site: str) -> None:
    """Create classes that are not declared (such as `default`) with the default retention."""
    known = await load_classes(conn, site=site)
    for name in sorted(set(names) - known.keys()):
        await ensure_class(conn, name, site=site)


async def _move(conn: Connection, *, site: str, moved: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rename series, swaps included; a series at a target that does not move itself is forgotten and set aside."""
    if not moved:
        return []
    rows = await conn.fetch(
        f"""SELECT s.path, s.ulid, m.old, m.new FROM {SCHEMA}.series s,
              unnest($2::text[], $3::text[]) WITH ORDINALITY AS m(old, new, place)
            WHERE s.site = $1 AND (s.path = m.old OR starts_with(s.path, m.old || '/')) ORDER BY m.place, s.path""",
        *(site, [old for old, _ in moved], [new for _, new in moved]),
    )
    targets: dict[str, str] = {}
    for row in rows:  # the most specific rename wins, the first of equals
        current = targets.get(row["path"])
        target = row["new"] + row["path"][len(row["old"]) :]
        if current is None or len(row["old"]) > len(next(old for old, new in moved if current.startswith(new))):
            targets[row["path"]] = target
    pairs = sorted((old, new) for old, new in targets.items() if old != new)
    if not pairs:
        return []
    olds, news = [old for old, _ in pairs], [new for _, new in pairs]
    await conn.execute(
        f"""UPDATE {SCHEMA}.series SET {FORGET_SQL}, path = path || '~' || ulid,
              former_paths = array_append(former_paths, path)
            WHERE site = $1 AND path = ANY($3::text[]) AND NOT path = ANY($2::text[])""",
        *(site, olds, news),
    )
    await conn.execute(  # first out of the way, so that a swap does not meet itself
        f"UPDATE {SCHEMA}.series SET path = path || '~moving' WHERE site = $1 AND path = ANY($2::text[])", site, olds
    )
    await conn.execute(
        f"""UPDATE {SCHEMA}.series s SET path = m.new,
              former_paths = array_append(array_remove(array_remove(former_paths, m.old), m.new), m.old)
            FROM unnest($2::text[], $3::text[]) AS m(old, new)
            WHERE s.site = $1 AND s.path = m.old || '~moving'""",
        *(site, olds, news),
    )
    return pairs
