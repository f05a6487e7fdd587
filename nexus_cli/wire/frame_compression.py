"""Frame batches compressed on the wire with Zstandard (RFC 8878).

A compressed batch begins with the format's magic number, which no batch does: a reader needs no other mark. Its header has to
say how large it becomes, so that nothing is allocated for one that is too large.

See docs/decisions/0098.
"""

from __future__ import annotations

import zstandard

from nexus_cli.wire.frame import FrameError

MAGIC = b"\x28\xb5\x2f\xfd"
LARGEST = 4 << 20
"""Bytes that a batch may become: what a historian reads at most."""
ABOVE = 4 * 1024
"""Smaller ones stay as they are: a packet of the network holds a third of that."""
LEVEL = 3
LARGEST_WINDOW = 8 << 20
"""Of the decoder's memory. Source: RFC 8878 §3.1.1.1.2, which recommends that decoders support it."""

_compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True, write_checksum=True)
_decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)


def is_batch(payload: bytes) -> bool:
    """Whether a payload can be a batch, by its first byte: a MessagePack map."""
    return bool(payload) and (payload[0] & 0xF0 == 0x80 or payload[0] in (0xDE, 0xDF))


def compressed(payload: bytes) -> bytes:
    """The batch compressed; as it is when it is no batch, small, or would not become smaller."""
    if not ABOVE <= len(payload) <= LARGEST or not is_batch(payload):
        return payload
    found = _compressor.compress(payload)
    return found if len(found) < len(payload) else payload


def expanded(payload: bytes) -> bytes:
    """A batch as it was before it was compressed; any other payload as it is.

    Raises:
        FrameError: It begins like a compressed one and is damaged, does not say its size, or becomes too large.
    """
    if payload[:4] != MAGIC:
        return payload
    try:
        size = zstandard.get_frame_parameters(payload).content_size
        if not 0 < size <= LARGEST:
            raise FrameError(f"a compressed frame batch says that it becomes {size} bytes; at most {LARGEST} are read")
        found = _decompressor.decompress(payload, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FrameError(f"a compressed frame batch is damaged: {error}") from None
    if len(found) != size:
        raise FrameError(f"a compressed frame batch has {len(found)} bytes and says {size}")
    return found
