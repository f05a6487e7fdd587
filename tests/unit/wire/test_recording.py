"""The file of a recording: what is whole is read, wherever it was cut or damaged."""

from __future__ import annotations

import random
import zlib

import pytest

from nexus_cli.wire.recording import (
    MARK,
    Compression,
    Damage,
    Header,
    Record,
    VersionError,
    decode_header,
    encode_block,
    encode_header,
    read_blocks,
)


def header(compression: Compression = "none") -> Header:
    return Header(
        version=1, site="acme/x", started=1_700_000_000_000_000, filters=["acme/x/#"], compression=compression
    )


def blocks(compression: Compression) -> list[list[Record]]:
    return [
        [
            Record(
                1_700_000_000_000_000 + 1000 * (10 * block + at),
                f"acme/x/a/l/d/t{at}",
                bytes([at]) * 20,
                at % 3,
                at == 0,
            )
            for at in range(10)
        ]
        for block in range(5)
    ]


def whole(compression: Compression) -> tuple[bytes, list[int]]:
    """A file, and where each block ends."""
    data, ends = encode_header(header(compression)), []
    for each in blocks(compression):
        data += encode_block(each, compression)
        ends.append(len(data))
    return data, ends


def read(data: bytes) -> tuple[list[Record], Damage]:
    head, start = decode_header(data)
    damage = Damage()
    found = [record for some in read_blocks(data, start, head.compression, damage) for record in some]
    return found, damage


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_what_is_written_is_read(compression: Compression) -> None:
    data, _ = whole(compression)
    found, damage = read(data)
    assert found == [record for block in blocks(compression) for record in block]
    assert damage == Damage()
    assert decode_header(data)[0] == header(compression)


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_a_file_cut_anywhere_has_every_block_before(compression: Compression) -> None:
    data, ends = whole(compression)
    start = decode_header(data)[1]
    every = [record for block in blocks(compression) for record in block]
    for cut in range(start, len(data)):
        found, damage = read(data[:cut])
        complete = sum(end <= cut for end in ends)
        assert found == every[: 10 * complete], cut
        assert damage.cut == (cut not in (start, *ends)), cut


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_one_damaged_byte_costs_one_block(compression: Compression) -> None:
    data, ends = whole(compression)
    start, chance = decode_header(data)[1], random.Random(4)
    for at in [start, start + 5, ends[0] - 1, *(chance.randrange(start, ends[3]) for _ in range(60))]:
        broken = bytearray(data)
        broken[at] ^= 1 << chance.randrange(8)
        lost = sum(end <= at for end in ends)
        found, damage = read(bytes(broken))
        kept = [record for number, block in enumerate(blocks(compression)) if number != lost for record in block]
        assert found == kept, at
        assert damage.blocks == 1
        assert damage.skipped_bytes == ends[lost] - ([start, *ends][lost])
        assert not damage.cut


def test_a_mark_in_a_payload_is_no_block() -> None:
    evil = [Record(1, "acme/x/a", MARK + b"\0\0\0\4\0\0\0\0" + MARK * 3)]
    data = encode_header(header()) + encode_block(evil, "none") + encode_block(evil, "none")
    broken = bytearray(data)
    broken[decode_header(data)[1]] ^= 0xFF
    found, _ = read(bytes(broken))
    assert found == evil


def test_rubbish_is_no_recording() -> None:
    for data in (b"", b"\0" * 100, b"[]\n", b'{"site":"a/b"}\n', b"x" * 200_000):
        with pytest.raises(ValueError):
            decode_header(data)
    with pytest.raises(VersionError):
        decode_header(b'{"nexus-recording":2,"site":"acme/x","started":1,"filters":[]}\n')


def test_a_bomb_is_not_unpacked() -> None:
    body = zlib.compress(b"\0" * (80 * 2**20), 9)
    bomb = MARK + len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body
    sound = [Record(1, "acme/x/a", b"1")]
    found, damage = read(encode_header(header("zlib")) + bomb + encode_block(sound, "zlib"))
    assert found == sound
    assert damage.blocks == 1


class _Counted(bytes):
    """Bytes that count how much is read of them."""

    read = 0

    def __getitem__(self, part: slice) -> bytes:  # type: ignore[override]
        found = bytes.__getitem__(self, part)
        type(self).read += len(found)
        return found


def test_marks_that_claim_too_much_do_not_make_reading_quadratic() -> None:
    claim = MARK + (2**20).to_bytes(4, "big") + b"\0\0\0\0"
    data = _Counted(claim * 200_000)
    damage = Damage()
    assert list(read_blocks(data, 0, "none", damage)) == []
    assert (damage.cut, damage.skipped_bytes) == (True, len(data))
    assert _Counted.read < 20 * len(data)
