"""Plain scalars by the YAML 1.2 core schema: no `yes`, no sexagesimals, `0o17` instead of `017`.

Source: YAML 1.2.2 §10.3.2, tag resolution of the core schema.
"""

from __future__ import annotations

import re

_FIXED: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1
LONGEST_NUMBER = 400
"""Characters; no number that a device can hold needs more."""

CORE_TAGS = ("str", "int", "float", "bool", "null", "map", "seq")
CORE_PREFIX = "tag:yaml.org,2002:"


class ScalarError(ValueError):
    """The text is a number that nothing here can hold, or not what its tag says; the message quotes it."""


_WORD = frozenset("abcdeghijklmopqrsuvwxyzABCDEGHIJKLMOPQRSUVWXYZ")
"""First letters that no null, boolean or number has."""


def resolve(text: str) -> bool | int | float | str | None:
    """The value of a plain scalar.

    Raises:
        ScalarError: An integer outside -2^63 … 2^64-1, or a decimal number that overflows a double.
    """
    if text[:1] in _WORD:
        return text
    if text in _FIXED:
        return _FIXED[text]
    if _INTEGER.match(text):
        return _integer(text, 10)
    if _FLOAT.match(text):
        number = float(text) if len(text) <= LONGEST_NUMBER else float("inf")
        if number in (float("inf"), float("-inf")):
            raise ScalarError(f"the number '{text[:40]}' is beyond what 64 bits can hold")
        return number
    if _OCTAL.match(text):
        return _integer(text[2:], 8)
    if _HEXADECIMAL.match(text):
        return _integer(text[2:], 16)
    return text


def _integer(digits: str, base: int) -> int:
    number = int(digits, base) if len(digits) <= LONGEST_NUMBER else _HIGHEST + 1
    if not _LOWEST <= number <= _HIGHEST:
        raise ScalarError(f"the number '{digits[:40]}' is beyond what 64 bits can hold")
    return number


def resolve_tagged(text: str, tag: str) -> bool | int | float | str | None:
    """The value of a scalar with an explicit core tag (`!!int`, in its long form without the prefix).

    Raises:
        ScalarError: The text is not of that type.
    """
    if tag == "str":
        return text
    value = resolve(text)
    if tag == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    types = {"int": int, "float": float, "bool": bool, "null": type(None)}
    wanted = types.get(tag)
    if wanted is None or not isinstance(value, wanted) or (tag == "int" and isinstance(value, bool)):
        raise ScalarError(f"'{text[:40]}' is not a value of the tag !!{tag}")
    return value
