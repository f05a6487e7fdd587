"""Messages that the historian could not store, for `nexus dead-letters`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nexus_cli.database.connect import connection
from nexus_cli.database.records import StoredLetter, dead_letters_before
from nexus_cli.project.history import site_of
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.jobs import LetterChoice, LettersChanged


async def dead_letters(
    *, topic: str = "", reason: str = "", limit: int = 50, settings: Settings | None = None
) -> list[StoredLetter]:
    """The newest first.

    Args:
        topic: Only of this topic, or of topics below it.
        reason: Only of this reason.
        limit: At most so many.
        settings: Instead of those of this folder; its site, or the only one that is stored.

    Raises:
        NexusError: NX6200 to NX6203; NX6210 no site is named, and there is not exactly one.
    """
    chosen = settings or load_settings()
    async with (
        connection(chosen, application="nexus-dead-letters") as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        site = await site_of(conn, chosen)
        return await dead_letters_before(conn, site=site, limit=limit, reason=reason, topic=topic.strip("/"))


async def change_letters(
    verb: Literal["retry", "discard"],
    ids: Sequence[int],
    *,
    topic: str = "",
    reason: str = "",
    all_: bool = False,
    settings: Settings | None = None,
) -> LettersChanged:
    """Retry or remove dead letters, over control's API; what became of them.

    Args:
        verb: What is done.
        ids: Numbers.
        topic: Of this topic, or below it.
        reason: Only of this reason.
        all_: All of them.
        settings: Instead of those of this folder.

    Raises:
        NexusError: NX6400, NX6401, NX6403 control is away or refuses; NX6440 nothing says which.
    """
    asked = LetterChoice(ids=list(ids), topic=topic.strip("/"), reason=reason, all=all_)
    async with ControlClient(settings or load_settings()) as control:
        return await control.call("POST", f"/dead-letters/{verb}", LettersChanged, body=asked)
