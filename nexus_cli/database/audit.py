"""The audit trail, read: who did what, when, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.ordered import from_jsonb
from nexus_cli.json_value import read_fields
from nexus_cli.wire.control_audit import AuditEntry, AuditTrail

KINDS: dict[str, tuple[str, ...]] = {
    "command": ("command",),
    "sequence": ("sequence",),
    "deployment": ("apply", "break-lock", "confirm", "resume", "use-approval", "refuse-plan"),
    "rollout": (
        "rollout",
        "rollout-applied",
        "rollout-stop",
        "rollout-stopped",
        "rollout-resume",
        "rollout-rollback",
        "rollout-rolled-back",
        "outside-window",
    ),
    "alert": ("acknowledge", "shelve", "unshelve", "alert-out-of-service", "alert-in-service"),
    "message": ("publish",),
    "device": ("out-of-service", "in-service", "discover", "delete-discovery"),
    "retained": ("clear-retained",),
    "job": ("retry-job", "discard-job"),
    "history": ("purge", "purged", "keep-end", "adopt-series", "restore-archive", "correct-history"),
    "drift": ("revert-drift", "adopt-identity"),
    "export": ("export", "download-export", "delete-export"),
    "signature": ("refused-message",),
    "dead-letter": ("retry-dead-letter", "discard-dead-letter"),
    "access": (
        "refused",
        "login",
        "logout",
        "make-token",
        "revoke-token",
        "rotate",
        "elevate",
        "end-elevation",
        "renew-signing-key",
    ),
}
"""Values of `audit.what` by the `--kind` of the command line."""
FACTS = tuple(name for name in AuditEntry.__struct_fields__ if name not in ("at", "kind", "what", "who", "subject"))
"""Keys of `audit.detail` that are shown; the others stay in the table."""
MOST = 1000
_SPECIAL = re.compile(r"(?![A-Za-z0-9_])[\x01-\x7f]")


async def trail(
    conn: Connection,
    site: str,
    *,
    since_us: int = 0,
    until_us: int | None = None,
    path: str = "",
    who: str = "",
    kind: str = "",
    what: str = "",
    limit: int = 50,
    before: tuple[int, int] | None = None,
) -> AuditTrail:
    """The newest lines, oldest first.

    Args:
        conn: Where the trail is.
        site: `enterprise/site`.
        since_us: Not older, µs since 1970 UTC.
        until_us: Not newer; None is now.
        path: A path or glob of tags (or the name of a sequence); "" is all. A path covers what lies below it.
        who: A principal, also one that sent a command for another (`via`); "" is everybody.
        kind: A key of `KINDS`; "" is all.
        what: One of its values, such as `break-lock`; "" is all.
        limit: At most so many, up to `MOST`.
        before: Only lines older than this one: time in µs, and number; None begins with the newest. From `AuditTrail.older`.
    """
    limit = max(1, min(limit, MOST))
    rows = await conn.fetch(
        """SELECT id, at, who, what, subject, detail::text AS detail FROM nexus.audit
           WHERE site = $1 AND at >= $2 AND ($3 = '' OR subject ~ $3) AND ($4 = '' OR who = $4 OR detail->>'via' = $4)
             AND ($5::text[] IS NULL OR what = ANY($5)) AND ($7::timestamptz IS NULL OR at <= $7)
             AND ($8 = '' OR what = $8) AND ($9::timestamptz IS NULL OR (at, id) < ($9, $10::bigint))
           ORDER BY at DESC, id DESC LIMIT $6""",
        *(site, datetime.fromtimestamp(since_us / 1e6, UTC), pattern(path), who),
        *(list(KINDS[kind]) if kind else None, limit + 1),
        None if until_us is None else _moment(until_us),
        what,
        *((None, None) if before is None else (_moment(before[0]), before[1])),
    )
    entries = [_entry(row) for row in reversed(rows[:limit])]
    if len(rows) <= limit:
        return AuditTrail(entries=entries, truncated=False)
    oldest = rows[limit - 1]
    return AuditTrail(entries=entries, truncated=True, older=f"{microseconds(oldest['at'])}-{oldest['id']}")


def _moment(at_us: int) -> datetime:
    """Exact: a float of seconds would not hold every microsecond."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)


def pattern(glob: str) -> str:
    """A PostgreSQL regular expression of a path glob: `*` within one level, `**` any number of levels; "" stays "".

    Source: PostgreSQL 15, 9.7.3: a backslash before what is no letter or digit takes it as it is.
    """
    if not glob:
        return ""
    levels = glob.strip("/").split("/")
    text = ""
    for position, level in enumerate(levels):
        if level == "**":
            text += ".*" if position == len(levels) - 1 else "(.*/)?"
            continue
        text += re.sub(r"\\\*", "[^/]*", _SPECIAL.sub(r"\\\g<0>", level))
        if position < len(levels) - 1:
            text += "/"
    return f"^{text}(/.*)?$"


def _entry(row: Mapping[str, Any]) -> AuditEntry:
    detail = from_jsonb(row["detail"])
    kind = next((kind for kind, whats in KINDS.items() if row["what"] in whats), row["what"])
    facts = {name: detail[name] for name in FACTS if name in detail}
    head = {"at": microseconds(row["at"]), "kind": kind, **{name: row[name] for name in ("what", "who", "subject")}}
    return read_fields({**facts, **head}, AuditEntry)
