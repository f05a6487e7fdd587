"""Key figures of alarms as text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.diagnostics.printable import plain
from nexus_cli.diagnostics.wording import counted
from nexus_cli.wire.control_alarms import Figure, FloodSpan, KeyFigures

Style = Callable[[str, str], str]
WORDS = {
    "per-day": "alarms a day",
    "per-hour": "alarms an hour",
    "per-10-minutes": "alarms in 10 minutes",
    "flood-share": "10-minute windows above 10",
    "share-low": "low",
    "share-medium": "medium",
    "share-high": "high",
    "share-critical": "critical",
}
_MOST = 20


def figures_text(found: KeyFigures, *, style: Style, zone: tzinfo | None = None) -> str:
    """Each figure with its target and whether it is within it, then the lists."""
    return "\n".join(_lines(plain(found), style, zone))


def _lines(found: KeyFigures, style: Style, zone: tzinfo | None) -> Iterator[str]:
    shared = "1 operator" if found.operators == 1 else f"{found.operators} operators"
    yield f"{counted(found.alarms, 'alarm')}, {clock_text(found.since, zone=zone)} to {clock_text(found.until, zone=zone)}, {shared}"
    yield from (_figure(one, style) for one in found.figures)
    yield from _section("floods", [_flood(one, zone) for one in found.floods[-_MOST:]], found.flood_count)
    actors = [f"{one.name}: {one.alarms} ({one.share:.0%})" for one in found.bad_actors]
    yield from _section("most often", actors, len(actors))
    chatter = [f"{one.name}: {one.times} times three within a minute" for one in found.chattering]
    yield from _section("chattering", chatter[:_MOST], len(chatter))
    stale = [
        f"{one.name}: since {clock_text(one.since, zone=zone)}"
        + (f" until {clock_text(one.until, zone=zone)}" if one.until else "")
        for one in found.stale
    ]
    yield from _section("active for more than 24 h", stale[:_MOST], len(stale))
    first = [
        f"{one.name}: {one.times} cascade{'' if one.times == 1 else 's'}, {one.followers} alarms followed"
        for one in found.first_out
    ]
    yield from _section("first out", first, len(first))


def _figure(one: Figure, style: Style) -> str:
    share = one.name.startswith(("share", "flood"))
    value, target = (f"{number:.1%}" if share else f"{number:.2f}" for number in (one.value, one.target))
    bound = "at least about" if one.name == "share-low" else "at most"
    worst = f", worst {one.worst:g}" if one.worst else ""
    mark = (
        style("ok  ", "good")
        if one.ok
        else style("over", "error")
        if one.name != "share-low"
        else style("low ", "error")
    )
    return f"  {mark}  {WORDS.get(one.name, one.name):<27} {value:>8}  ({bound} {target}{worst})"


def _flood(one: FloodSpan, zone: tzinfo | None) -> str:
    until = clock_text(one.end, zone=zone) if one.end else "now"
    return f"{clock_text(one.begin, zone=zone)} to {until}: {one.alarms} alarms, up to {one.peak} in 10 minutes"


def _section(title: str, lines: list[str], count: int) -> Iterator[str]:
    if not lines:
        yield f"  {title}: none"
        return
    yield f"  {title}: {count}" + (f", the newest {len(lines)}:" if count > len(lines) else "")
    yield from (f"    {line}" for line in lines)
