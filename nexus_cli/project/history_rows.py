"""Stored samples and buckets as JSON values: the value as its type says, in the unit that is shown. Pure."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, tzinfo
from typing import Any

import orjson

from nexus_cli.database.queries import StoredSample
from nexus_cli.database.rollups import Rollup
from nexus_cli.database.segments import Kind, Segment, Stretch
from nexus_cli.model.calendar import iso, moment_of
from nexus_cli.wire.sample import Quality, unpack_status


def stored_value(sample: StoredSample, kind: Kind) -> Any:
    """What a builder of buckets takes: structures as JSON text, so that they can be compared."""
    if sample.quality == Quality.BAD:
        return None
    if kind == "json":
        return None if sample.json is None else orjson.dumps(sample.json).decode()
    if kind == "text":
        return sample.text
    return sample.value if sample.exact is None else sample.exact


def typed(value: Any, segment: Segment) -> Any:
    """A number as its type has it: true and false, whole numbers without a fraction."""
    if isinstance(value, float):
        if segment.type == "bool" and value in (0.0, 1.0):
            return bool(value)
        if segment.type.lstrip("u").startswith("int") and value.is_integer():
            return int(value)
    return value


def sample_json(
    sample: StoredSample, segment: Segment, *, shown_in: Segment, zone: tzinfo | None = None
) -> dict[str, Any]:
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
    row: dict[str, Any] = {
        "time": iso(sample.time, zone),
        "value": value,
        "quality": Quality(sample.quality).name,
    }
    optional = {"label": _label(value, segment), "reason": reason and reason.value, "code": code or None}
    row |= {name: value for name, value in optional.items() if value is not None}
    if sample.source_time is not None:
        row["source_time"] = iso(sample.source_time, zone)
    return row | _terms(segment, shown_in)


def bucket_json(
    bucket: Rollup,
    aggregate: str,
    stretch: Stretch,
    *,
    shown_in: Segment,
    start_us: int,
    zone: tzinfo | None = None,
) -> dict[str, Any]:
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
    row: dict[str, Any] = {
        "time": iso(moment_of(start_us), zone),
        "end": iso(moment_of(bucket.end_us), zone),
        "value": value,
        "count": bucket.count,
        "good": bucket.good,
    }
    if aggregate in ("min", "max", "first", "last"):
        if stretch.kind == "json" and value is not None:
            value = orjson.loads(value)
        row["value"] = typed(value, segment)
        label = _label(row["value"], segment)
        row |= {"label": label} if label is not None else {}
    return row | (_terms(segment, shown_in) if aggregate not in ("count", "good") else {})


def _label(value: Any, segment: Segment) -> str | None:
    return segment.labels.get(str(value)) if segment.labels and not isinstance(value, (dict, list)) else None


def _terms(segment: Segment, shown_in: Segment) -> dict[str, str]:
    """Unit and type of a row where the answer as a whole has others."""
    if segment.converts or (segment.unit, segment.type) == (shown_in.unit, shown_in.type):
        return {}
    return ({"unit": segment.unit} if segment.unit != shown_in.unit else {}) | (
        {"type": segment.type} if segment.type != shown_in.type else {}
    )


def name_gaps(buckets: list[dict[str, Any]], gaps: list[dict[str, Any]]) -> None:
    """Say in each bucket which gaps lie in it: what is shown of it was made of fewer samples."""
    starts = [datetime.fromisoformat(bucket["time"]) for bucket in buckets]
    ends = [datetime.fromisoformat(bucket["end"]) for bucket in buckets]
    for gap in gaps:
        first = bisect_right(ends, datetime.fromisoformat(gap["start"]))
        last = len(starts) if gap["end"] is None else bisect_right(starts, datetime.fromisoformat(gap["end"]))
        for bucket in buckets[first:last]:
            bucket["gap"] = " ".join(sorted({*bucket.get("gap", "").split(), gap["reason"]}))
