"""The JSON form of `nexus history`: what is stored of one tag in a span. Times are ISO 8601 with an offset."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.field_types import PlainValue

"""A document as builtins, for an encoder."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sample; fields that do not apply are left out.

    Attributes:
        time: Of the gateway.
        value: In the unit that is shown; None when it is BAD.
        quality: GOOD, UNCERTAIN or BAD.
        label: Name of an enumeration's code.
        reason: Why it is not GOOD.
        code: The protocol's own.
        source_time: Of the device.
        unit, type: Where they are others than those of the answer and could not be converted.
    """

    time: str
    value: PlainValue
    quality: str
    label: str | None = None
    reason: str | None = None
    code: int | None = None
    source_time: str | None = None
    unit: str | None = None
    type: str | None = None


class Bucket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The aggregate of the samples in one span of the grid.

    Attributes:
        time, end: The span, without its end.
        value: The requested aggregate; None when there is none.
        count: Samples in it.
        good: Those of them that are GOOD.
        label, unit, type: As in `Sample`.
        gap: Reasons, where samples of it are known to be missing; several are separated by a space.
    """

    time: str
    end: str
    value: PlainValue
    count: int
    good: int
    label: str | None = None
    unit: str | None = None
    type: str | None = None
    gap: str | None = None


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A span in which samples are known to be missing.

    Attributes:
        start, end: The span; the end is None while it lasts.
        device: Path, "" for the whole gateway.
        gateway: Its name.
        frames: 0 when it is not known how many.
        reason: One of `wire.frame.GapReason`.
    """

    start: str
    end: str | None
    device: str
    gateway: str
    frames: int
    reason: str


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type and unit that samples were stored with, and the names of an enumeration's codes where those changed."""

    type: str
    unit: str
    labels: dict[str, str] | None = None


class Seam(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which unit, type or names changed; `converted` is whether earlier values are shown in the later unit."""

    time: str
    before: Terms
    after: Terms
    converted: bool


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one tag in a span.

    Attributes:
        path: `area/line/device/tag`, as the series is named now.
        asked: The path that was asked for; differs after a rename.
        unit, type: What values are shown in: what the newest of them were stored with.
        active: Whether its tag is declared.
        since, until: The span.
        every: Width of a bucket as it was asked (`1h`, `1mo`), or None for single samples.
        every_ms: The same where it is exact, else None.
        zone: On whose clocks days, weeks and months begin; None without them.
        aggregate: What of a bucket is shown.
        samples: By time; empty where a width was asked.
        buckets: By time, where a width was asked.
        gaps: By start.
        seams: By time.
        truncated: True when there were more samples than the limit.
    """

    path: str
    asked: str
    unit: str
    type: str
    active: bool
    since: str
    until: str
    every: str | None
    every_ms: int | None
    zone: str | None
    aggregate: str | None
    samples: list[Sample]
    buckets: list[Bucket]
    gaps: list[Gap]
    seams: list[Seam]
    truncated: bool

    @property
    def rows(self) -> Sequence[Sample | Bucket]:
        """The samples, or the buckets where a width was requested."""
        return self.samples if self.every is None else self.buckets

    def to_json(self) -> JsonObject:
        """As JSON values; samples and buckets have the same place."""
        document = builtins_of(self)
        buckets = document.pop("buckets")
        return document if self.every is None else document | {"samples": buckets}


def builtins_of(value: msgspec.Struct) -> JsonObject:
    """A Struct as JSON values, fields in their order."""
    found: JsonObject = msgspec.to_builtins(value)
    return found
