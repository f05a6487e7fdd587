"""Plain strings and numbers that were read, kept once."""

from __future__ import annotations

from nexus_cli.json_value import JsonValue


class Pool:
    """Values by their text: equal ones are one object in all sections of a site.

    Attributes:
        strings: Plain texts.
        numbers: Everything else that a plain scalar may be, null and booleans included.
    """

    __slots__ = ("numbers", "strings")

    def __init__(self) -> None:
        self.strings: dict[str, str] = {}
        self.numbers: dict[str, JsonValue] = {}
