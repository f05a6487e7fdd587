"""Clears retained topics without an owner, for a person who looked at them.

See docs/decisions/0081.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_cli.access.globs import matches_glob
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.database.retired import retired
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.procedure_config import MessageConfig, filter_of
from nexus_cli.model.resources import decode
from nexus_cli.model.snapshot import Attributes
from nexus_cli.model.unowned import why_owned
from nexus_cli.runtime.control.retained import Retained
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.settings import Settings
from nexus_cli.wire.control_steering import SHOWN, Cleared, RefusedTopic
from nexus_cli.wire.topic import Topics

DEVICE_LEVELS = 3


class Clearing:
    """Clears what the broker keeps on topics that no tag, message or other system has."""

    def __init__(self, *, settings: Settings, pool: Pool, retained: Retained) -> None:
        """Read what is declared with `pool`; `retained` reads and clears at the broker."""
        self._settings, self._pool, self._retained = settings, pool, retained
        enterprise, _, site = settings.site.partition("/")
        self._topics = Topics(enterprise, site)

    async def clear(self, topics: Sequence[str], *, preview: bool, caller: Caller) -> Cleared:
        """Clear these topics, or say which of them would be.

        Args:
            topics: Whole topics.
            preview: True clears nothing.
            caller: Whose `apply` covers the paths.

        Raises:
            NexusError: NX6935 one of them has an owner, NX6411 one is outside of what the caller may change; then nothing
                is cleared. NX6010, NX62xx: broker or database are away.
        """
        wanted = list(dict.fromkeys(topics))
        async with self._retained.quiet:  # what a deployment declares meanwhile is not cleared
            refused = await self._refused(wanted)
            outside = [topic for topic in wanted if not self._covers(caller, topic) and topic not in refused]
            if outside:
                raise _outside(caller, outside)
            if refused and not preview:
                topic, why = next(iter(refused.items()))
                more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
                raise NexusError(f"Nothing was cleared: {topic[:200]} is {why}{more}.", code="NX6935")
            kept = await self._retained.kept([topic for topic in wanted if topic not in refused])
            cleared = [topic for topic in wanted if topic in kept]
            if cleared and not preview:
                await self._record(cleared, who=caller.principal)
                await self._retained.clear(cleared)
        return Cleared(
            cleared=cleared,
            refused=[RefusedTopic(topic=topic, why=why) for topic, why in refused.items()],
            preview=preview,
        )

    async def _refused(self, topics: Sequence[str]) -> dict[str, str]:
        """Why they are not cleared, by topic."""
        paths = [path for topic in topics if (path := self._topics.path(topic)) is not None]
        devices = {"/".join(path.split("/")[:DEVICE_LEVELS]) for path in paths}
        site = self._settings.site
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                known = await db.attributes(conn, site, [f"device.{path}" for path in sorted(devices)])
                declared = await db.attributes_of_kind(conn, site, "message")
                globs = (await retired(conn, site, among=())).globs
        messages = [filter_of(decode(one, MessageConfig).topic) for one in declared.values()]
        found = {
            topic: why_owned(
                topic,
                self._topics,
                declared=lambda path: _is_tag(path, known),
                external=lambda path: any(matches_glob(glob, path) for glob in globs),
                messages=messages,
            )
            for topic in topics
        }
        return {topic: why for topic, why in found.items() if why}

    def _covers(self, caller: Caller, topic: str) -> bool:
        path = self._topics.path(topic) or ""
        return caller.held.admin or any(matches_glob(glob, path) for glob in caller.held.apply)

    async def _record(self, topics: Sequence[str], *, who: str) -> None:
        """Before anything is cleared: what can't be recorded is not done."""
        paths = [self._topics.path(topic) or topic for topic in topics]
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        detail = {"count": len(paths), "detail": ", ".join(paths[:3]) + more, "topics": list(topics[:SHOWN])}
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                subject = paths[0] if len(paths) == 1 else _above(paths)
                await db.write_audit(
                    conn, self._settings.site, who=who, what="clear-retained", subject=subject, detail=detail
                )


def _is_tag(path: str, devices: Mapping[str, Attributes]) -> bool:
    levels = path.split("/")
    device = devices.get(f"device.{'/'.join(levels[:DEVICE_LEVELS])}")
    return device is not None and len(levels) == DEVICE_LEVELS + 1 and levels[-1] in device.get("tags", {})


def _above(paths: Sequence[str]) -> str:
    """The levels that all paths begin with; "" when there are none."""
    levels = []
    for each in zip(*(path.split("/") for path in paths), strict=False):
        if len(set(each)) > 1:
            break
        levels.append(each[0])
    return "/".join(levels)


def _outside(caller: Caller, topics: Sequence[str]) -> NexusError:
    more = f" and {len(topics) - 1} more" if len(topics) > 1 else ""
    return NexusError(
        f"{caller.principal} may not clear {topics[0][:200]}{more}.",
        code="NX6411",
        hint=f"`apply` of its roles covers {', '.join(caller.held.apply) or 'nothing'}",
    )
