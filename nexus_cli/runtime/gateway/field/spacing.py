"""Dates the values of a report: what a device queued keeps its order and its spacing in gateway time. Pure.

A report with one value of a tag gives its current value. One with several gives what the device queued since the last
report: the newest is dated to its arrival, those before it earlier by the differences of the device's own times
(decision 0039). Only differences within one tag are used, so the device's clock need not be right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nexus_cli.drivers.base import Notification

JOIN_US = 1_000
"""Values of different tags within this time of each other go into one frame, dated to the first, in µs."""

Moment = tuple[int, list[Notification]]
"""Gateway time (µs since 1970 UTC) and the values of that time, at most one per tag."""


def spaced(notifications: Sequence[Notification], *, now_us: int, floor_us: int) -> list[Moment]:
    """Date a report's values.

    Args:
        notifications: In the order of arrival.
        now_us: Their arrival, µs since 1970 UTC.
        floor_us: The earliest possible time (the start of the subscription), µs since 1970 UTC.

    Returns:
        By time, never falling; the values of one tag in the order of arrival.
    """
    names = [one.point.name for one in notifications]
    newest = _newest(notifications, {name for name, count in Counter(names).items() if count > 1})
    dated = [
        (now_us if name not in newest or one.source_time_us is None else now_us - newest[name] + one.source_time_us, at)
        for at, (name, one) in enumerate(zip(names, notifications, strict=True))
    ]
    moments: list[Moment] = []
    held: set[str] = set()
    for time_us, at in sorted((min(now_us, max(floor_us, time_us)), at) for time_us, at in dated):
        if not moments or names[at] in held or time_us - moments[-1][0] > JOIN_US:
            moments.append((time_us, []))
            held = set()
        moments[-1][1].append(notifications[at])
        held.add(names[at])
    return moments


def _newest(notifications: Sequence[Notification], repeated: set[str]) -> dict[str, int]:
    """The last source time of each tag that has several values, all with times that do not fall."""
    newest: dict[str, int] = {}
    for one in notifications:
        name, time_us = one.point.name, one.source_time_us
        if name not in repeated:
            continue
        if time_us is None or time_us < newest.get(name, time_us):
            repeated = repeated - {name}
            newest.pop(name, None)
        else:
            newest[name] = time_us
    return newest
