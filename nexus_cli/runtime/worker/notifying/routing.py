"""Which channels an alarm reaches, and whether there is a flood. Pure: times are given."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from nexus_cli.access.globs import names_matching
from nexus_cli.model.access import parse_hours
from nexus_cli.model.notification_config import DIGEST
from nexus_cli.model.resources import ChannelConfig, DigestConfig, RouteConfig, SiteConfig, decode

WINDOW_US = 600 * 1_000_000
"""Floods are counted over 10 minutes (ISA-18.2)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Whom alarms reach, as it is recorded."""

    channels: Mapping[str, ChannelConfig] = field(default_factory=dict)
    routes: Mapping[str, RouteConfig] = field(default_factory=dict)
    digest: DigestConfig = field(default_factory=DigestConfig)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    @classmethod
    def of(cls, resources: Mapping[str, Mapping[str, Any]]) -> Configuration:
        """Read recorded resources; one that can't be read (of a later version) is left out."""
        channels, routes = _named(resources, "channel", ChannelConfig), _named(resources, "route", RouteConfig)
        digest = _named(resources, "digest", DigestConfig).get(DIGEST.partition(".")[2], DigestConfig())
        site = decode(resources["site"], SiteConfig) if "site" in resources else SiteConfig(enterprise="", site="")
        return cls(channels=channels, routes=routes, digest=digest, zone=_zone(site.time_zone))


T = TypeVar("T", bound=msgspec.Struct)


def _named(resources: Mapping[str, Mapping[str, Any]], kind: str, shape: type[T]) -> dict[str, T]:
    found = {}
    for address, attributes in resources.items():
        if address.startswith(f"{kind}."):
            with contextlib.suppress(msgspec.ValidationError):
                found[address.removeprefix(f"{kind}.")] = decode(attributes, shape)
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalates:
    """A further step: `after_ms` behind the alarm's becoming active, to these channels."""

    after_ms: int
    to: tuple[str, ...]


def matching(configuration: Configuration, alert: Mapping[str, Any], *, at_us: int) -> list[RouteConfig]:
    """The routes that an alarm takes at a moment, by name."""
    found = []
    for _, route in sorted(configuration.routes.items()):
        priority, group, name = (str(alert.get(key) or "") for key in ("priority", "group", "name"))
        if route.priorities and priority not in route.priorities:
            continue
        if not (_fits(route.groups, group) and _fits(route.alerts, name)):
            continue
        if route.hours and not any(within(hours, at_us, configuration.zone) for hours in route.hours):
            continue
        found.append(route)
    return found


def _fits(globs: Sequence[str], name: str) -> bool:
    return not globs or any(name in names_matching(glob, {name}) for glob in globs)


def within(hours: str, at_us: int, zone: ZoneInfo) -> bool:
    """True when a time of the week (`mon-fri 22:00-06:00`) has a moment in it, by the clock on the wall.

    A span over midnight belongs to the day on which it begins.
    """
    days, begin, end = parse_hours(hours)
    wall = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
    minute, today = wall.hour * 60 + wall.minute, wall.weekday()
    if begin < end:
        return today in days and begin <= minute < end
    yesterday = (today - 1) % 7
    return (today in days and minute >= begin) or (yesterday in days and minute < end)


def at_once(routes: Iterable[RouteConfig]) -> tuple[str, ...]:
    """The channels that are notified at once, each once."""
    return tuple(dict.fromkeys(name for route in routes for name in route.to))


def on_return(routes: Iterable[RouteConfig]) -> tuple[str, ...]:
    """The channels that are notified when the condition is over."""
    return tuple(dict.fromkeys(name for route in routes if route.returned for name in route.to))


def escalations(routes: Iterable[RouteConfig]) -> Iterator[Escalates]:
    """The further steps; those of the same delay are one."""
    steps: dict[int, dict[str, None]] = {}
    for route in routes:
        for step in route.escalate:
            steps.setdefault(step.after_ms, {}).update(dict.fromkeys(step.to))
    for after_ms, names in sorted(steps.items()):
        yield Escalates(after_ms=after_ms, to=tuple(names))


def in_flood(times: Sequence[int], digest: DigestConfig, *, at_us: int) -> bool:
    """True when there is a flood at a moment.

    It begins when more than `above` alarms became active within 10 minutes, and ends when fewer than `below` did.

    Args:
        times: When alarms became active, ascending, µs; those behind `at_us` do not count.
        digest: The two limits.
        at_us: The moment, µs.
    """
    flood, recent = False, deque[int]()

    def pass_until(moment: int) -> None:
        nonlocal flood
        while recent and recent[0] <= moment - WINDOW_US:
            recent.popleft()
            flood = flood and len(recent) >= digest.below

    for time_us in times:
        if time_us > at_us:
            break
        pass_until(time_us)
        recent.append(time_us)
        flood = flood or len(recent) > digest.above
    pass_until(at_us)
    return flood and len(recent) >= digest.below
