"""What every control, also a standby, can answer about alerts: from the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from nexus_cli.access.lines import TagFacts, tag_facts
from nexus_cli.alarms.kpi import KeyFigureCount
from nexus_cli.database import alert_journal, alert_states
from nexus_cli.database import deployments as db
from nexus_cli.database.told import told
from nexus_cli.model.resources import paths_of
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.runtime.control.service import Service
from nexus_cli.wire.alert import Alert
from nexus_cli.wire.control import AlertChanges
from nexus_cli.wire.control_alarms import JournalLine, KeyFigures, Notified

DECLARED = ("severity", "tag", "description", "priority", "group", "response", "consequence")
"""What an alert says that the site declares."""


class AlertService:
    """Reads alerts, their journal and their key figures for one site."""

    def __init__(self, service: Service) -> None:
        """Use the connections of the API."""
        self._service, self._site = service, service.site

    async def alerts(self) -> list[Alert]:
        """The state of every declared alert by the database: what a standby knows."""
        async with self._service.connection() as conn:
            configs = await db.attributes_of_kind(conn, self._site, "alert")
            stored = await alert_states.load(conn, self._site)
        cleared = alert_states.StoredAlert("cleared", 0, None, "")
        return [
            stored.get(name, cleared).facts(name, **{key: config.get(key) or "" for key in DECLARED})
            for name, config in sorted(configs.items())
        ]

    async def alert_tags(self, names: Collection[str]) -> dict[str, tuple[TagFacts | None, ...]]:
        """What rights ask of the tags of alerts, by name of the alert; those that are recorded. None is a tag that is not."""
        async with self._service.connection() as conn:
            alerts = await db.attributes(conn, self._site, [f"alert.{name}" for name in names])
            paths = {address.removeprefix("alert."): paths_of(one) for address, one in alerts.items()}
            devices = {f"device.{path.rpartition('/')[0]}" for each in paths.values() for path in each}
            resources = await db.attributes(conn, self._site, ["site", *sorted(devices)])
        enterprise, _, site = self._site.partition("/")
        facts = tag_facts(Snapshot(enterprise, site, resources, {}))
        return {name: tuple(facts.get(path) for path in each) for name, each in paths.items()}

    async def alert_changes(self, name: str, *, limit: int) -> AlertChanges:
        """The newest lines of an alert, oldest first."""
        async with self._service.connection() as conn:
            return AlertChanges(changes=await alert_journal.changes(conn, self._site, name, limit=limit))

    async def journal(self, **wanted: Any) -> list[JournalLine]:
        """The newest lines, oldest first; arguments as of `alert_journal.newest`."""
        async with self._service.connection() as conn:
            return await alert_journal.newest(conn, self._site, **wanted)

    async def told(self, name: str, occurrence_us: int) -> list[Notified]:
        """Messages about an occurrence of an alarm."""
        async with self._service.connection() as conn:
            return await told(conn, self._site, alert=name, occurrence=occurrence_us)

    async def key_figures(
        self, *, since_us: int, until_us: int, operators: int, names: Sequence[str] | None
    ) -> KeyFigures:
        """Key figures of a span; `names` limits them to these alerts. It begins no earlier than the site's record.

        Loads are averages: days on which nothing was recorded would make them lower than they are.
        """
        async with self._service.connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            since_us = min(max(since_us, await alert_journal.began_us(conn, self._site)), until_us - 1)
            standing = await alert_journal.standing_at(conn, self._site, since_us)
            count = KeyFigureCount(
                since_us=since_us,
                until_us=until_us,
                operators=operators,
                standing=[one for one in standing.values() if names is None or one.name in names],
            )
            async for line in alert_journal.lines(conn, self._site, since_us=since_us, until_us=until_us, names=names):
                count.take(line)
        return count.result()
