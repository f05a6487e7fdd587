"""Settings of another tool's file, read one by one; settings that are not read are listed as not understood."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nexus_cli.discover.importers.collect import Collector, short
from nexus_cli.discover.importers.reading import MalformedError

_GO_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?\Z")
SECRET = re.compile(r"pass|secret|token|credential|private", re.I)


class Settings:
    """A table of settings.

    Attributes:
        where: In front of the names in notes, e.g. `inputs.modbus`.
    """

    def __init__(self, values: Mapping[str, Any], *, where: str, collector: Collector) -> None:
        self._values = values
        self._asked: set[str] = set()
        self.where = where
        self.collector = collector

    def has(self, key: str) -> bool:
        """True when the file has it; this does not count as reading it."""
        return key in self._values

    def get(self, key: str, kind: type | tuple[type, ...] = str) -> Any:
        """The value of a setting when it has the right kind, else None (with a note)."""
        self._asked.add(key)
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) and bool not in (kind if isinstance(kind, tuple) else (kind,)):
            value_fits = False
        else:
            value_fits = isinstance(value, kind)
        if not value_fits:
            self.note(key, f"'{self._shown(key)}' is not what this setting takes")
            return None
        return value

    def text(self, key: str, default: str = "") -> str:
        """A text; numbers are taken as such."""
        value = self.get(key, (str, int, float))
        return default if value is None else str(value)

    def number(self, key: str) -> int | None:
        """A whole number, also one that is written as text."""
        value = self.get(key, (int, float, str))
        if isinstance(value, str):
            if not re.fullmatch(r"\s*-?\d{1,18}\s*", value):
                if value.strip():
                    self.note(key, f"'{short(value, 40)}' is not a whole number")
                return None
            return int(value)
        if value is None:
            return None
        if value != value or value in (float("inf"), float("-inf")) or value != int(value):
            self.note(key, f"'{value}' is not a whole number")
            return None
        return int(value)

    def duration(self, key: str) -> str | None:
        """A duration such as `1s`, `500ms`, `1h30m`, in the spelling of the site language; None for none or zero."""
        value = self.get(key, (str, int, float))
        if value is None:
            return None
        if not isinstance(value, str):
            return milliseconds(float(value) * 1000)
        match = _GO_DURATION.match(value.strip())
        if match is None or not value.strip():
            self.note(key, f"'{short(value, 40)}' is not a duration")
            return None
        hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
        return milliseconds(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        """A list of tables, or the one table there is; what is none is noted."""
        self._asked.add(key)
        value = self._values.get(key)
        if value is None:
            return []
        items = [value] if isinstance(value, Mapping) else value
        if not isinstance(items, Sequence) or isinstance(items, str):
            self.note(key, "a list of tables is expected here")
            return []
        for item in items:
            if not isinstance(item, Mapping):
                self.note(key, f"'{short(str(item), 40)}' is not a table")
        return [item for item in items if isinstance(item, Mapping)]

    def labels(self, key: str) -> dict[str, str]:
        """A table of texts."""
        found: dict[str, str] = {}
        for table in self.tables(key):
            found.update(
                {str(name): str(value) for name, value in table.items() if isinstance(value, (str, int, float))}
            )
        return found

    def note(self, key: str, reason: str) -> None:
        """Say why a setting is not taken over."""
        self._asked.add(key)
        self.collector.note(f"{self.where}: {key}", reason)

    def without_use(self, reasons: Mapping[str, str]) -> None:
        """Settings that are understood and have no place in the site language, with the reason."""
        for key, reason in reasons.items():
            if key in self._values and key not in self._asked:
                self.note(key, reason)

    def rest(self) -> None:
        """List every setting that was not read."""
        for key in self._values:
            if key not in self._asked:
                self.collector.note(f"{self.where}: {key}", f"not understood: {self._shown(key)}")

    def _shown(self, key: str) -> str:
        if SECRET.search(str(key)):
            return "a secret"
        value = self._values[key]
        return "a table" if isinstance(value, Mapping) else short(str(value), 60)


def bounded(node: object) -> None:
    """Refuse whole numbers that no device, and no later step, can hold.

    Raises:
        MalformedError: One has more than 64 bits.
    """
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, int) and not -(2**63) <= item < 2**64:
            raise MalformedError("it holds a number of more than 64 bits")


def code_of(text: str) -> int | None:
    """The code of an enumeration, None when the text is no whole number."""
    return int(text) if re.fullmatch(r"-?\d{1,19}", text.strip(), re.ASCII) else None


def milliseconds(number: float) -> str | None:
    """A duration in the spelling of the site language; None for zero, and for a value that is not a finite number."""
    if not abs(number) < float("inf"):
        return None
    whole = round(number)
    if whole <= 0:
        return None
    return f"{whole // 1000}s" if whole % 1000 == 0 else f"{whole}ms"


def number_of(value: object) -> int | None:
    """A whole number of a field, also one that is written as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value == value and abs(value) < 2**53 and value == int(value):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,18}\s*", value):
        return int(value)
    return None
