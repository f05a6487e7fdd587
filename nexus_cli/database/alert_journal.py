"""The journal of alerts (`alert_change`): every change of every alert, and the floods, kept by age."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.nul import storable
from nexus_cli.wire.alert import Alert, AlertEvent
from nexus_cli.wire.control import AlertChange
from nexus_cli.wire.control_alarms import JournalLine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEPT_DAYS = 400
"""How long a line is kept."""
DROPPED_AT_ONCE = 5_000
"""Lines that one statement deletes."""
AUDITED = {
    "acknowledged": "acknowledge",
    "shelved": "shelve",
    "unshelved": "unshelve",
    "out-of-service": "alert-out-of-service",
    "in-service": "alert-in-service",
}
"""Kinds that a person did, and their word in the audit trail."""
MOST_COUNTED = 50_000
_PAGE = 2_000
_COLUMNS = (
    "name, at, state, value::text AS value, severity, tag, acknowledged_by, kind, who, reason, priority, alarm_group, held, "
    "first_out"
)


async def add(conn: Connection, site: str, alert: Alert, event: AlertEvent) -> bool:
    """Add a line; False when it is on record already. What a person did is in the audit trail, too."""
    at = EPOCH + timedelta(microseconds=event.at)
    done = await conn.execute(
        "INSERT INTO nexus.alert_change (site, name, at, state, value, severity, tag, acknowledged_by, kind, who, reason, "
        "priority, alarm_group, held, first_out) VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8, $9, $10, $11, $12, "
        "$13, $14, $15) ON CONFLICT DO NOTHING",
        *(site, alert.name, at, event.state, storable(orjson.dumps(alert.value).decode()), alert.severity, alert.tag),
        *(event.who if event.state == "acknowledged" and event.kind == "acknowledged" else "", event.kind, event.who),
        *(storable(event.reason), alert.priority, alert.group, event.held, alert.first_out and event.kind == "active"),
    )
    if done != "INSERT 0 1":
        return False
    if event.who and event.kind in AUDITED:
        detail = {"reason": event.reason} if event.reason else {}
        if event.kind == "shelved":
            detail["until"] = alert.shelved_until  # type: ignore[assignment]
        await conn.execute(
            "INSERT INTO nexus.audit (site, at, who, what, subject, detail) VALUES ($1, $2, $3, $4, $5, $6::text::jsonb)",
            *(site, at, event.who, AUDITED[event.kind], alert.name, storable(orjson.dumps(detail).decode())),
        )
    return True


async def end(conn: Connection, site: str, names: Sequence[str]) -> None:
    """Add a line `cleared` for alerts that are taken out of the site while they are not cleared: they don't stay active for ever."""
    await conn.execute(
        "INSERT INTO nexus.alert_change (site, name, at, state, value, severity, tag, acknowledged_by, kind, who, reason, "
        "priority, alarm_group, held, first_out) SELECT a.site, a.name, "
        "greatest(clock_timestamp(), a.changed + interval '1 microsecond'), 'cleared', last.value, last.severity, last.tag, "
        "'', 'cleared', '', 'no longer declared', last.priority, last.alarm_group, last.held, false "
        "FROM nexus.alert AS a CROSS JOIN LATERAL (SELECT * FROM nexus.alert_change AS c WHERE c.site = a.site "
        "AND c.name = a.name ORDER BY c.at DESC LIMIT 1) AS last "
        "WHERE a.site = $1 AND a.name = ANY($2::text[]) AND a.state <> 'cleared' ON CONFLICT DO NOTHING",
        *(site, list(names)),
    )


async def drop_old(conn: Connection, site: str) -> int:
    """Delete lines that are older than `KEPT_DAYS`, at most `DROPPED_AT_ONCE`; how many."""
    done = await conn.execute(
        "DELETE FROM nexus.alert_change WHERE ctid = ANY(ARRAY(SELECT ctid FROM nexus.alert_change WHERE site = $1 "
        "AND at < now() - $2::int4 * interval '1 day' LIMIT $3))",
        *(site, KEPT_DAYS, DROPPED_AT_ONCE),
    )
    return int(done.rpartition(" ")[2])


async def changes(conn: Connection, site: str, name: str, *, limit: int) -> list[AlertChange]:
    """The newest lines of one alert, oldest first; `at` in µs since 1970 UTC."""
    fetched = await conn.fetch(
        f"SELECT {_COLUMNS} FROM nexus.alert_change WHERE site = $1 AND name = $2 ORDER BY at DESC LIMIT $3",
        *(site, name, limit),
    )
    return [
        AlertChange(
            at=microseconds(row["at"]),
            state=row["state"],
            value=None if row["value"] is None else orjson.loads(row["value"]),
            severity=row["severity"],
            tag=row["tag"],
            acknowledged_by=row["acknowledged_by"],
            kind=row["kind"],
            who=row["who"],
            reason=row["reason"],
        )
        for row in reversed(fetched)
    ]


async def newest(
    conn: Connection,
    site: str,
    *,
    since_us: int,
    names: Sequence[str] | None = None,
    kinds: Sequence[str] = (),
    priorities: Sequence[str] = (),
    groups: Sequence[str] = (),
    limit: int,
    before: tuple[int, str] | None = None,
) -> list[JournalLine]:
    """The newest lines, oldest first. `names` limits them to these alerts; floods have the name ""; empty lists are all.

    `before` is the time and the name of a line: only those in front of it.
    """
    fetched = await conn.fetch(
        f"SELECT {_COLUMNS} FROM nexus.alert_change WHERE site = $1 AND at >= $2 "
        "AND ($3::text[] IS NULL OR name = ANY($3)) AND ($4::text[] = '{}' OR kind = ANY($4)) "
        "AND ($5::text[] = '{}' OR priority = ANY($5)) AND ($6::text[] = '{}' OR alarm_group = ANY($6)) "
        "AND ($8::timestamptz IS NULL OR (at, name) < ($8, $9)) ORDER BY at DESC, name DESC LIMIT $7",
        *(site, EPOCH + timedelta(microseconds=since_us), None if names is None else list(names)),
        *(list(kinds), list(priorities), list(groups), limit),
        *((EPOCH + timedelta(microseconds=before[0]), before[1]) if before else (None, "")),
    )
    return [_line(row) for row in reversed(fetched)]


async def lines(
    conn: Connection, site: str, *, since_us: int, until_us: int, names: Sequence[str] | None = None
) -> AsyncIterator[JournalLine]:
    """Every line of a span (`since <= at < until`) by time, page by page. Inside a transaction."""
    cursor = conn.cursor(
        f"SELECT {_COLUMNS} FROM nexus.alert_change WHERE site = $1 AND at >= $2 AND at < $3 "
        "AND ($4::text[] IS NULL OR name = ANY($4)) ORDER BY at, name",
        *(site, EPOCH + timedelta(microseconds=since_us), EPOCH + timedelta(microseconds=until_us)),
        None if names is None else list(names),
        prefetch=_PAGE,
    )
    async for row in cursor:
        yield _line(row)


async def flood_lines(conn: Connection, site: str) -> list[JournalLine]:
    """What a count of floods continues with: the alarms of the last 10 minutes, or since the last flood began; oldest first."""
    fetched = await conn.fetch(
        "WITH flood AS (SELECT at, kind FROM nexus.alert_change WHERE site = $1 AND name = '' ORDER BY at DESC LIMIT 1) "
        f"SELECT {_COLUMNS} FROM nexus.alert_change WHERE site = $1 AND (name = '' OR (kind = 'active' AND priority <> '' "
        "AND NOT held)) AND at >= least(now() - interval '10 minutes', "
        "(SELECT at - interval '10 minutes' FROM flood WHERE kind = 'flood-begins')) ORDER BY at DESC LIMIT $2",
        *(site, MOST_COUNTED),
    )
    return [_line(row) for row in reversed(fetched)]


async def began_us(conn: Connection, site: str) -> int:
    """Since when there is a record: the site's first deployment, or the first line; µs since 1970 UTC, 0 when neither is."""
    found = await conn.fetchval(
        "SELECT least((SELECT min(started) FROM nexus.deployment WHERE site = $1), "
        "(SELECT min(at) FROM nexus.alert_change WHERE site = $1))",
        site,
    )
    return 0 if found is None else microseconds(found)


async def standing_at(conn: Connection, site: str, at_us: int) -> dict[str, JournalLine]:
    """The last line before a moment that changed the state of each alert, of those that were not cleared then."""
    fetched = await conn.fetch(
        f"SELECT DISTINCT ON (name) {_COLUMNS} FROM nexus.alert_change WHERE site = $1 AND at < $2 AND name <> '' "
        "AND kind IN ('active', 'returned', 'acknowledged', 'cleared') ORDER BY name, at DESC",
        *(site, EPOCH + timedelta(microseconds=at_us)),
    )
    return {row["name"]: _line(row) for row in fetched if row["state"] != "cleared"}


def _line(row: Mapping[str, Any]) -> JournalLine:
    return JournalLine(
        name=row["name"],
        at=microseconds(row["at"]),
        kind=row["kind"],
        state=row["state"],
        value=None if row["value"] is None else orjson.loads(row["value"]),
        severity=row["severity"],
        tag=row["tag"],
        who=row["who"],
        reason=row["reason"],
        priority=row["priority"],
        group=row["alarm_group"],
        held=row["held"],
        first_out=row["first_out"],
    )
