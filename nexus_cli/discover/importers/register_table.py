"""Register tables of vendors (CSV): one row, one register, by a declared mapping of the columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from nexus_cli.checks.names import slugify
from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers.collect import Collector, described
from nexus_cli.discover.importers.mapping import Column, Mapping, load_mapping
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.reading import MalformedError, SourceBytes
from nexus_cli.discover.importers.spellings import type_of

MAX_CODE_RANGE = 64
_CODE = re.compile(r"\s*(?P<first>-?\d{1,19})(?:\s*-\s*(?P<last>\d{1,19}))?\s*\Z")
_STRING = re.compile(r"string\[(\d{1,4})\]\Z")
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?\s*\Z")


def read(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """The rows of a table."""
    mapping = load_mapping(options.mapping)
    rows = _rows(source.text().lstrip("\ufeff"), mapping)
    collector = Collector("modbus", source=source.name, options=options)
    collector.connection = dict(mapping.connection)
    if mapping.base:
        collector.connection["base"] = mapping.base
    if mapping.order:
        collector.connection["order"] = mapping.order
    table = _Table(mapping, rows.pop(0)[1] if mapping.header and rows else [])
    for line, row in rows:
        with collector.entry(f"row {line}"):
            table.row(collector, line, row)
    collector.facts.update(rows=len(rows), mapping=mapping.title or options.mapping)
    return [collector.discovery()]


def _rows(text: str, mapping: Mapping) -> list[tuple[int, list[str]]]:
    delimiter = mapping.delimiter or _delimiter(text)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise MalformedError(f"not a table: {error}", line=max(reader.line_num, 1)) from None


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max((",", ";", "\t"), key=first.count)


class _Table:
    """A mapping bound to the headings of one table."""

    def __init__(self, mapping: Mapping, headings: Sequence[str]) -> None:
        self.mapping = mapping
        self._headings = {heading.strip().lower(): position for position, heading in enumerate(headings)}
        self._at = {
            key: self._position(column) for key, column in mapping.columns.model_dump().items() if column is not None
        }
        self._codes = self._position(mapping.codes.column) if mapping.codes else -1
        self._skip = self._position(mapping.skip.column) if mapping.skip else -1

    def _position(self, column: Column) -> int:
        if isinstance(column, int):
            return column - 1
        position = self._headings.get(column.strip().lower())
        if position is None:
            known = ", ".join(list(self._headings)[:12]) or "none: say header: true"
            raise MalformedError(f"the table has no column '{column}'", code="NX6704", hint=f"its headings: {known}")
        return position

    def _cell(self, row: Sequence[str], key: str) -> str:
        position = self._at.get(key, -1)
        return row[position].strip() if 0 <= position < len(row) else ""

    def row(self, collector: Collector, line: int, row: Sequence[str]) -> None:
        """One row becomes a tag or is skipped."""
        mapping = self.mapping
        written = self._cell(row, "name")
        name = [part for part in (written.split(mapping.separator) if mapping.separator else [written]) if part.strip()]
        device = self._device(row)
        what = f"row {line}: {'/'.join(filter(None, [device, *name])) or ','.join(row)}"
        if mapping.skip and 0 <= self._skip < len(row) and re.match(mapping.skip.pattern, row[self._skip].strip()):
            collector.skip(what, mapping.skip.reason)
            return
        if not name or not self._cell(row, "address"):
            collector.skip(what, "it has no name or no address")
            return
        try:
            tag = self._tag(row)
        except ValueError as error:
            collector.skip(what, str(error))
            return
        self._named(collector, what, row, tag)
        collector.take(name, tag, device=device)

    def _device(self, row: Sequence[str]) -> str:
        text = self._cell(row, "device")
        for prefix in self.mapping.remove:
            text = text.removeprefix(prefix)
        return slugify(text)

    def _tag(self, row: Sequence[str]) -> dict[str, Any]:
        """The keys of a row. Raises ValueError with the reason when one can't be read."""
        kind = self._type(row)
        unit = self._cell(row, "unit")
        low, high = self._number(row, "low"), self._number(row, "high")
        bit = self._number(row, "bit")
        return {
            "address": self._address(row),
            "type": kind,
            "bit": int(bit) if bit is not None and kind == "bool" else None,
            "unit": unit if unit and not self._is_codes(unit) else None,
            "scale": None if kind.startswith("string") else self._scale(row),
            "offset": self._number(row, "offset"),
            "range": [low, high] if low is not None or high is not None else None,
            "description": described(self._cell(row, "description")),
        }

    def _address(self, row: Sequence[str]) -> str:
        text = self._cell(row, "address")
        area: str | None = self.mapping.area
        if written := self._cell(row, "area"):
            area = self.mapping.areas.get(written, written.lower())
        return f"{area}:{text}" if area else text

    def _type(self, row: Sequence[str]) -> str:
        written = self._cell(row, "type") or self.mapping.type or ""
        kind = self.mapping.types.get(written) or type_of(written)
        match = _STRING.match(kind)
        if match and self.mapping.strings == "registers":
            return f"string[{int(match[1]) * 2}]"
        return kind

    def _scale(self, row: Sequence[str]) -> float | None:
        number = self._number(row, "scale")
        if number is None or self.mapping.scale == "multiply":
            return number
        if self.mapping.scale == "exponent":
            if abs(number) > 30:
                raise ValueError(f"a scale of 10^{number:g} is not possible")
            return float(10**number)
        if not number:
            raise ValueError("its scale divides by 0")
        return 1 / number

    def _number(self, row: Sequence[str], key: str) -> float | None:
        text = self._cell(row, key)
        if not text:
            return None
        if not _NUMBER.match(text):
            raise ValueError(f"its {key} '{text[:40]}' is not a number")
        number = float(text)
        if abs(number) == float("inf"):
            raise ValueError(f"its {key} '{text[:40]}' is too large")
        return int(number) if number == int(number) and abs(number) < 2**53 else number

    def _is_codes(self, text: str) -> bool:
        codes = self.mapping.codes
        return bool(codes and re.match(r"\s*-?\d[\d\s-]*" + re.escape(codes.assign), text))

    def _named(self, collector: Collector, what: str, row: Sequence[str], tag: dict[str, Any]) -> None:
        """Value names out of a cell such as `0=Off;1=On;5-7=Fault`."""
        codes = self.mapping.codes
        text = row[self._codes].strip() if 0 <= self._codes < len(row) else ""
        if codes is None or not text or not self._is_codes(text):
            return
        values: dict[int, str] = {}
        for part in text.split(codes.between):
            code, assign, label = part.partition(codes.assign)
            match = _CODE.match(code)
            first, last = (int(match["first"]), int(match["last"] or match["first"])) if match else (0, -1)
            if match is None or not assign or not label.strip() or not 0 <= last - first < MAX_CODE_RANGE:
                collector.note(f"{what}: values", f"'{part.strip()[:60]}' is not understood")
                continue
            for number in range(first, last + 1):
                values.setdefault(number, label.strip())
        if values:
            tag["values"] = values
