"""What the runtime measured of the things that a plan changes: series in the database, links as their gateways report them.

Reads only, within bounds of time; a part that is not known is named with its reason, and spoils no other part.

See docs/decisions/0101.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.database.revision import current
from nexus_cli.database.sample_class import load_classes
from nexus_cli.database.sample_counts import stored_samples
from nexus_cli.database.timescale import can_aggregate
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.control_facts import AskedLink, Facts, FactsQuestion, MeasuredDatabase, MeasuredLink, MeasuredSeries
from nexus_cli.wire.gateway_health import GatewayHealth


class Reports(Protocol):
    """The newest health of every gateway."""

    def healths(self) -> Mapping[str, GatewayHealth]:
        """By name."""
        ...


class PlanFacts:
    """Answers the questions of plans. `pool` is for reading."""

    def __init__(self, *, pool: Pool, settings: Settings) -> None:
        self._pool, self._settings = pool, settings

    async def answer(self, asked: FactsQuestion, *, reports: Reports | None, broker: str | None = None) -> Facts:
        """What is known.

        Args:
            asked: What the plan changes.
            reports: Of the gateways; None in a control that does not lead: they report to the leader.
            broker: Why there is no connection to the broker, "" while there is one; None in a control that does not lead.
        """
        unknown: list[str] = []
        series: list[MeasuredSeries] = []
        if asked.series:
            try:
                series = await self._series(asked.series)
            except NexusError as error:
                unknown.append(f"stored samples: {error.message}")
        database: MeasuredDatabase | None = None
        try:
            database = await self._database(asked.classes)
        except NexusError as error:
            unknown.append(f"database: {error.message}")
        links: list[MeasuredLink] = []
        gateways: dict[str, str] = {}
        if asked.links and reports is None:
            unknown.append("links: this control does not lead, and gateways report to the leader")
        elif reports is not None:
            healths = reports.healths()
            links = [_link(each, healths.get(each.gateway)) for each in asked.links]
            gateways = {name: healths[name].state or "" for name in asked.gateways if name in healths}
        return Facts(series=series, links=links, database=database, broker=broker, gateways=gateways, unknown=unknown)

    async def _series(self, paths: Sequence[str]) -> list[MeasuredSeries]:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                found = await stored_samples(conn, site=self._settings.site, paths=paths)
        return [
            MeasuredSeries(
                path=path,
                samples=one.samples,
                exact=one.exact,
                first=one.first_us,
                last=one.last_us,
                bytes=one.size_bytes,
                why=one.why,
            )
            if (one := found.get(path)) is not None
            else MeasuredSeries(path=path, samples=0, exact=True, bytes=0)
            for path in paths
        ]

    async def _database(self, classes: Sequence[str]) -> MeasuredDatabase:
        state = await current(self._settings)
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                there = await load_classes(conn, site=self._settings.site)
                timescale = await can_aggregate(conn)
        return MeasuredDatabase(
            revision=state.current,
            head=state.head,
            pending=list(state.pending),
            timescale=timescale,
            tables=[name for name in classes if name not in there],
        )


def _link(asked: AskedLink, health: GatewayHealth | None) -> MeasuredLink:
    """A link as its gateway says."""
    if health is None or health.state != "running" or (found := health.links.get(asked.link)) is None:
        return MeasuredLink(link=asked.link, gateway=asked.gateway, why="no running gateway reports it")
    return MeasuredLink(
        link=asked.link,
        gateway=asked.gateway,
        state=found.state,
        devices=found.devices,
        answering=found.answering,
        cycle_ms=found.cycle_ms or None,
        requests=found.requests or None,
        time_per_request_ms=found.request_ms or None,
        connect_ms=found.connect_ms or None,
        why="" if found.cycle_ms else f"gateway {asked.gateway} has measured no poll of it yet",
    )
