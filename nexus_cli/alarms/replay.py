"""The declared alerts on stored values: what would have happened. The panel is the one that control runs; time is that of the rows.

No person answers in a replay: an alarm that returned and becomes active again counts again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nexus_cli.alarms.flood import Flood
from nexus_cli.alarms.kpi import KeyFigureCount
from nexus_cli.alarms.panel import Now, Panel
from nexus_cli.alarms.values import Reading
from nexus_cli.model.config import TagConfig
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.alert import AlertEvent
from nexus_cli.wire.control_alarms import Actor, JournalLine, KeyFigures, Stale

TENTH_OF_A_DAY = 15.0
"""Alarms a day that one alert may have alone: a tenth of what one operator can take."""


class Offender(NamedTuple):
    """An alert that would be too much.

    Attributes:
        name: Of the alert.
        alarms: How often it would have come.
        a_day: The same on average.
        chatters: How often it would have chattered.
        stale: When it would have been active for more than a day.
    """

    name: str
    alarms: int
    a_day: float
    chatters: int
    stale: tuple[Stale, ...]


class Replay:
    """Takes rows in the order of time.

    Attributes:
        since_us, reached_us: Where it began, and how far it came, µs since 1970 UTC.
        rows: Rows so far.
    """

    def __init__(
        self,
        configs: Mapping[str, AlertConfig],
        tags: Mapping[str, TagConfig],
        *,
        since_us: int,
        until_us: int,
        operators: int = 1,
    ) -> None:
        """Begin a span with every alert cleared."""
        self._panel = Panel(changed=self._changed, flooded=self._flooded)
        self._panel.load(configs, _now(since_us), tags=tags)
        self._count = KeyFigureCount(since_us=since_us, until_us=until_us, operators=operators)
        self._until_us = until_us
        self.since_us, self.reached_us = since_us, since_us
        self.rows = 0

    def take(self, time_us: int, path: str, reading: Reading) -> None:
        """One row; none is earlier than the one before."""
        self._pass(time_us)
        self.rows += 1
        self._panel.feed(path, reading, _now(time_us))

    def finish(self, until_us: int | None = None) -> KeyFigures:
        """Let the rest of the span pass; the key figures. Call it once."""
        self._pass(self._until_us if until_us is None else until_us)
        return self._count.result()

    def _pass(self, time_us: int) -> None:
        """Do what falls due before a moment, each thing at its own time."""
        while (due_s := self._panel.due_s()) is not None and due_s * 1e6 < time_us:
            self._panel.tick(_now(max(round(due_s * 1e6), self.reached_us)))
        self.reached_us = max(self.reached_us, time_us)

    def _changed(self, name: str, events: list[AlertEvent]) -> None:
        config = self._panel.alerts[name].config
        for event in events:
            self._count.take(
                JournalLine(
                    name=name,
                    at=event.at,
                    kind=event.kind,
                    state=event.state,
                    priority=config.priority,
                    group=config.group,
                    held=event.held,
                    first_out=self._panel.alerts[name].first_out and event.kind == "active",
                )
            )

    def _flooded(self, flood: Flood, begins: bool) -> None:
        """The key figures count floods themselves."""


def offenders(found: KeyFigures) -> list[Offender]:
    """The alerts that would be too much, the worst first."""
    days = max((found.until - found.since) / 86_400_000_000, 1 / 24)
    actors: dict[str, Actor] = {one.name: one for one in (*found.bad_actors, *found.chattering)}
    stale: dict[str, list[Stale]] = {}
    for one in found.stale:
        stale.setdefault(one.name, []).append(one)
    chatters = {one.name: one.times for one in found.chattering}
    names = (
        {name for name, one in actors.items() if one.alarms / days > TENTH_OF_A_DAY} | chatters.keys() | stale.keys()
    )
    worst = [
        Offender(
            name=name,
            alarms=actors[name].alarms if name in actors else 0,
            a_day=actors[name].alarms / days if name in actors else 0.0,
            chatters=chatters.get(name, 0),
            stale=tuple(stale.get(name, ())),
        )
        for name in names
    ]
    return sorted(worst, key=lambda one: (-one.alarms, one.name))


def _now(time_us: int) -> Now:
    return Now(time_us, time_us / 1e6)
