"""Joins reads: pure. Every point is in exactly one request, and request and reply both fit the PDU.

Points of one area and block become spans over small gaps; spans become the items of multi-item reads. A span is cut
only between two values. A value longer than a reply (a STRING[254] where the CPU grants 240) is a request of its own,
read in parts.
Source: SIMATIC S7 communication: at most 20 variables a job, the negotiated PDU bounds request and reply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from operator import itemgetter

from nexus_cli.drivers.base import Point, ReadResult, Request
from nexus_cli.drivers.plugin import ONE_REQUEST, Exchange
from nexus_cli.drivers.read_result import NO_FAULTS, LazyValues
from nexus_cli.drivers.s7.codec import Decoder, compile_fields, compile_numbers
from nexus_cli.drivers.s7.field import Field, field_of
from nexus_cli.drivers.s7.pdu import (
    ACK_DATA,
    FRAME_HEADER,
    ITEM_HEADER,
    MAX_ITEMS,
    MIN_PDU,
    READ,
    Item,
    data_places,
    longest_read,
    read_job,
    read_reply_size,
    read_request_size,
)
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value

DEFAULT_GAP = 32
"""Unused bytes that cost no more than another item: 4 bytes of reply and 12 of request, and the CPU's work for it."""
ACKNOWLEDGED = (8, 17, 18, 19, 20)
"""Where a reply's frame has its kind, error class and code, function and count."""
_AREA_ORDER = {area: number for number, area in enumerate(("DB", "M", "I", "Q", "T", "C"))}


@dataclass(frozen=True, slots=True)
class Frame:
    """One read on the wire and the way back from its reply.

    Attributes:
        template: The request's frame, reference zero.
        items: What it asks for.
        reply_size: Bytes of a reply frame in which every item succeeded.
        heads: Takes kind, error, function, count and the items' headers out of such a frame.
        good: What they then are.
    """

    template: bytes
    items: tuple[Item, ...]
    reply_size: int
    heads: Callable[[bytes], tuple[int, ...]]
    good: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Block:
    """The reads of one request.

    Attributes:
        items: Spans of memory.
        fields: One per point, same order.
        spans: For each field the number of its item.
        pdu: Bytes of a PDU that it was planned for.
        gap: Unused bytes that it was planned to read along, None for an item an address.
        long: A value of its own that is longer than a reply.
    """

    items: tuple[Item, ...]
    fields: tuple[Field, ...]
    spans: tuple[int, ...]
    pdu: int
    gap: int | None
    long: bool
    _whole: tuple[Frame, Callable[[bytes], ReadResult]] | None = dataclass_field(default=None, repr=False)
    _image: Decoder | None = dataclass_field(default=None, repr=False)

    @property
    def octets(self) -> int:
        """How many bytes of values its answer has."""
        return sum(item.size for item in self.items)

    def decode(self, raw: bytes) -> ReadResult:
        """The values in the bytes of all items, one after the other."""
        values, faults = self.image()(raw)
        return ReadResult(values, faults)

    def whole(self) -> tuple[Frame, Callable[[bytes], ReadResult]]:
        """The request as one frame, and the decoder of a reply in which every item succeeded."""
        if self._whole is None:
            places = data_places([item.size for item in self.items])
            placed = [
                (field, places[span] + field.start - self.items[span].start)
                for field, span in zip(self.fields, self.spans, strict=True)
            ]
            self._whole = frame_of(self.items), _reply_decoder(placed)
        return self._whole

    def image(self) -> Decoder:
        """The decoder of the items' bytes set one behind the other."""
        if self._image is None:
            starts, at = [], 0
            for item in self.items:
                starts.append(at)
                at += item.size
            self._image = compile_fields(
                [
                    (field, starts[span] + field.start - self.items[span].start)
                    for field, span in zip(self.fields, self.spans, strict=True)
                ]
            )
        return self._image

    def alone(self, number: int) -> bool:
        """Whether all points of an item lie on exactly its bytes, and so share whatever the CPU says of it."""
        item = self.items[number]
        return all(
            (field.start, field.size) == (item.start, item.size)
            for field, span in zip(self.fields, self.spans, strict=True)
            if span == number
        )

    def parts(self, pdu: int) -> list[Item]:
        """A long value's items, each of which fits a PDU of this length."""
        (whole,) = self.items
        most = longest_read(pdu) & ~1
        return [
            Item(whole.area, whole.db, whole.start + at, min(most, whole.size - at))
            for at in range(0, whole.size, most)
        ]


def _reply_decoder(placed: Sequence[tuple[Field, int]]) -> Callable[[bytes], ReadResult]:
    decode, numbers = compile_fields(placed), compile_numbers(placed)
    if numbers is None:
        return lambda reply: ReadResult(*decode(reply))
    column, size = numbers, len(placed)

    def values(reply: bytes) -> list[Value]:
        return decode(reply)[0]

    return lambda reply: ReadResult(LazyValues(size, values, reply), NO_FAULTS, None, column(reply))


def frame_of(items: Sequence[Item]) -> Frame:
    """A read of these items."""
    sizes = [item.size for item in items]
    places = [place - ITEM_HEADER for place in data_places(sizes)]
    heads = [*ACKNOWLEDGED, *(place + number for place in places for number in range(ITEM_HEADER))]
    good = [ACK_DATA, 0, 0, READ, len(items)]
    for item in items:
        bits = item.area not in ("T", "C")
        length = item.size * 8 if bits else item.size
        good += (0xFF, 0x04 if bits else 0x09, length >> 8, length & 0xFF)
    return Frame(read_job(items), tuple(items), FRAME_HEADER + read_reply_size(sizes), itemgetter(*heads), tuple(good))


def planned_pdu(device: DeviceConfig) -> int:
    """Bytes of a PDU to plan with: what the connection says, else what every CPU grants."""
    return int(device.connection.get("pdu") or MIN_PDU)


def group(device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
    """Join points into as few reads as a PDU allows, in order of area, block and address.

    Args:
        device: Its connection gives `pdu` and `max_gap`.
        points: With addresses in normal form.
        fill_gaps: False makes every address an item of its own (the bits of one byte share it): the reply then says
            of each what is wrong with it, and nothing need be bisected.
    """
    gap = device.connection.get("max_gap")
    gap = DEFAULT_GAP if gap is None else int(gap)
    return group_points(device.path, points, pdu=planned_pdu(device), gap=gap if fill_gaps else None)


def group_points(path: str, points: Sequence[Point], *, pdu: int, gap: int | None) -> tuple[Request, ...]:
    """As `group`, for a PDU of this length; `gap` None joins only what lies on the same bytes."""
    placed = [(field_of(point), point) for point in points]
    placed.sort(
        key=lambda pair: (_AREA_ORDER[pair[0].area], pair[0].db, pair[0].start, pair[0].bit, pair[0].size, pair[1].name)
    )
    most = longest_read(pdu)
    requests: list[Request] = []
    run: list[_Span] = []
    for span in _spans(placed, most=most, gap=gap):
        if span.end - span.start > most:
            requests.append(_request(path, [span], pdu, gap))
            continue
        if run and not _fits([*run, span], pdu):
            requests.append(_request(path, run, pdu, gap))
            run = []
        run.append(span)
    if run:
        requests.append(_request(path, run, pdu, gap))
    return tuple(requests)


@dataclass(slots=True)
class _Span:
    start: int
    end: int
    pairs: list[tuple[Field, Point]]

    @property
    def item(self) -> Item:
        first = self.pairs[0][0]
        return Item(first.area, first.db, self.start, self.end - self.start)


def _spans(placed: Sequence[tuple[Field, Point]], *, most: int, gap: int | None) -> list[_Span]:
    """Runs of memory, each at most `most` bytes unless a single value is longer."""
    spans: list[_Span] = []
    for field, point in placed:
        last = spans[-1] if spans else None
        if last is not None and _joins(last, field, most=most, gap=gap):
            last.pairs.append((field, point))
            last.end = max(last.end, field.end)
        else:
            spans.append(_Span(field.start, field.end, [(field, point)]))
    return spans


def _joins(span: _Span, field: Field, *, most: int, gap: int | None) -> bool:
    if span.pairs[0][0].place != field.place:
        return False
    if gap is None:
        return (field.start, field.end) == (span.start, span.end)
    return field.start - span.end <= gap and max(span.end, field.end) - span.start <= most


def _fits(spans: Sequence[_Span], pdu: int) -> bool:
    sizes = [span.end - span.start for span in spans]
    return len(sizes) <= MAX_ITEMS and read_request_size(len(sizes)) <= pdu and read_reply_size(sizes) <= pdu


def _request(path: str, spans: Sequence[_Span], pdu: int, gap: int | None) -> Request:
    items = tuple(span.item for span in spans)
    pairs = [(number, field, point) for number, span in enumerate(spans) for field, point in span.pairs]
    long = len(items) == 1 and items[0].size > longest_read(pdu)
    block = Block(items, tuple(field for _, field, _ in pairs), tuple(number for number, _, _ in pairs), pdu, gap, long)
    text = _text(items) + (f" in {len(block.parts(pdu))} parts" if long else "")
    return Request(path, tuple(point for _, _, point in pairs), block, text)


def _text(items: Sequence[Item]) -> str:
    if len(items) == 1:
        return f"read {items[0].text}"
    shown = ", ".join(item.text for item in items[:4])
    return f"read {len(items)} items: {shown}" + (f", and {len(items) - 4} more" if len(items) > 4 else "")


def exchange(_device: DeviceConfig, request: Request) -> Exchange:
    """What one grouped read is on the wire: a value longer than a reply is read in parts."""
    block: Block = request.detail
    return Exchange(len(block.parts(block.pdu))) if block.long else ONE_REQUEST
