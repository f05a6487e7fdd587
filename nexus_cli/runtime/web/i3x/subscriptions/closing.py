"""What a web may not have received, from the history: while no web had a subscription, while the broker or a gateway was away from
it, and while it did not read and the broker dropped what was for it.

A historian stores some time after a value was read: the history is asked again for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nexus_cli.database.connect import Connection
from nexus_cli.database.samples_after import TagSample, samples_after
from nexus_cli.database.segments import ALWAYS_US, NEVER_US, Segment
from nexus_cli.history.rows import shown_sample
from nexus_cli.model.calendar import microseconds
from nexus_cli.runtime.web.i3x.leaf_values import Vqt, of_value
from nexus_cli.runtime.web.i3x.subscriptions.subscription import MS_US, CatchUp, Subscription
from nexus_cli.wire.sample import Quality

AGAIN_US = 1_000_000
"""The history is asked at most so often."""
ALLOWED_US = 100_000
SPARED = 10
"""What takes longer than `ALLOWED_US` is asked for less often, by this factor."""
LATE_US = 30_000_000
"""So long after a web receives everything again, what is stored is still looked for."""
AHEAD_US = 1_000_000
"""Clocks of gateways may be this much ahead of the one here."""
SETTLING_US = 15_000_000
"""So long after an interruption values may still be missing: a gateway that lost the broker is back after at most ten seconds."""


def begin(subscription: Subscription, *, now_us: int) -> None:
    """A web that has just taken it: values after those that were seen may be missing, up to now and until it listens."""
    if subscription.seen:
        subscription.catching = CatchUp(dict(subscription.seen), now_us)


def listening(subscription: Subscription, *, now_us: int) -> None:
    """It receives values from now on; those of before, also by a gateway's clock that is a little ahead, may be missing."""
    _missing_until(subscription, now_us + AHEAD_US)


def interrupted(subscription: Subscription, *, now_us: int) -> None:
    """The web that has it may not have received everything, and for a moment longer may not."""
    if subscription.catching is None:
        begin(subscription, now_us=now_us)
    _missing_until(subscription, now_us + SETTLING_US)


def _missing_until(subscription: Subscription, until_us: int) -> None:
    if subscription.catching is not None:
        subscription.catching.until_us = max(subscription.catching.until_us, until_us)


async def close(
    conn: Connection, subscription: Subscription, *, site: str, clock: Callable[[], int], lasts: bool = False
) -> None:
    """Put what the history has by now.

    Args:
        conn: An open connection.
        subscription: Whose.
        site: `enterprise/site`.
        clock: The machine's, µs since 1970 UTC.
        lasts: The interruption is not over.
    """
    catching, now_us = subscription.catching, clock()
    if catching is None or (catching.asked_us and now_us - catching.asked_us < catching.pause_us):
        return
    elements = {tag.path: element for element, tag in subscription.leaves.values()}
    since = {path: time_us for path, time_us in catching.since_us.items() if path in elements}
    found, whole = await _missing(conn, catching, since, site=site, now_us=now_us, limit=subscription.queue.limit)
    if not whole:
        oldest = found.pop(0)[1].time_us
        subscription.queue.skip(since_us=min(min(since.values()), oldest), until_us=oldest)
    for row, vqt in found:
        subscription.put_stored(elements[row.path], row.path, vqt)
    catching.asked_us = clock()
    catching.pause_us = max(AGAIN_US, SPARED * (catching.asked_us - now_us - ALLOWED_US))
    if now_us > catching.until_us + LATE_US and not lasts:
        subscription.catching = None


async def _missing(
    conn: Connection, catching: CatchUp, since: Mapping[str, int], *, site: str, now_us: int, limit: int
) -> tuple[list[tuple[TagSample, Vqt]], bool]:
    """What was not received, by time; and whether that is all of it, or the newest `limit` and one more. Newest pages come first."""
    found: list[tuple[TagSample, Vqt]] = []
    until_us = min(now_us, catching.until_us)
    while True:
        rows = await samples_after(conn, site=site, since_us=since, until_us=until_us, limit=limit + 1)
        found = [*((row, _value(row)) for row in _new(catching, rows)), *found]
        if len(rows) <= limit:
            return found, True
        if len(found) > limit:
            return found[-limit - 1 :], False
        # Rows of the same moment may be on the next page as well.
        oldest_us = microseconds(rows[0].sample.time)
        until_us = oldest_us if oldest_us < until_us else until_us - 1


def _new(catching: CatchUp, rows: Sequence[TagSample]) -> list[TagSample]:
    """Those that were not found before."""
    found = []
    for row in rows:
        time_us = microseconds(row.sample.time)
        # A live value was cut to milliseconds: the stored one of the same moment is the same.
        heard = (row.path, time_us // MS_US) in catching.live
        if heard or (row.path, time_us) in catching.done or time_us // MS_US <= catching.since_us[row.path] // MS_US:
            continue
        catching.done.add((row.path, time_us))
        catching.stored.add((row.path, time_us // MS_US))
        found.append(row)
    return found


def _value(row: TagSample) -> Vqt:
    segment = Segment(since_us=ALWAYS_US, until_us=NEVER_US, type=row.type, unit="")
    shown = shown_sample(row.sample, segment, shown_in=segment)
    return of_value(shown.value, Quality[shown.quality], row.type, time_us=microseconds(row.sample.time))
