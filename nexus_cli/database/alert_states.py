"""The state of each alert (`alert`); its journal is in `alert_journal`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import orjson

from nexus_cli.database import alert_journal, notices
from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.nul import storable
from nexus_cli.json_value import JsonObject
from nexus_cli.wire.alert import Alert, AlertEvent
from nexus_cli.wire.sample import Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEPT_CHANGES = 1_000
"""Changes of one alert in one answer."""
LOOK_BACK_DAYS = 7
LOOK_BACK_MS = 3_000
"""How far back, and how long, the newest stored value of a tag is looked for."""


class StoredAlert(NamedTuple):
    """The state of an alert as it was stored. Times are µs since 1970 UTC; 0 is none.

    Attributes:
        state: `cleared`, `active`, `acknowledged` or `returned`.
        since: When that state began.
        value: The value that made it active, or the newest while it was.
        acknowledged_by: Principal, "" unless it is acknowledged.
        pending: Of a condition that held without being active yet, a `StoredTimer` of control; None when none did.
        stored, now: When the row was written and what time it is, both by the database's clock.
        timers: What else ran in it, a `StoredTimers`; None when nothing did.
        changed, occurrence, first_out, shelved_until, shelved_by, shelved_reason, out_of_service, out_of_service_by,
            out_of_service_reason, suppressed_by: As in `wire.alert.Alert`.
    """

    state: str
    since: int
    value: Value
    acknowledged_by: str
    pending: JsonObject | None = None
    stored: int = 0
    now: int = 0
    timers: JsonObject | None = None
    changed: int = 0
    occurrence: int = 0
    first_out: bool = False
    shelved_until: int = 0
    shelved_by: str = ""
    shelved_reason: str = ""
    out_of_service: int = 0
    out_of_service_by: str = ""
    out_of_service_reason: str = ""
    suppressed_by: str = ""

    def facts(self, name: str, *, severity: str = "", tag: str = "", description: str = "", **declared: str) -> Alert:
        """As it is published; what the site declares of it is given."""
        beside: dict[str, Any] = {key: getattr(self, key) for key in BESIDE}
        more: dict[str, Any] = dict(declared)
        return Alert(
            name=name,
            state=self.state,
            since=self.since,
            value=self.value,
            severity=severity,
            tag=tag,
            description=description,
            acknowledged_by=self.acknowledged_by,
            **more,
            **beside,
        )


_TIMES = ("changed", "occurrence", "shelved_until", "out_of_service")
_PLAIN = ("first_out", "shelved_by", "shelved_reason", "out_of_service_by", "out_of_service_reason", "suppressed_by")
BESIDE = (*_TIMES, *_PLAIN)
"""What an alert is beside its state: columns, and fields of `Alert`."""


class LastValue(NamedTuple):
    """The newest stored sample of a tag: its value, the label of its code (of an enumeration), and 192, 64 or 0."""

    value: Value
    label: str | None
    quality: int


async def load(conn: Connection, site: str) -> dict[str, StoredAlert]:
    """Every stored alert by name."""
    fetched = await conn.fetch(
        "SELECT name, state, since, value::text AS value, acknowledged_by, pending::text AS pending, stored, "
        f"timers::text AS timers, {', '.join(BESIDE)}, clock_timestamp() AS now FROM nexus.alert WHERE site = $1",
        site,
    )
    return {row["name"]: _stored(row) for row in fetched}


def _stored(row: Mapping[str, Any]) -> StoredAlert:
    beside: dict[str, Any] = {key: 0 if row[key] is None else microseconds(row[key]) for key in _TIMES}
    beside |= {key: row[key] for key in _PLAIN}
    return StoredAlert(
        state=row["state"],
        since=microseconds(row["since"]),
        value=None if row["value"] is None else orjson.loads(row["value"]),
        acknowledged_by=row["acknowledged_by"],
        pending=None if row["pending"] is None else orjson.loads(row["pending"]),
        stored=microseconds(row["stored"]),
        now=microseconds(row["now"]),
        timers=None if row["timers"] is None else orjson.loads(row["timers"]),
        **beside,
    )


async def write(
    conn: Connection,
    site: str,
    alert: Alert,
    *,
    pending: JsonObject | None,
    timers: JsonObject | None = None,
    event: AlertEvent | None,
) -> None:
    """Store the state of an alert; with an `event` also its line in the journal. Writing one twice is writing it once.

    A state older than the stored one is kept in the journal and moves nothing back: changes that could not be stored in
    time may come late (another control may have led since).
    """
    value = storable(orjson.dumps(alert.value).decode())
    await conn.execute(
        _UPSERT,
        *(site, alert.name, alert.state, _moment(alert.since), value, alert.severity, alert.acknowledged_by),
        *(_json(pending), _json(timers), _moment(max(alert.changed, alert.since))),
        *(_moment(getattr(alert, key)) for key in _TIMES[1:]),
        *(getattr(alert, key) for key in _PLAIN),
    )
    if event is not None and await alert_journal.add(conn, site, alert, event):
        await notices.note(conn, site, alert)


_SET = ("state", "since", "value", "severity", "acknowledged_by", "pending", "timers", "stored", *BESIDE)
_UPSERT = (
    f"INSERT INTO nexus.alert AS a (site, name, state, since, value, severity, acknowledged_by, pending, timers, stored, "
    f"{', '.join(BESIDE)}) VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8::text::jsonb, $9::text::jsonb, "
    f"clock_timestamp(), {', '.join(f'${number}' for number in range(10, 10 + len(BESIDE)))}) "
    f"ON CONFLICT (site, name) DO UPDATE SET {', '.join(f'{one} = excluded.{one}' for one in _SET)} "
    "WHERE coalesce(a.changed, a.since) <= excluded.changed"
)


def _moment(time_us: int) -> datetime | None:
    return EPOCH + timedelta(microseconds=time_us) if time_us else None


def _json(value: JsonObject | None) -> str | None:
    return None if value is None else storable(orjson.dumps(value).decode())


async def delete(conn: Connection, site: str, names: Sequence[str]) -> None:
    """Delete the state of alerts that are no longer declared; their changes stay on record, and an end of those that were not cleared."""
    await alert_journal.end(conn, site, names)
    await conn.execute("DELETE FROM nexus.alert WHERE site = $1 AND name = ANY($2::text[])", site, list(names))


async def last_values(conn: Connection, site: str, paths: Sequence[str]) -> dict[str, LastValue]:
    """The newest stored sample of tags, by path.

    At most a week and a few seconds are looked back: beyond that, and where the database is busy, there is none.
    """
    found: dict[str, LastValue] = {}
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL statement_timeout = {LOOK_BACK_MS}")
            fetched = await conn.fetch(
                "SELECT s.path, s.labels::text AS labels, s.type, v.value, v.value_exact, v.value_text, v.quality "
                "FROM nexus.series AS s CROSS JOIN LATERAL (SELECT value, value_exact, value_text, quality "
                "FROM nexus.sample WHERE series_id = s.id AND \"time\" > now() - $3::int4 * interval '1 day' "
                'ORDER BY "time" DESC LIMIT 1) AS v WHERE s.site = $1 AND s.path = ANY($2::text[]) AND s.active',
                *(site, list(paths), LOOK_BACK_DAYS),
            )
    except asyncpg.QueryCanceledError:
        return found
    for row in fetched:
        value = next((row[key] for key in ("value_exact", "value", "value_text") if row[key] is not None), None)
        if row["value_exact"] is not None:
            value = int(row["value_exact"])
        elif row["type"] == "bool" and value is not None:
            value = bool(value)
        code = str(int(value)) if isinstance(value, (int, float)) else ""
        found[row["path"]] = LastValue(value, orjson.loads(row["labels"]).get(code), int(row["quality"]))
    return found
