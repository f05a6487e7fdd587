"""Strings of a PLC: STRING in cp1252 or UTF-8, WSTRING in UTF-16, all ended by a NUL. Pure.

Source: Beckhoff TwinCAT 3 PLC, data types STRING and WSTRING; attribute TcEncoding.
"""

from __future__ import annotations

from collections.abc import Callable

from nexus_cli.drivers.ads.plctypes import Shape
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.wire.sample import Reason, Value


def text_decoder(encoding: str) -> Callable[[bytes], str]:
    """What reads a string of an encoding. It may raise ValueError."""
    if encoding == "utf-16-le":
        return wide_text
    return utf8_text if encoding == "utf-8" else plain_text


def plain_text(raw: bytes) -> str:
    """A STRING up to its NUL. The five codes that cp1252 leaves open keep their number, so that nothing is lost."""
    ended = raw.partition(b"\0")[0]
    try:
        return ended.decode("cp1252")
    except UnicodeDecodeError:
        return "".join(bytes((one,)).decode("cp1252", "ignore") or chr(one) for one in ended)


def utf8_text(raw: bytes) -> str:
    """A STRING that holds UTF-8. Raises ValueError."""
    return raw.partition(b"\0")[0].decode("utf-8")


def wide_text(raw: bytes) -> str:
    """A WSTRING up to its NUL. Raises ValueError."""
    for at in range(0, len(raw) - 1, 2):
        if raw[at : at + 2] == b"\0\0":
            return raw[:at].decode("utf-16-le")
    return raw[: len(raw) & ~1].decode("utf-16-le")


def text_bytes(value: Value, shape: Shape) -> bytes:
    """A string as the PLC keeps it, with its NUL, filled up. Raises EncodeError."""
    if not isinstance(value, str):
        raise EncodeError(f"{value!r} is not a string")
    if "\0" in value:
        raise EncodeError(f"{value!r} contains a NUL, which ends a string in the PLC")
    try:
        raw = value.encode(shape.text)
    except UnicodeEncodeError:
        raw = _plain_bytes(value) if shape.text == "cp1252" else b""
        if not raw:
            raise EncodeError(f"{value!r} has characters that the PLC's {shape.name} can't hold") from None
    end = 2 if shape.text == "utf-16-le" else 1
    if len(raw) + end > shape.size:
        raise EncodeError(f"{value!r} does not fit {shape.name}", reason=Reason.OVERFLOW)
    return raw.ljust(shape.size, b"\0")


def _plain_bytes(value: str) -> bytes:
    out = bytearray()
    for character in value:
        try:
            out += character.encode("cp1252")
        except UnicodeEncodeError:
            if ord(character) not in (0x81, 0x8D, 0x8F, 0x90, 0x9D):  # 0x80 would be read as the euro sign
                return b""
            out.append(ord(character))
    return bytes(out)
