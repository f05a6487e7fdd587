"""What was published while no web listened for a subscription, from the history. A historian stores some time after a value
was read: the history is asked again for a while.
"""

from __future__ import annotations

from collections.abc import Sequence

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
LATE_US = 30_000_000
"""So long after a web began to listen, what is stored is still looked for."""


def begin(subscription: Subscription, *, now_us: int) -> None:
    """Note that values after those that were seen may be missing up to now."""
    if subscription.seen:
        subscription.catching = CatchUp(dict(subscription.seen), now_us)


async def close(conn: Connection, subscription: Subscription, *, site: str, now_us: int) -> None:
    """Put what the history has by now."""
    catching = subscription.catching
    if catching is None or (catching.asked_us and now_us - catching.asked_us < AGAIN_US):
        return
    elements = {tag.path: element for element, tag in subscription.leaves.values()}
    since = {path: time_us for path, time_us in catching.since_us.items() if path in elements}
    limit = subscription.queue.limit
    rows = await samples_after(conn, site=site, since_us=since, until_us=catching.until_us, limit=limit + 1)
    catching.asked_us = now_us
    found = [(row, _value(row)) for row in _new(catching, rows)]
    if len(rows) > limit and found:
        oldest = found.pop(0)[1].time_us
        subscription.queue.skip(since_us=min(min(since.values()), oldest), until_us=oldest)
    for row, vqt in found:
        subscription.put_stored(elements[row.path], row.path, vqt)
    if now_us > catching.until_us + LATE_US:
        subscription.catching = None


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
        found.append(row)
    return found


def _value(row: TagSample) -> Vqt:
    segment = Segment(since_us=ALWAYS_US, until_us=NEVER_US, type=row.type, unit="")
    shown = shown_sample(row.sample, segment, shown_in=segment)
    return of_value(shown.value, Quality[shown.quality], row.type, time_us=microseconds(row.sample.time))
