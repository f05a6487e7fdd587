"""When each value of a report was: what a device queued keeps its order and its spacing in gateway time. Pure.

A report that holds one value of a tag says what is now. One that holds several says what was since the last report: the newest
is dated when it comes, those before it by as much earlier as the device's own times differ (decision 0039). Only
differences of one tag are used, so it does not matter what the device's clock says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nexus_cli.drivers.base import Notification

JOIN_US = 1_000
"""Values of different tags that are this close go in one frame, under the time of the first, in µs."""

Moment = tuple[int, list[Notification]]
"""Gateway time (µs since 1970 UTC) and what was then, at most one value a tag."""


def spaced(notifications: Sequence[Notification], *, now_us: int, floor_us: int) -> list[Moment]:
    """Date a report's values.

    Args:
        notifications: As they came.
        now_us: When they came, µs since 1970 UTC.
        floor_us: Nothing is dated earlier (when the subscription began).

    Returns:
        By time, rising or the same; the values of one tag in the order in which they came.
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
