"""The shape of frames: a device and its tags in a fixed order, named once in a message (`frame_batch`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from nexus_cli.wire.frame import FrameError

MOST_TAGS = 65_535
"""Tags of a shape; positions are 16 bits."""
KEPT_SHAPES, KEPT_BYTES = 20_000, 32 << 20
"""Shapes of received messages that are kept, and their bytes there (policy: forget all)."""


class Shape:
    """The tags of a device in a fixed order; a frame names them by position.

    Attributes:
        device: Device path.
        tags: Tag names in order, each once; in a message at most `MOST_TAGS`.
        encoded: Its bytes in a message.
    """

    __slots__ = ("_positions", "device", "encoded", "tags")

    def __init__(self, device: str, tags: Sequence[str]) -> None:
        """Name a device and its tags."""
        self.device = device
        self.tags = tuple(tags)
        self.encoded = msgspec.msgpack.encode([device, self.tags])
        self._positions: dict[str, int] = {}

    @property
    def positions(self) -> Mapping[str, int]:
        """Position by tag."""
        if not self._positions:
            self._positions = {tag: at for at, tag in enumerate(self.tags)}
        return self._positions


class _Kept:
    """Shapes by their bytes, bounded: a hostile sender must not fill the memory."""

    def __init__(self) -> None:
        self.shapes: dict[bytes, Shape] = {}
        self.size_bytes = 0

    def add(self, raw: bytes, shape: Shape) -> None:
        if len(self.shapes) >= KEPT_SHAPES or self.size_bytes + len(raw) > KEPT_BYTES:
            self.shapes.clear()
            self.size_bytes = 0
        self.shapes[raw] = shape
        self.size_bytes += len(raw)


_kept = _Kept()
_decoder = msgspec.msgpack.Decoder(tuple[str, list[str]])


def known_shape(raw: bytes) -> Shape:
    """The shape with these bytes; one that was read before is the same object.

    Raises:
        FrameError: Not a device and its tags, or a tag twice.
    """
    shape = _kept.shapes.get(raw)
    if shape is None:
        shape = _read(raw)
        _kept.add(raw, shape)
    return shape


def _read(raw: bytes) -> Shape:
    try:
        device, tags = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a shape can't be read: {error}") from None
    if not 0 < len(tags) <= MOST_TAGS or len(set(tags)) != len(tags):
        raise FrameError(f"a shape of '{device[:200]}' has no tags, too many, or one twice")
    return Shape(device, tags)
