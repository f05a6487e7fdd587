"""What changes of alarms leave behind for the worker that notifies people, in the transaction that stores the change, and what
became of it.

A row of `notification` is one message: of one occurrence of one alarm, at one step, to one channel. It is written before the
message is sent and marked after: who finds it `sending` sends it once more, marked as repeated.

See docs/decisions/0091.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import orjson

from nexus_cli.database import jobs
from nexus_cli.database.connect import Connection
from nexus_cli.database.nul import plain
from nexus_cli.wire.alert import Alert

HAPPENED = ""
"""As a channel: the row that says that an alarm became active. Floods are counted by these."""
FLOOD_LOOK_US = 2 * 3600 * 1_000_000
HOLDS = ("shelved_until", "out_of_service", "suppressed_by")
"""What keeps an alarm from people."""
MARGIN_S = 1.0
"""A digest is at least so far ahead of what waits for it: the transaction that let it wait has ended by then."""
MOST_COUNTED = 20_000
PRIORITIES = {"critical": 40, "high": 30, "medium": 20, "low": 10}
"""Of the jobs, by priority of the alarm."""


class Claim(NamedTuple):
    """A message that is to be sent now; `repeated` when it may have been sent before."""

    repeated: bool


async def note(conn: Connection, site: str, alert: Alert) -> None:
    """Note that an alarm changed. Noting one twice is noting it once (site, name and `since` are its key).

    An alert without a priority is no alarm, and an acknowledgement notifies no one.
    """
    facts: dict[str, Any] = msgspec.to_builtins(alert)
    priority = str(facts.get("priority") or "")
    held = any(facts.get(name) for name in HOLDS)
    if not priority or alert.state == "acknowledged" or held:
        return  # one that was held and is active still is noted when the hold ends
    occurrence = int(facts.get("occurrence") or (alert.since if alert.state == "active" else 0))
    if not occurrence:
        return
    facts["occurrence"] = occurrence
    if alert.state == "active":
        new = await conn.fetchval(
            """INSERT INTO nexus.notification (site, alert, occurrence, step, channel, state)
               VALUES ($1, $2, $3, 'active', $4, 'noted') ON CONFLICT DO NOTHING RETURNING 1""",
            *(site, alert.name, occurrence, HAPPENED),
        )
        if not new:
            return
    elif not await conn.fetchval(
        """SELECT EXISTS (SELECT FROM nexus.notification
                          WHERE site = $1 AND alert = $2 AND occurrence = $3 AND step = 'active' AND channel = $4)""",
        *(site, alert.name, occurrence, HAPPENED),
    ):
        return  # it became active while it was held: no one knows of what is over
    key = f"notify {alert.name} {occurrence} {alert.state}"
    await jobs.enqueue(conn, site, "notify", {"alert": facts}, priority=PRIORITIES.get(priority, 10), key=key)


async def activations(conn: Connection, site: str, *, until_us: int) -> list[int]:
    """When alarms became active in the two hours up to a moment, ascending, µs since 1970 UTC; the newest 20,000."""
    rows = await conn.fetch(
        """SELECT occurrence FROM nexus.notification
           WHERE site = $1 AND channel = $2 AND step = 'active' AND occurrence BETWEEN $3 AND $4
           ORDER BY occurrence DESC LIMIT $5""",
        *(site, HAPPENED, until_us - FLOOD_LOOK_US, until_us, MOST_COUNTED),
    )
    return [row["occurrence"] for row in reversed(rows)]


async def alert_now(conn: Connection, site: str, name: str) -> dict[str, Any]:
    """What is stored of an alert; empty when there is none."""
    found = await conn.fetchval(
        """SELECT (to_jsonb(a) || jsonb_build_object(
             'held_until', extract(epoch FROM (to_jsonb(a)->>'shelved_until')::timestamptz)::float8,
             'began', (extract(epoch FROM (to_jsonb(a)->>'occurrence')::timestamptz) * 1000000)::bigint,
             'now', extract(epoch FROM now())::float8))::text
           FROM nexus.alert a WHERE site = $1 AND name = $2""",
        *(site, name),
    )
    return {} if found is None else dict(orjson.loads(found))


async def configuration(conn: Connection, site: str) -> dict[str, dict[str, Any]]:
    """The recorded resources that say whom alarms reach, by address."""
    rows = await conn.fetch(
        """SELECT address, attributes::text AS attributes FROM nexus.resource
           WHERE site = $1 AND (address = 'site' OR split_part(address, '.', 1) IN ('channel', 'route', 'digest'))""",
        site,
    )
    return {row["address"]: orjson.loads(row["attributes"]) for row in rows}


async def was_digested(conn: Connection, site: str, *, alert: str, occurrence: int) -> bool:
    """True when something of this occurrence went into a digest: what follows goes there, too."""
    found = await conn.fetchval(
        """SELECT EXISTS (SELECT FROM nexus.notification WHERE site = $1 AND alert = $2 AND occurrence = $3
                          AND (digest IS NOT NULL OR state = 'waiting'))""",
        *(site, alert, occurrence),
    )
    return bool(found)


async def wait_for_digest(
    conn: Connection, site: str, *, alert: str, occurrence: int, step: str, channel: str, about: Mapping[str, Any]
) -> None:
    """Let a message wait for the next digest; one that is there already stays."""
    await conn.execute(
        """INSERT INTO nexus.notification (site, alert, occurrence, step, channel, state, tries, about)
           VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6::text::jsonb) ON CONFLICT DO NOTHING""",
        *(site, alert, occurrence, step, channel, orjson.dumps(about).decode()),
    )


async def plan_digest(conn: Connection, site: str, *, every_ms: int) -> None:
    """Put the next digest in, in the transaction of what waits for it: at the next whole multiple of its period.

    A digest that runs has an earlier number, so that a message that arrives while it runs has its own digest.
    """
    now_s = float(await conn.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8"))
    every_s = every_ms / 1000
    number = int((now_s + MARGIN_S) / every_s) + 1
    await jobs.enqueue(
        conn, site, "digest", {"number": number}, priority=50, key=f"digest {number}", after_s=number * every_s - now_s
    )


async def claim(conn: Connection, site: str, *, alert: str, occurrence: int, step: str, channel: str) -> Claim | None:
    """Write that a message is being sent; None when it was."""
    row = await conn.fetchrow(
        """WITH before AS (SELECT state FROM nexus.notification
                           WHERE site = $1 AND alert = $2 AND occurrence = $3 AND step = $4 AND channel = $5)
           INSERT INTO nexus.notification AS n (site, alert, occurrence, step, channel, state)
           VALUES ($1, $2, $3, $4, $5, 'sending')
           ON CONFLICT (site, alert, occurrence, step, channel)
           DO UPDATE SET tries = n.tries + 1, state = 'sending' WHERE n.state IN ('sending', 'failed')
           RETURNING (SELECT state FROM before) AS before""",
        *(site, alert, occurrence, step, channel),
    )
    return None if row is None else Claim(repeated=row["before"] == "sending")


async def settle(
    conn: Connection, site: str, *, alert: str, occurrence: int, step: str, channel: str, failed: str = ""
) -> None:
    """Write that a message was sent, or, with `failed`, that it surely was not."""
    await conn.execute(
        """UPDATE nexus.notification SET state = $6, detail = $7, sent = CASE WHEN $6 = 'sent' THEN now() END
           WHERE site = $1 AND alert = $2 AND occurrence = $3 AND step = $4 AND channel = $5""",
        *(site, alert, occurrence, step, channel, "failed" if failed else "sent", plain(failed)[:1000]),
    )


class Digested(NamedTuple):
    """What a digest to one channel has; `repeated` when it may have been sent before."""

    channel: str
    repeated: bool
    about: list[dict[str, Any]]


async def claim_digest(conn: Connection, site: str, *, job: int) -> list[Digested]:
    """What waits for a digest becomes that of this job, by channel; what an earlier try of it had comes first."""
    async with conn.transaction():
        old = await conn.fetch(
            """SELECT channel, state, about::text AS about FROM nexus.notification
               WHERE site = $1 AND digest = $2 AND state IN ('sending', 'failed') ORDER BY channel, occurrence, alert""",
            *(site, job),
        )
        new = await conn.fetch(
            """WITH taken AS (
                 SELECT ctid FROM nexus.notification WHERE site = $1 AND state = 'waiting' FOR UPDATE SKIP LOCKED)
               UPDATE nexus.notification SET state = 'sending', digest = $2, tries = tries + 1
               WHERE ctid IN (SELECT ctid FROM taken) AND NOT (channel = ANY($3))
               RETURNING channel, 'waiting' AS state, about::text AS about, occurrence, alert""",
            *(site, job, [row["channel"] for row in old]),
        )
        await conn.execute(
            "UPDATE nexus.notification SET state = 'sending', tries = tries + 1 WHERE site = $1 AND digest = $2 "
            "AND state = 'failed'",
            *(site, job),
        )
    found: dict[str, Digested] = {}
    for row in (*old, *sorted(new, key=lambda one: (one["channel"], one["occurrence"], one["alert"]))):
        one = found.get(row["channel"]) or Digested(row["channel"], False, [])
        one.about.append(orjson.loads(row["about"]))
        found[row["channel"]] = one._replace(repeated=one.repeated or row["state"] == "sending")
    return list(found.values())


async def settle_digest(conn: Connection, site: str, *, job: int, channel: str, failed: str = "") -> None:
    """As `settle`, of all that a digest to one channel has."""
    await conn.execute(
        """UPDATE nexus.notification SET state = $4, detail = $5, sent = CASE WHEN $4 = 'sent' THEN now() END
           WHERE site = $1 AND digest = $2 AND channel = $3 AND state = 'sending'""",
        *(site, job, channel, "failed" if failed else "sent", plain(failed)[:1000]),
    )


async def still_waiting(conn: Connection, site: str) -> bool:
    """True when something waits for a digest."""
    query = "SELECT EXISTS (SELECT FROM nexus.notification WHERE site = $1 AND state = 'waiting')"
    return bool(await conn.fetchval(query, site))
