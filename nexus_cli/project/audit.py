"""`nexus audit`: who wrote, ran and applied what, from control's audit trail."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.moment import parse_moment
from nexus_cli.model.calendar import microseconds
from nexus_cli.project.write import site_topics
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.control_audit import AuditEntry, AuditTrail
from nexus_cli.wire.http import ControlClient

PAGE = 1000
"""What control gives at once."""
MOST = 100_000
"""Lines that one call holds, about 100 MB; `until` reads on from there."""


async def audit(
    path: str = "",
    *,
    since: str = "24h",
    who: str = "",
    kind: str = "",
    what: str = "",
    until: str = "",
    limit: int = 50,
    zone: tzinfo | None = None,
    settings: Settings | None = None,
    now: datetime | None = None,
) -> AuditTrail:
    """The newest lines of the trail, oldest first.

    Args:
        path: A path or glob of tags, a tag's topic, or the name of a sequence; "" is all.
        since: How long ago, or ISO 8601.
        who: A principal; "" is everybody.
        kind: A key of `database.audit.KINDS`, such as `command`; "" is all.
        what: What was done, such as `break-lock`; "" is all.
        until: Not newer, as `since`; "" is now.
        limit: At most so many, up to `MOST`; more than `PAGE` are asked for page by page.
        zone: On whose clocks `since` is read; None is this machine's.
        settings: Instead of those of this folder.
        now: Instead of the clock.

    Raises:
        NexusError: NX6211 not a time; NX6400, NX6401 control is away or refuses.
    """
    now = now or datetime.now(UTC)
    moment = parse_moment(since, now=now, zone=zone)
    until_us = max(0, microseconds(parse_moment(until, now=now, zone=zone))) if until else None
    settings = settings or load_settings()
    if settings.site.count("/") == 1:
        path = site_topics(settings).path(path) or path
    if len(path) > 200:
        raise NexusError("The path is longer than any tag's.", code="NX6802")
    since_us = max(0, microseconds(moment))
    async with ControlClient(settings) as control:
        pages: list[list[AuditEntry]] = []
        left, before, truncated = min(limit, MOST), "", True
        while left and truncated:
            found = await control.audit(
                path=path,
                who=who,
                kind=kind,
                what=what,
                since_us=since_us,
                until_us=until_us,
                limit=min(left, PAGE),
                before=before,
            )
            pages.append(found.entries)
            left -= len(found.entries)
            truncated = found.truncated
            before = found.older or ""
            if not before:  # the last page, or a control of an older version, which has no pages
                break
    return AuditTrail(entries=[each for page in reversed(pages) for each in page], truncated=truncated)
