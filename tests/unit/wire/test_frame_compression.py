"""Compressed frame batches: the same batch comes back; what is damaged or lies about its size is refused before it costs."""

from __future__ import annotations

import random
import tracemalloc

import pytest
import zstandard

from nexus_cli.wire.frame import FrameError
from nexus_cli.wire.frame_batch import Shape, columns_of, decode_batch, encode_batch
from nexus_cli.wire.frame_compression import ABOVE, LARGEST, MAGIC, compressed, expanded


def batch(frames: int = 100, *, tags: int = 20) -> bytes:
    dice = random.Random(7)
    shape = Shape("a/l/d", [f"t{index}" for index in range(tags)])
    return encode_batch(
        [
            columns_of(
                shape, 1_800_000_000_000_000 + at, {name: dice.randrange(900) / 10 for name in shape.tags}, {}, {}
            )
            for at in range(frames)
        ],
        epoch="E1",
        seq=1,
    )


def test_a_batch_comes_back_and_is_smaller() -> None:
    payload = batch()
    small = compressed(payload)
    assert small.startswith(MAGIC) and len(small) < 0.6 * len(payload)
    assert expanded(small) == payload and decode_batch(small) == decode_batch(payload)


def test_what_is_small_no_batch_or_does_not_shrink_stays() -> None:
    noise = b"\x81" + random.Random(1).randbytes(ABOVE)
    for payload in (batch(1, tags=2), b'{"epoch": "E1"}' + b" " * ABOVE, b"", noise, b"\x81" + bytes(LARGEST)):
        assert compressed(payload) is payload and expanded(payload) is payload


def test_no_batch_begins_like_a_compressed_one() -> None:
    assert not batch(1).startswith(MAGIC[:1])


@pytest.mark.parametrize("size", [LARGEST + 1, 1 << 31])
def test_a_bomb_is_refused_before_it_is_unpacked(size: int) -> None:
    packer = zstandard.ZstdCompressor(level=1, write_content_size=True).compressobj(size=size)
    bomb = packer.compress(bytes(1 << 20))  # its header says the whole size
    tracemalloc.start()
    with pytest.raises(FrameError, match="becomes"):
        expanded(bomb or packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_one_that_does_not_say_its_size_lies_or_is_damaged_is_refused() -> None:
    payload = compressed(batch())
    unsaid = zstandard.ZstdCompressor(write_content_size=False).compress(batch())
    for wrong in (unsaid, payload[:-5], MAGIC, MAGIC + b"x" * 50, payload + payload, payload + b"x"):
        with pytest.raises(FrameError):
            expanded(wrong)
    dice = random.Random(3)
    for _ in range(2_000):
        damaged = bytearray(payload)
        damaged[dice.randrange(4, len(damaged))] ^= 1 << dice.randrange(8)
        try:
            assert len(expanded(bytes(damaged))) <= LARGEST
        except FrameError:
            continue
