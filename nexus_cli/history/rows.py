"""Stored samples and buckets as they are shown: the value by its type, in the displayed unit. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

import orjson
from msgspec.structs import replace

from nexus_cli.database.queries import StoredSample
from nexus_cli.database.rollups import Rollup
from nexus_cli.database.segments import Kind, Segment, Stretch
from nexus_cli.history.document import Bucket, Gap, Sample
from nexus_cli.model.calendar import iso, moment_of
from nexus_cli.wire.sample import Quality, unpack_status


def stored_value(sample: StoredSample, kind: Kind) -> Any:
    """The value for a builder of buckets: structures as JSON text, so that they can be compared."""
    if sample.quality == Quality.BAD:
        return None
    if kind == "json":
        return None if sample.json is None else orjson.dumps(sample.json).decode()
    if kind == "text":
        return sample.text
    return sample.value if sample.exact is None else sample.exact


def typed(value: Any, segment: Segment) -> Any:
    """A number by its type: true and false, whole numbers without a fraction."""
    if isinstance(value, float):
        if segment.type == "bool" and value in (0.0, 1.0):
            return bool(value)
        if segment.type.lstrip("u").startswith("int") and value.is_integer():
            return int(value)
    return value


def shown_sample(sample: StoredSample, segment: Segment, *, shown_in: Segment, zone: tzinfo | None = None) -> Sample:
    """One sample: the label of an enumeration, the reason when not GOOD, its unit and type where they are others.

    Args:
        sample: As stored.
        segment: What it was stored with, and how it is converted.
        shown_in: What the whole answer is shown in.
        zone: On whose clocks.
    """
    reason, code = unpack_status(sample.status)
    value = next((kept for kept in (sample.exact, sample.text, sample.json) if kept is not None), sample.value)
    if isinstance(value, (int, float)):
        value = typed(segment.shown(value), segment)
    unit, type_ = _terms(segment, shown_in)
    return Sample(
        time=iso(sample.time, zone),
        value=value,
        quality=Quality(sample.quality).name,
        label=_label(value, segment),
        reason=reason.value if reason is not None else None,
        code=code or None,
        source_time=None if sample.source_time is None else iso(sample.source_time, zone),
        unit=unit,
        type=type_,
    )


def shown_bucket(
    bucket: Rollup,
    aggregate: str,
    stretch: Stretch,
    *,
    shown_in: Segment,
    start_us: int,
    zone: tzinfo | None = None,
) -> Bucket:
    """One bucket, with what is asked of it as `value`; it begins at `start_us`, later than its border where a seam cuts it."""
    segment = stretch.last
    value: Any = {
        "avg": bucket.average,
        "min": bucket.minimum,
        "max": bucket.maximum,
        "first": bucket.first,
        "last": bucket.last,
        "count": bucket.count,
        "good": bucket.good,
    }[aggregate]
    label = unit = type_ = None
    if aggregate in ("min", "max", "first", "last"):
        if stretch.kind == "json" and value is not None:
            value = orjson.loads(value)
        value = typed(value, segment)
        label = _label(value, segment)
    if aggregate not in ("count", "good"):
        unit, type_ = _terms(segment, shown_in)
    return Bucket(
        time=iso(moment_of(start_us), zone),
        end=iso(moment_of(bucket.end_us), zone),
        value=value,
        count=bucket.count,
        good=bucket.good,
        label=label,
        unit=unit,
        type=type_,
    )


def _label(value: Any, segment: Segment) -> str | None:
    return segment.labels.get(str(value)) if segment.labels and not isinstance(value, (dict, list)) else None


def _terms(segment: Segment, shown_in: Segment) -> tuple[str | None, str | None]:
    """Unit and type of a row, where the answer as a whole has others."""
    if segment.converts:
        return None, None
    return (
        segment.unit if segment.unit != shown_in.unit else None,
        segment.type if segment.type != shown_in.type else None,
    )


def name_gaps(buckets: Sequence[Bucket], gaps: Sequence[Gap]) -> list[Bucket]:
    """Add to each bucket the gaps in it: its aggregate has fewer samples."""
    named = list(buckets)
    starts = [datetime.fromisoformat(bucket.time) for bucket in buckets]
    ends = [datetime.fromisoformat(bucket.end) for bucket in buckets]
    for gap in gaps:
        first = bisect_right(ends, datetime.fromisoformat(gap.start))
        last = len(starts) if gap.end is None else bisect_right(starts, datetime.fromisoformat(gap.end))
        for at in range(first, last):
            reasons = {*(named[at].gap or "").split(), gap.reason}
            named[at] = replace(named[at], gap=" ".join(sorted(reasons)))
    return named
