"""Characters of CHAR, STRING and WSTRING: pure.

STRING holds bytes of the engineering PC's ANSI code page, which is Windows-1252 in practice; its five unassigned bytes
map to themselves, so that every byte is a character and back.
Source: STEP 7, data types STRING and WSTRING: maximum and actual length before the characters, UTF-16 in WSTRING.
"""

from __future__ import annotations

import codecs

_TABLE = "".join(
    bytes((byte,)).decode("cp1252") if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(byte) for byte in range(256)
)
_REVERSE = codecs.charmap_build(_TABLE)


def narrow_from(raw: bytes) -> str:
    """Text of single-byte characters."""
    return codecs.charmap_decode(raw, "strict", _TABLE)[0]


def narrow_to(text: str) -> bytes:
    """Raises UnicodeEncodeError when a character is not in Windows-1252."""
    return codecs.charmap_encode(text, "strict", _REVERSE)[0]


def wide_from(raw: bytes) -> str:
    """Text of two-byte characters. Raises UnicodeDecodeError on half a surrogate pair."""
    return raw.decode("utf-16-be")


def wide_to(text: str) -> bytes:
    """UTF-16, high byte first. Raises UnicodeEncodeError on a lone surrogate."""
    return text.encode("utf-16-be")


def chars_from(raw: bytes, *, wide: bool) -> str:
    """Text of an array of CHAR or WCHAR: NULs before it and what follows the first NUL behind it don't belong to it, nor do
    bytes at its end that were never written (0xFF), and the blanks before them."""
    text = (wide_from(raw) if wide else narrow_from(raw)).lstrip("\0")
    return text.split("\0", 1)[0].rstrip(never_written(wide=wide)).rstrip(" ")


def never_written(*, wide: bool) -> str:
    """The character of memory that was never written."""
    return "\uffff" if wide else "\xff"


def string_from(raw: bytes, length: int) -> str:
    """Text of a STRING with its two bytes of lengths.

    Raises:
        ValueError: It says to be longer than it can be: not a STRING, or another length was declared.
    """
    if raw[1] > length:
        raise ValueError(f"says {raw[1]} characters of {length}")
    return narrow_from(raw[2 : 2 + raw[1]]).rstrip("\0")


def wstring_from(raw: bytes, length: int) -> str:
    """Text of a WSTRING with its two words of lengths. Raises ValueError as `string_from`."""
    actual = int.from_bytes(raw[2:4], "big")
    if actual > length:
        raise ValueError(f"says {actual} characters of {length}")
    return wide_from(raw[4 : 4 + 2 * actual]).rstrip("\0")
