"""A frozen copy of what the former version wrote into its disk log (NXO1): never changed, since such files exist."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

EPOCH = "01JDZZZZZZZZZZZZZZZZZZZZZZ"


def header(first_seq: int, last_time_us: int) -> bytes:
    """A segment's first bytes."""
    head = struct.pack("<4sQq26sI", b"NXO1", first_seq, last_time_us, EPOCH.encode(), 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(head))


def record(seq: int, time_us: int, topic: str, payload: bytes) -> bytes:
    """A record."""
    name = topic.encode()
    body = struct.pack("<QqH", seq, time_us, len(name)) + name + payload
    tail = struct.pack("<I", len(body)) + body
    return struct.pack("<I", zlib.crc32(tail)) + tail


def frame(seq: int, time_us: int, samples: dict[str, object]) -> bytes:
    """A frame in JSON."""
    content = {"epoch": EPOCH, "seq": seq, "time": time_us, "samples": samples}
    return json.dumps(content, separators=(",", ":")).encode()


def write(folder: Path, first_seq: int, records: Sequence[tuple[int, str, bytes]]) -> Path:
    """A segment of records (time, topic, payload) that are numbered from one on."""
    path = folder / f"{first_seq:020d}-{records[0][0]:017d}.log"
    content = b"".join(record(seq, *one) for seq, one in enumerate(records, first_seq))
    path.write_bytes(header(first_seq, records[0][0] - 1) + content)
    return path
