"""The digest chain of the audit trail: checked for callers, and its head written where the database's administrator is not.

See docs/decisions/0096.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path

from nexus_cli.database.audit_chain import Damage, Head, Place, chain_head, check_page
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.control_chain import ChainDamage, ChainHead, ChainPage, ChainQuestion

ANCHORS_FILE = "audit-anchors.log"
PERIOD_S = 60.0
_log = logging.getLogger("nexus.audit")


class AuditChain:
    """Checks pages of the chain."""

    def __init__(self, *, pool: Pool, settings: Settings) -> None:
        """`pool` is for reading."""
        self._pool, self._settings = pool, settings

    async def head(self) -> ChainHead:
        """The newest link."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                return _head(await chain_head(conn, self._settings.site) or Head())

    async def check(self, asked: ChainQuestion) -> ChainPage:
        """Check one page."""
        place = Place(number=asked.number, digest=bytes.fromhex(asked.digest))
        anchors = {int(number): bytes.fromhex(digest) for number, digest in asked.anchors.items() if number.isdecimal()}
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                found = await check_page(conn, self._settings.site, place, anchors=anchors, limit=asked.limit)
        return ChainPage(
            number=found.place.number,
            digest=found.place.digest.hex(),
            end=found.end,
            head=None if found.head is None else _head(found.head),
            damages=[_damage(each) for each in found.damages],
        )


class AnchorWriter:
    """Writes the head of the chain down while control leads: a line in a file and in the log, and in control's health.

    Attributes:
        newest: `NUMBER:DIGEST` of what was written last; "" before the first.
    """

    def __init__(self, *, pool: Pool, settings: Settings) -> None:
        """Write to the runtime's folder."""
        self._pool, self._settings = pool, settings
        self._file = settings.home / ANCHORS_FILE
        self.newest = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Look until stopped; what can't be read or written now is tried again."""
        while True:
            await self.look()
            if await wait_for(stop, timeout_s=PERIOD_S):
                return

    async def look(self) -> None:
        """Write the head down when it is another one."""
        try:
            with plain_errors(self._settings):
                async with self._pool.acquire() as conn:
                    head = await chain_head(conn, self._settings.site)
        except NexusError:
            return  # the database's own watch says it
        if head is None or not head.number:
            return
        anchor = f"{head.number}:{head.digest.hex()}"
        if anchor == self.newest:
            return
        event(_log, "audit chain", site=self._settings.site, anchor=anchor)
        self.newest = anchor
        try:
            await asyncio.to_thread(
                _append, self._file, f"{datetime.now(UTC).isoformat()} {self._settings.site} {anchor}\n"
            )
        except OSError as error:
            event(_log, "an anchor of the audit chain is in the log alone", level=logging.WARNING, cause=str(error))


def _append(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write(line)


def _head(head: Head) -> ChainHead:
    return ChainHead(number=head.number, digest=head.digest.hex(), at=head.at_us, adopted=head.adopted)


def _damage(one: Damage) -> ChainDamage:
    return ChainDamage(
        kind=one.kind,
        number=one.number,
        last=one.last,
        detail=one.detail,
        audit_id=one.audit_id,
        at=one.at_us,
        who=one.who,
        what=one.what,
        subject=one.subject,
    )
