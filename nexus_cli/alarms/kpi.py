"""Key figures of alarms by ISA-18.2 (and EEMUA 191), from lines of the journal in the order of time. Pure.

An alarm counts when it was announced: a line `active` with a priority that was not held. Times are µs since 1970 UTC.
See docs/decisions/0089.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from nexus_cli.alarms.flood import BEGINS_ABOVE, ENDS_BELOW, Flood, FloodDetector
from nexus_cli.model.alarms import PRIORITIES
from nexus_cli.wire.control_alarms import Actor, Cascade, Figure, FloodSpan, JournalLine, KeyFigures, Stale

DAY_US, HOUR_US, TEN_MINUTES_US, MINUTE_US = 86_400_000_000, 3_600_000_000, 600_000_000, 60_000_000
PER_DAY, PER_HOUR, PER_TEN_MINUTES = 150.0, 6.0, 1.0
"""Of one operator, on average: very likely to be acceptable."""
FLOOD_SHARE = 0.01
"""At most this share of the 10-minute windows has more than 10 alarms."""
SHARES = {"low": 0.80, "medium": 0.15, "high": 0.05, "critical": 0.01}
"""About so many alarms of each priority: `low` at least, the others at most."""
ABOUT = 0.05
"""How far `low` and `medium` may be from it."""
CHATTERS = 3
"""So many times within a minute is chattering."""
STALE_US = DAY_US
MOST_LISTED = 10
MOST_FLOODS = 100
MOST_BARS = 1_008
"""A week of 10 minutes each."""


class KeyFigureCount:
    """Takes lines one by one; memory is bounded by the alerts and the 10-minute windows."""

    def __init__(
        self, *, since_us: int, until_us: int, operators: int = 1, standing: Iterable[JournalLine] = ()
    ) -> None:
        """Begin a span; `standing` are alarms that were active when it began, as the journal says."""
        self._since_us, self._until_us, self._operators = since_us, max(until_us, since_us + 1), operators
        self._alarms: Counter[str] = Counter()
        self._priorities: Counter[str] = Counter()
        self._windows: Counter[int] = Counter()
        self._hours: Counter[int] = Counter()
        self._days: Counter[int] = Counter()
        self._last: dict[str, deque[int]] = {}
        self._chatters: Counter[str] = Counter()
        self._chattering: set[str] = set()
        self._standing = {
            line.name: line.at for line in standing if line.priority and not line.held and line.state != "returned"
        }
        self._stale: list[Stale] = []
        self._cascades: dict[str, tuple[str, int]] = {}
        self._first_out: dict[str, Cascade] = {}
        self._floods: list[Flood] = []
        self._flood = FloodDetector(above=BEGINS_ABOVE * operators, below=ENDS_BELOW * operators)

    def take(self, line: JournalLine) -> None:
        """Count a line; none is earlier than the one before."""
        if not line.name or not line.priority:
            return
        if line.kind == "active" and not line.held:
            self._count(line)
            self._standing.setdefault(line.name, line.at)
        elif line.state in ("returned", "cleared") or line.held:
            self._end(line.name, line.at)

    def _count(self, line: JournalLine) -> None:
        name, at_us = line.name, line.at
        self._alarms[name] += 1
        self._priorities[line.priority] += 1
        offset_us = at_us - self._since_us
        self._windows[offset_us // TEN_MINUTES_US] += 1
        self._hours[offset_us // HOUR_US] += 1
        self._days[offset_us // DAY_US] += 1
        self._end_flood(at_us / 1e6)
        self._flood.alarm(at_us / 1e6)
        last = self._last.setdefault(name, deque(maxlen=CHATTERS))
        last.append(at_us)
        if len(last) == CHATTERS and at_us - last[0] <= MINUTE_US:
            self._chatters[name] += name not in self._chattering
            self._chattering.add(name)
        else:
            self._chattering.discard(name)
        self._follow(line)

    def _follow(self, line: JournalLine) -> None:
        if line.first_out:
            self._end_cascade(line.group)
            self._cascades[line.group] = (line.name, 0)
        elif line.group in self._cascades:
            first, followers = self._cascades[line.group]
            self._cascades[line.group] = (first, followers + 1)

    def _end_cascade(self, group: str) -> None:
        first, followers = self._cascades.pop(group, ("", 0))
        if followers:
            known = self._first_out.get(first, Cascade(name=first, group=group, times=0, followers=0))
            self._first_out[first] = Cascade(
                name=first, group=group, times=known.times + 1, followers=known.followers + followers
            )

    def _end(self, name: str, at_us: int) -> None:
        began_us = self._standing.pop(name, None)
        if began_us is not None and at_us - began_us > STALE_US:
            self._stale.append(Stale(name=name, since=began_us, until=at_us))

    def _end_flood(self, at_s: float) -> None:
        ended = self._flood.tick(at_s)
        if ended is not None:
            self._floods.append(ended)

    def result(self) -> KeyFigures:
        """The figures of the lines so far; call it once."""
        self._end_flood(self._until_us / 1e6)
        floods = [*self._floods, *([self._flood.now] if self._flood.now else [])]
        for group in tuple(self._cascades):
            self._end_cascade(group)
        still = [
            Stale(name=name, since=at_us)
            for name, at_us in sorted(self._standing.items())
            if self._until_us - at_us > STALE_US
        ]
        total = self._alarms.total()
        return KeyFigures(
            since=self._since_us,
            until=self._until_us,
            operators=self._operators,
            alarms=total,
            figures=[*self._loads(total), *self._shares(total)],
            priorities={name: self._priorities[name] for name in PRIORITIES},
            floods=[_span(one) for one in floods[-MOST_FLOODS:]],
            flood_count=len(floods),
            bad_actors=[
                Actor(name=name, alarms=count, share=count / total) for name, count in _most(self._alarms, MOST_LISTED)
            ],
            chattering=[
                Actor(name=name, alarms=self._alarms[name], times=count) for name, count in _most(self._chatters, None)
            ],
            stale=[*self._stale, *still],
            first_out=sorted(self._first_out.values(), key=lambda one: (-one.followers, one.name))[:MOST_LISTED],
            bars=self._bars(per_bar := self._windows_in_bar()),
            bar_us=per_bar * TEN_MINUTES_US,
        )

    def _windows_in_bar(self) -> int:
        windows = -(-(self._until_us - self._since_us) // TEN_MINUTES_US)
        return -(-windows // MOST_BARS)

    def _bars(self, windows_in_bar: int) -> list[int]:
        width_us = windows_in_bar * TEN_MINUTES_US
        bars = [0] * -(-(self._until_us - self._since_us) // width_us)
        for window, count in self._windows.items():
            if 0 <= window // windows_in_bar < len(bars):
                bars[window // windows_in_bar] = max(bars[window // windows_in_bar], count)
        return bars

    def _loads(self, total: int) -> list[Figure]:
        span_us = self._until_us - self._since_us
        windows = -(-span_us // TEN_MINUTES_US)
        flooded = sum(count > BEGINS_ABOVE * self._operators for count in self._windows.values())
        found = []
        for name, width_us, target, counts in (
            ("per-day", DAY_US, PER_DAY, self._days),
            ("per-hour", HOUR_US, PER_HOUR, self._hours),
            ("per-10-minutes", TEN_MINUTES_US, PER_TEN_MINUTES, self._windows),
        ):
            # A span shorter than the width has the number of alarms itself: minutes say nothing about a day.
            value = total * width_us / max(span_us, width_us) / self._operators
            worst = max(counts.values(), default=0) / self._operators
            found.append(Figure(name=name, value=value, target=target, ok=value <= target, worst=worst))
        share = flooded / windows
        return [*found, Figure(name="flood-share", value=share, target=FLOOD_SHARE, ok=share <= FLOOD_SHARE)]

    def _shares(self, total: int) -> list[Figure]:
        found = []
        for name in PRIORITIES:
            share, target = (self._priorities[name] / total if total else 0.0), SHARES[name]
            spare = ABOUT if name in ("low", "medium") else 0.0
            ok = not total or (share >= target - spare if name == "low" else share <= target + spare)
            found.append(Figure(name=f"share-{name}", value=share, target=target, ok=ok))
        return found


def key_figures(
    lines: Iterable[JournalLine],
    *,
    since_us: int,
    until_us: int,
    operators: int = 1,
    standing: Iterable[JournalLine] = (),
) -> KeyFigures:
    """The figures of a span (`since <= at < until`), for so many operators."""
    count = KeyFigureCount(since_us=since_us, until_us=until_us, operators=operators, standing=standing)
    for line in lines:
        count.take(line)
    return count.result()


def _most(counts: Counter[str], most: int | None) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def _span(flood: Flood) -> FloodSpan:
    end = 0 if flood.end_s is None else round(flood.end_s * 1e6)
    return FloodSpan(begin=round(flood.begin_s * 1e6), end=end, peak=flood.peak, alarms=flood.alarms)
