"""The file of `nexus tail --record`: messages as they came, in blocks that a kill or damage can't take along.

One line of JSON (the header), then blocks: a mark of four bytes, the length and the CRC-32 of the body as big-endian
32-bit numbers, and the body: records as a MessagePack list, compressed with zlib where the header says so. A file whose end
is missing has every block before it; of one that is damaged, the blocks that are whole. Pure: bytes in, records out.

See docs/decisions/0086.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import msgspec

VERSION = 1
MARK = b"\xf5NXB"
_HEAD = struct.Struct(">4sII")
BLOCK_BYTES = 256 * 1024
"""A block is written when it holds so much, or after a moment."""
MOST_BLOCK_BYTES = 64 * 2**20
"""No block is longer, compressed or not: what a reader holds at once."""
MOST_TRIES = 8
"""Marks may be damage that claims what is not there: so many times the file's size is read in search of whole blocks."""
MOST_PAYLOAD_BYTES = 32 * 2**20
"""A larger message is noted and left out."""
LONGEST_HEADER = 64 * 1024

Compression = Literal["none", "zlib"]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line.

    Attributes:
        version: Of the format.
        site: `enterprise/site`.
        started: µs since 1970 UTC.
        filters: MQTT filters that were subscribed.
        by: User of the broker, whose rights bound what was recorded.
        compression: Of the bodies.
    """

    version: int = msgspec.field(name="nexus-recording")
    site: str
    started: int
    filters: list[str]
    by: str = ""
    compression: Compression = "none"


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message, or a note of the recorder (no topic; the payload is its text).

    Attributes:
        time_us: When it was received, µs since 1970 UTC.
        topic: "" of a note.
        payload: Exactly as it came.
        qos: As it was delivered: the lower one of publication and subscription.
        retain: True when the broker had kept it from before.
    """

    time_us: int
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Source(Protocol):
    """What blocks are read from: bytes, or a mapped file."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...

    def find(self, sub: bytes, start: int = 0, /) -> int: ...


class Damage(msgspec.Struct):
    """What could not be read.

    Attributes:
        blocks: Places where something was skipped.
        skipped_bytes: How much.
        cut: True when the end of the file is missing.
    """

    blocks: int = 0
    skipped_bytes: int = 0
    cut: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Record])


def encode_header(header: Header) -> bytes:
    """The first line."""
    return msgspec.json.encode(header) + b"\n"


def decode_header(data: bytes) -> tuple[Header, int]:
    """The header, and where the first block begins.

    Raises:
        ValueError: The file does not begin with one, or is of a later version.
    """
    end = data.find(b"\n", 0, LONGEST_HEADER)
    if end < 0:
        raise ValueError("it does not begin with a recording's header")
    try:
        version = msgspec.json.decode(data[:end], type=dict[str, msgspec.Raw]).get("nexus-recording")
        if version is None:
            raise ValueError("its first line is not a recording's header")
        if bytes(version) != str(VERSION).encode():
            raise VersionError(f"it is of version {bytes(version).decode(errors='replace')[:20]}")
        return msgspec.json.decode(data[:end], type=Header), end + 1
    except msgspec.MsgspecError:
        raise ValueError("its first line is not a recording's header") from None


class VersionError(ValueError):
    """A recording of a later version."""


def encode_block(records: Sequence[Record], compression: Compression) -> bytes:
    """One block; the caller keeps it below `MOST_BLOCK_BYTES`."""
    body = _encoder.encode(records)
    if compression == "zlib":
        body = zlib.compress(body, 3)
    return _HEAD.pack(MARK, len(body), zlib.crc32(body)) + body


def read_blocks(data: Source, start: int, compression: Compression, damage: Damage) -> Iterator[list[Record]]:
    """The records of each whole block, in order. What can't be read is counted in `damage` and passed over."""
    at, size = start, len(data)
    left = MOST_TRIES * size + BLOCK_BYTES
    while at < size:
        found = _block(data, at, compression)
        if found is not None:
            records, at = found
            yield records
            continue
        left -= _claimed(data, at)
        following = data.find(MARK, at + 1) if left > 0 else -1
        if following < 0:
            damage.skipped_bytes += size - at
            damage.cut = True
            return
        if not damage.blocks or _block(data, following, compression) is not None:
            damage.blocks += 1
        damage.skipped_bytes += following - at
        at = following


def _claimed(data: Source, at: int) -> int:
    """Bytes that were read for a block that is not whole."""
    head = data[at : at + _HEAD.size]
    length = _HEAD.unpack(head)[1] if len(head) == _HEAD.size else 0
    return _HEAD.size + (length if length <= min(MOST_BLOCK_BYTES, len(data) - at - _HEAD.size) else 0)


def _block(data: Source, at: int, compression: Compression) -> tuple[list[Record], int] | None:
    """A block and where it ends; None where there is no whole one."""
    head = data[at : at + _HEAD.size]
    if len(head) < _HEAD.size:
        return None
    mark, length, checksum = _HEAD.unpack(head)
    end = at + _HEAD.size + length
    if mark != MARK or length > MOST_BLOCK_BYTES or end > len(data):
        return None
    body = data[at + _HEAD.size : end]
    if zlib.crc32(body) != checksum:
        return None
    try:
        if compression == "zlib":
            unpacking = zlib.decompressobj()
            body = unpacking.decompress(body, MOST_BLOCK_BYTES)
            if unpacking.unconsumed_tail:
                return None
        return _decoder.decode(body), end
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
        return None
