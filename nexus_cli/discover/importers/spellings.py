"""Names that other tools have for our data types and byte orders."""

from __future__ import annotations

import re

_TYPES: dict[str, str] = {
    "bit": "bool",
    "bits": "bool",
    "bool": "bool",
    "boolean": "bool",
    "byte": "uint8",
    "int8": "int8",
    "sint": "int8",
    "s8": "int8",
    "uint8": "uint8",
    "usint": "uint8",
    "u8": "uint8",
    "char": "string[1]",
    "int16": "int16",
    "short": "int16",
    "int": "int16",
    "s16": "int16",
    "16int": "int16",
    "uint16": "uint16",
    "ushort": "uint16",
    "word": "uint16",
    "uint": "uint16",
    "u16": "uint16",
    "16uint": "uint16",
    "int32": "int32",
    "dint": "int32",
    "s32": "int32",
    "32int": "int32",
    "uint32": "uint32",
    "udint": "uint32",
    "dword": "uint32",
    "u32": "uint32",
    "32uint": "uint32",
    "int64": "int64",
    "lint": "int64",
    "s64": "int64",
    "64int": "int64",
    "uint64": "uint64",
    "ulint": "uint64",
    "lword": "uint64",
    "u64": "uint64",
    "64uint": "uint64",
    "float16": "float16",
    "float16-ieee": "float16",
    "16float": "float16",
    "float": "float32",
    "float32": "float32",
    "float32-ieee": "float32",
    "real": "float32",
    "32float": "float32",
    "double": "float64",
    "float64": "float64",
    "float64-ieee": "float64",
    "lreal": "float64",
    "64float": "float64",
    "string": "string",
    "wstring": "string",
    "wchar": "string[1]",
    "time": "duration",
    "ltime": "duration",
    "date": "datetime",
    "ldate": "datetime",
    "date_and_time": "datetime",
    "ldate_and_time": "datetime",
    "time_of_day": "duration",
    "ltime_of_day": "duration",
}
_WORDS: dict[str, str] = {
    "integer": "int16",
    "signed": "int16",
    "unsigned": "uint16",
    "unsignedint": "uint16",
    "signedint": "int16",
    "unsignedinteger": "uint16",
    "signedinteger": "int16",
    "unsignedlong": "uint32",
    "long": "int32",
    "ulong": "uint32",
    "single": "float32",
    "floatingpoint": "float32",
    "ascii": "string",
    "text": "string",
    "char": "string[1]",
    "flag": "bool",
    "digital": "bool",
}
"""By letters and digits alone, where a table names no type of a language."""
_WIDTH = re.compile(
    r"(?P<sign>u|s|i|f|unsigned|signed|uint|sint|int|float|real|enum|bitfield|bitmap|acc)?(?P<width>8|16|32|64)(?:bits?)?(?P<after>unsigned|signed|uint|int|integer|float|real)?(?:integer|int|bits?)?\Z"
)
_STRING = re.compile(r"w?(?:string|char)\s*[\[(]\s*(\d{1,5})\s*[\])]\Z", re.I)


def type_of(written: str) -> str:
    """Our type for another tool's.

    Raises:
        ValueError: None is similar; the message quotes it.
    """
    text = written.strip()
    if match := _STRING.match(text):
        return f"string[{int(match[1])}]"
    found = _TYPES.get(text.lower()) or _by_words(text)
    if found is None:
        raise ValueError(f"its type '{text[:40]}' is not known" if text else "it has no type")
    return found


def _by_words(text: str) -> str | None:
    """`16-bit unsigned`, `signed 32`, `Float 32`, `unsigned integer`."""
    plain = "".join(sign for sign in text.lower() if sign.isalnum())
    if plain in _WORDS:
        return _WORDS[plain]
    match = _WIDTH.match(plain)
    said = f"{match['sign'] or ''}{match['after'] or ''}" if match else ""
    if match is None or not said:
        return None
    width = int(match["width"])
    if said[0] in "fr":
        return f"float{width}" if width > 8 else None
    unsigned = said[0] == "u" or said.startswith(("enum", "bit", "acc"))  # SunSpec's, and those of many makers
    return f"{'uint' if unsigned else 'int'}{width}"
