"""The data types by the examples of the standard (MQTT 5.0, 1.5; MQTT 3.1.1, 1.5 and 2.2.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nexus_cli.wire.mqtt import data
from nexus_cli.wire.mqtt.data import MalformedError


# Table 1-1: the borders of one, two, three and four bytes.
@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (321, "c102"),  # the example of 3.1.1, 2.2.3
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
        (268_435_455, "ffffff7f"),
    ],
)
def test_a_variable_byte_integer(value: int, encoded: str) -> None:
    raw = bytes.fromhex(encoded)
    assert data.write_variable(value) == raw
    assert data.read_variable(b"\xaa" + raw + b"\xbb", 1) == (value, 1 + len(raw))
    for cut in range(len(raw)):
        assert data.partial_variable(raw, 0, cut) is None
        with pytest.raises(MalformedError, match="cut short"):
            data.read_variable(raw[:cut], 0)


def test_a_variable_byte_integer_has_four_bytes_at_most() -> None:
    for raw in (b"\x80\x80\x80\x80", b"\xff\xff\xff\xff\x01"):
        with pytest.raises(MalformedError, match="more than four bytes"):
            data.read_variable(raw, 0)
    for value in (-1, 268_435_456):
        with pytest.raises(ValueError, match="does not fit"):
            data.write_variable(value)


def test_a_text() -> None:
    # Figure 1.2 of 1.5.4: "A" and U+2A6D4.
    raw = bytes.fromhex("0005 41 f0aa9b94")
    assert data.text("A\U0002a6d4") == raw
    assert data.read_text(raw, 0) == ("A\U0002a6d4", 7)
    assert data.read_text(b"\x00\x03\xef\xbb\xbf", 0) == ("\ufeff", 5), "U+FEFF is kept [1.5.4-3]"
    assert data.text("x" * 65_535)[:2] == b"\xff\xff"
    for wrong in ("x" * 65_536, "a\x00b", "\ud800"):
        with pytest.raises(ValueError):
            data.text(wrong)
    for broken in (b"\x00\x03\xed\xa0\x80", b"\x00\x01\xff", b"\x00\x02\xc3\x28"):  # a surrogate [1.5.4-1], not UTF-8
        with pytest.raises(MalformedError, match="UTF-8"):
            data.read_text(broken, 0)


def test_binary_data() -> None:
    assert data.binary(b"\x00\xff") == b"\x00\x02\x00\xff"
    assert data.read_binary(b"\x00\x02\x00\xff\x01", 0) == (b"\x00\xff", 4)
    with pytest.raises(ValueError, match="65535"):
        data.binary(b"x" * 65_536)


@pytest.mark.parametrize(
    ("reader", "raw", "value"),
    [
        (data.read_one, b"\xfe", 0xFE),
        (data.read_two, b"\x12\x34", 0x1234),
        (data.read_four, b"\x12\x34\x56\x78", 0x12345678),
        (data.read_binary, b"\x00\x01a", b"a"),
        (data.read_text, b"\x00\x01a", "a"),
    ],
)
def test_every_reader_says_where_bytes_are_missing(
    reader: Callable[[bytes, int], tuple[Any, int]], raw: bytes, value: Any
) -> None:
    assert reader(raw, 0) == (value, len(raw))
    for cut in range(len(raw)):
        with pytest.raises(MalformedError, match="cut short") as found:
            reader(raw[:cut], 0)
        assert found.value.code == 0x81


def test_integers_have_a_range() -> None:
    assert data.integer(65_535, 2) == b"\xff\xff"
    for value in (-1, 65_536):
        with pytest.raises(ValueError, match="2 bytes"):
            data.integer(value, 2)
