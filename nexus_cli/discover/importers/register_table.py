"""Register tables of vendors (CSV): one row, one register, by a declared mapping of the columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from nexus_cli.checks.names import slugify
from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers.capitals import in_known_letters
from nexus_cli.discover.importers.collect import Collector, described
from nexus_cli.discover.importers.headings import Guess, area_of, guess
from nexus_cli.discover.importers.mapping import Column, Mapping, load_mapping
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.reading import MalformedError, SourceBytes
from nexus_cli.discover.importers.spellings import type_of
from nexus_cli.discover.site_keys import TagKeys
from nexus_cli.drivers.modbus.address import BIT_AREAS, parse_address
from nexus_cli.model.driver_kind import AddressError

MAX_CODE_RANGE = 64
_CODE = re.compile(r"\s*(?P<first>-?\d{1,19})(?:\s*-\s*(?P<last>\d{1,19}))?\s*\Z")
_STRING = re.compile(r"string\[(\d{1,4})\]\Z")
_SPAN = re.compile(r"\s*(\d{1,6})\s*(?:-|–|\.\.|to)\s*(\d{1,6})\s*\Z")
_FRACTION = re.compile(r"(?P<number>\d+(?:\.\d+)?)?\s*/\s*(?P<divisor>\d+(?:\.\d+)?)\Z")
_POWER = re.compile(r"10\s*\^\s*(?P<exponent>-?\d{1,2})\Z")
DELIMITERS = (",", ";", "\t")
MAX_REGISTERS = 125
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?\s*\Z")


def read(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """The rows of a table, by a mapping, else by its headings."""
    text = source.text().lstrip("\ufeff")
    guessed, rows = (None, []) if options.mapping else _guessed(text)
    mapping = guessed.mapping if guessed is not None else load_mapping(options.mapping)
    if guessed is None:
        rows = _rows(text, mapping.delimiter or _delimiter(text))
    collector = Collector("modbus", source=source.name, options=options)
    collector.connection = dict(mapping.connection)
    if mapping.base:
        collector.connection["base"] = mapping.base
    if mapping.order:
        collector.connection["order"] = mapping.order
    if guessed is not None:
        del rows[: guessed.line]
    headings = rows.pop(0)[1] if mapping.header and rows else []
    table = _Table(mapping, headings, guessed)
    for line, row in rows:
        with collector.entry(f"row {line}"):
            table.row(collector, line, row)
    table.note_assumptions(collector, headings)
    collector.facts.update({"rows": len(rows), "mapping": mapping.title or options.mapping})
    return [collector.discovery()]


def _rows(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise MalformedError(f"not a table: {error}", line=max(reader.line_num, 1)) from None


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(DELIMITERS, key=first.count)


def _guessed(text: str) -> tuple[Guess | None, list[tuple[int, list[str]]]]:
    """What the headings say, under the delimiter under which they say most, and the rows; None when none says enough."""
    found: list[tuple[Guess, list[tuple[int, list[str]]]]] = []
    for delimiter in DELIMITERS:
        rows = _rows(text, delimiter)
        guessed = guess([row for _, row in rows], delimiter=delimiter)
        if guessed is not None:
            found.append((guessed, rows))
    return max(found, key=lambda one: len(one[0].used), default=(None, []))


class _Table:
    """A mapping bound to the headings of one table; `guessed` when it was read from them."""

    def __init__(self, mapping: Mapping, headings: Sequence[str], guessed: Guess | None) -> None:
        self.mapping = mapping
        self._guessed = guessed
        self._assumed: dict[str, str] = {}
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
            known = ", ".join(list(self._headings)[:12]) or "none: set header: true"
            raise MalformedError(f"the table has no column '{column}'", code="NX6704", hint=f"its headings: {known}")
        return position

    def _cell(self, row: Sequence[str], key: str) -> str:
        position = self._at.get(key, -1)
        return row[position].strip() if 0 <= position < len(row) else ""

    def note_assumptions(self, collector: Collector, headings: Sequence[str]) -> None:
        """Note once what was assumed, and which columns were not read."""
        if self._guessed is None:
            return
        for what, reason in self._assumed.items():
            collector.note(what, reason)
        for at, heading in enumerate(headings):
            if heading.strip() and at not in self._guessed.used:
                collector.note(f"column {heading.strip()}", "its heading matches no property of a tag")

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

    def _tag(self, row: Sequence[str]) -> TagKeys:
        """The keys of a row. Raises ValueError with the reason when one can't be read."""
        kind = self._type(row)
        unit = in_known_letters(self._cell(row, "unit"))
        low, high = self._number(row, "low"), self._number(row, "high")
        bit = self._number(row, "bit")
        unit_id = self._number(row, "unit_id")
        address = self._address(row)
        if self._guessed is not None and (bit is not None or _is_bit(address)) and kind in ("uint16", "int16"):
            kind = "bool"
        return {
            "address": address,
            "order": self._cell(row, "order") or None,
            "unit_id": int(unit_id) if unit_id is not None else None,
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
        written = self._cell(row, "area")
        if self._guessed is not None:
            return self._guessed_address(text, written, self._guessed)
        if written:
            area = self.mapping.areas.get(written, written.lower())
        return f"{area}:{text}" if area else text

    def _guessed_address(self, text: str, written: str, guessed: Guess) -> str:
        text = _SPAN.sub(r"\1", text)
        if guessed.hexadecimal and re.fullmatch(r"[0-9A-Fa-f]{1,4}", text):
            text = f"0x{text}"
        area = area_of(written, function=guessed.function) if written else ""
        if guessed.modicon and re.fullmatch(r"\d+(\.\d{1,2})?", text):
            self._assumed["base"] = (
                "40001 and its like count from one, so that it is holding:0; a mapping takes them as they are"
            )
            return text
        if not re.match(r"(0[xX])?[0-9A-Fa-f]+(\.\d+)?\Z", text):
            return text  # in a dialect of its own
        if not area:
            self._assumed["area"] = "no column says it: plain numbers are taken as holding registers"
        self._assumed["base"] = (
            "plain numbers are taken as zero-based, as on the wire; a mapping with base: 1 says otherwise"
        )
        return f"{area or 'holding'}:{text}"

    def _type(self, row: Sequence[str]) -> str:
        written = self._cell(row, "type") or self.mapping.type or ""
        registers = self._registers(row)
        if self._guessed is not None and not written:
            self._assumed["type"] = "rows that name none are taken as unsigned, as wide as their registers"
            written = "uint"
        kind = self.mapping.types.get(written) or type_of(written)
        match = _STRING.match(kind)
        if match and (registers or self.mapping.strings == "registers"):
            return f"string[{(registers or int(match[1])) * 2}]"
        return _widened(kind, written, registers)

    def _registers(self, row: Sequence[str]) -> int:
        """How many registers the row says to take, 0 when it does not."""
        span = _SPAN.match(self._cell(row, "address")) if self._guessed is not None else None
        if span is not None and int(span[2]) >= int(span[1]):
            return int(span[2]) - int(span[1]) + 1
        count = self._number(row, "registers")
        return int(count) if count is not None and 0 < count <= MAX_REGISTERS else 0

    def _scale(self, row: Sequence[str]) -> float | None:
        number = self._number(row, "scale")
        if self._guessed is not None and number is not None:
            if self._guessed.either_way and number > 1:
                raise ValueError(f"its gain {number:g} may multiply or divide: a mapping decides (scale: divide)")
            if number != 1 and self.mapping.scale == "multiply":
                self._assumed["scale"] = "value = register * scale; a mapping with scale: divide says otherwise"
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
        if self._guessed is not None:
            text = _number_text(text, comma=self._guessed.comma)
        if not _NUMBER.match(text):
            raise ValueError(f"its {key} '{text[:40]}' is not a number")
        number = float(text)
        if abs(number) == float("inf"):
            raise ValueError(f"its {key} '{text[:40]}' is too large")
        return int(number) if number == int(number) and abs(number) < 2**53 else number

    def _is_codes(self, text: str) -> bool:
        codes = self.mapping.codes
        return bool(codes and re.match(r"\s*-?\d[\d\s-]*" + re.escape(codes.assign), text))

    def _named(self, collector: Collector, what: str, row: Sequence[str], tag: TagKeys) -> None:
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


def _is_bit(address: str) -> bool:
    """Whether an address is a coil, a discrete input or a bit of a register."""
    try:
        read = parse_address(address)
    except AddressError:
        return False
    return read.area in BIT_AREAS or read.suffix is not None


def _number_text(text: str, *, comma: bool) -> str:
    """A number as tables have it: `x0.1`, `/10`, `1/10`, `10^-2`, `0,1`; anything else as it is."""
    plain = text.strip().lstrip("x×*").strip()
    if comma and plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    if match := _FRACTION.match(plain):
        divisor = float(match["divisor"])
        return repr(float(match["number"] or 1) / divisor) if divisor else text
    if match := _POWER.match(plain):
        return f"1e{match['exponent']}"
    return plain


def _widened(kind: str, written: str, registers: int) -> str:
    """A type whose name has no width, as wide as its registers: an `int` of two is an int32."""
    if kind == "string":
        return f"string[{registers * 2}]" if registers else kind
    base = kind.rstrip("0123456789")
    if any(sign.isdigit() for sign in written) or registers not in (2, 4) or base not in ("int", "uint", "float"):
        return kind
    return f"{base}{registers * 16}"
