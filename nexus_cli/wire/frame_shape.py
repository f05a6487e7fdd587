"""The shape of frames: a device and its tags in a fixed order. A message names the tags once for all devices that have
the same (`frame_batch`), as those of one template do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from nexus_cli.wire.frame import FrameError

MOST_TAGS = 65_535
"""Tags of a shape; positions are 16 bits."""
MOST_NAMED = 1 << 16
"""Tags of all shapes of a message together. Naming a long list of tags once more costs a sender a few bytes, and a
receiver the time and memory of all of them."""
KEPT_SHAPES, KEPT_BYTES = 20_000, 32 << 20
"""Shapes of received messages that are kept, and the memory of their names (policy: forget all)."""
NAME_BYTES = 64
"""Memory of a short name beside its bytes in a message."""
_KEPT_NAMES = 512


@lru_cache(maxsize=_KEPT_NAMES)
def _encoded(tags: tuple[str, ...]) -> bytes:
    """The bytes of tag names in a message; the same object for all devices of a template."""
    return msgspec.msgpack.encode(tags)


class Shape:
    """The tags of a device in a fixed order; a frame names them by position.

    Attributes:
        device: Device path.
        tags: Tag names in order, each once; in a message at most `MOST_TAGS`.
        encoded: The bytes of the tag names in a message.
    """

    __slots__ = ("_positions", "device", "encoded", "tags")

    def __init__(self, device: str, tags: Sequence[str], *, encoded: bytes = b"") -> None:
        """Name a device and its tags; `encoded` are their bytes in the message that named them, if one did."""
        self.device = device
        self.tags = tuple(tags)
        self.encoded = encoded or _encoded(self.tags)
        self._positions: dict[str, int] = {}

    @property
    def positions(self) -> Mapping[str, int]:
        """Position by tag."""
        if not self._positions:
            self._positions = {tag: at for at, tag in enumerate(self.tags)}
        return self._positions


class _Kept:
    """Shapes by device and the bytes of their tags, and the tags by their bytes, once for all devices of a template.

    Bounded: a hostile sender must not fill the memory.
    """

    def __init__(self) -> None:
        self.shapes: dict[tuple[str, bytes], Shape] = {}
        self.names: dict[bytes, tuple[str, ...]] = {}
        self.size_bytes = 0

    def add(self, key: tuple[str, bytes], shape: Shape) -> None:
        size_bytes = self._size_of(key, shape)
        if len(self.shapes) >= KEPT_SHAPES or self.size_bytes + size_bytes > KEPT_BYTES:
            self.shapes.clear()
            self.names.clear()
            self.size_bytes, size_bytes = 0, self._size_of(key, shape)
        self.names.setdefault(key[1], shape.tags)
        self.shapes[key] = shape
        self.size_bytes += size_bytes

    def _size_of(self, key: tuple[str, bytes], shape: Shape) -> int:
        """What keeping one more costs."""
        device, tags = key
        named = 0 if tags in self.names else NAME_BYTES * len(shape.tags)
        return len(device) + len(tags) + named


_kept = _Kept()
_decoder = msgspec.msgpack.Decoder(list[str])


def known_shape(device: str, tags: bytes) -> Shape:
    """The shape of a device with tags of these bytes; one that was read before is the same object.

    Raises:
        FrameError: Not tags, or a tag twice.
    """
    key = device, tags
    shape = _kept.shapes.get(key)
    if shape is None:
        names = _kept.names.get(tags)
        shape = Shape(device, _read(device, tags) if names is None else names, encoded=tags)
        _kept.add(key, shape)
    return shape


def tag_count(encoded: bytes) -> int:
    """How many tags these bytes name, without reading them; 0 when they are no list."""
    head = encoded[0] if encoded else 0
    if 0x90 <= head <= 0x9F:
        return head & 0x0F
    return int.from_bytes(encoded[1 : {0xDC: 3, 0xDD: 5}.get(head, 1)], "big")


def _read(device: str, encoded: bytes) -> list[str]:
    try:
        tags = _decoder.decode(encoded)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"the tags of '{device[:200]}' can't be read: {error}") from None
    if not 0 < len(tags) <= MOST_TAGS or len(set(tags)) != len(tags):
        raise FrameError(f"a shape of '{device[:200]}' has no tags, too many, or one twice")
    return tags
