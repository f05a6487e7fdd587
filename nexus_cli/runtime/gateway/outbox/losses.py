"""Frames that are lost and not declared yet: one span per device and reason. Pure.

See docs/decisions/0028.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nexus_cli.wire.frame import GapReason


class Span(NamedTuple):
    """A loss that becomes a gap.

    Attributes:
        device: Device path, or "" for the whole gateway.
        reason: One of `GapReason`.
        start_us, end_us: First and last missing moment, µs since 1970 UTC.
        frames: How many are missing; 0 when unknown.
    """

    device: str
    reason: str
    start_us: int
    end_us: int
    frames: int


class Losses:
    """Losses to declare, merged where no existing frame is in between.

    Bounded: above `most` devices with the same reason they become one span for the whole gateway.

    Attributes:
        spans: By device and reason; empty when nothing is to be declared.
    """

    def __init__(self, *, most: int = 1_000) -> None:
        """Start with nothing lost."""
        self._most = most
        self.spans: dict[tuple[str, str], list[Span]] = {}
        self._whole: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.spans)

    def add(self, span: Span, *, joined: bool = False) -> None:
        """Note a loss.

        Args:
            span: The loss; start and end are swapped if the end is earlier.
            joined: No frame of this device was accepted since the last loss with this reason: the two are merged.
        """
        if span.end_us < span.start_us:
            span = span._replace(start_us=span.end_us, end_us=span.start_us)
        if (span.device, span.reason) not in self.spans and len(self.spans) >= self._most:
            self._gather(span.reason)
        if span.reason in self._whole:
            span = span._replace(device="")
            joined = True
        known = self.spans.setdefault((span.device, span.reason), [])
        if known and (joined or _touch(known[-1], span)):
            known[-1] = _union(known[-1], span)
        else:
            known.append(span)

    def take(self) -> list[Span]:
        """Remove and return all spans, by start."""
        spans, self.spans = self.spans, {}
        self._whole.clear()
        return sorted((span for many in spans.values() for span in many), key=lambda span: span.start_us)

    def _gather(self, reason: str) -> None:
        """Merge the spans with this reason into one for the whole gateway, which bounds their number."""
        keys = [key for key in self.spans if key[1] == reason]
        if len(keys) < self._most // 2:
            return
        spans = [span for key in keys for span in self.spans.pop(key)]
        whole = spans[0]._replace(device="")
        for span in spans[1:]:
            whole = _union(whole, span)
        self.spans["", reason] = [whole]
        self._whole.add(reason)


def dropped(records: Iterable[tuple[str, int, bool]], *, most: int) -> list[Span]:
    """The spans of undelivered frames that are dropped.

    Args:
        records: Device, time in µs, and whether the frame is lost (else it was delivered), in order.
        most: Above this many devices, if all frames are lost, one span for the gateway is returned: a long outage of a
            large plant must not fill the log with gaps.

    Returns:
        Spans that contain no delivered frame, per device, or one for the whole gateway.
    """
    losses = Losses(most=1 << 30)
    going_on: set[str] = set()
    whole = True
    for device, time_us, lost in records:
        if lost:
            span = Span(device, GapReason.OVERFLOW, time_us, time_us, 1)
            losses.add(span, joined=device in going_on)
            going_on.add(device)
        else:
            going_on.discard(device)
            whole = False
    spans = losses.take()
    if not whole or len(spans) <= most:
        return spans
    end_us = max(span.end_us for span in spans)
    return [Span("", GapReason.OVERFLOW, spans[0].start_us, end_us, sum(span.frames for span in spans))]


def _touch(one: Span, other: Span) -> bool:
    return other.start_us <= one.end_us + 1 and one.start_us <= other.end_us + 1


def _union(one: Span, other: Span) -> Span:
    frames = one.frames + other.frames if one.frames and other.frames else 0
    return one._replace(start_us=min(one.start_us, other.start_us), end_us=max(one.end_us, other.end_us), frames=frames)
