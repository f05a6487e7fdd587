"""Register tables whose headings say what the columns are: no mapping has to be written for those. Pure.

Only what a heading says is taken. Where it can be read in two ways that give different values (a gain of 10, a code `4` of an
area), the row is refused and a mapping asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nexus_cli.discover.importers.mapping import Codes, Columns, Mapping

SEARCHED = 10
"""Rows among which the headings are looked for: there may be titles above."""
ALIASES: dict[str, tuple[str, ...]] = {
    "name": (
        *("name", "tag", "tagname", "signal", "signalname", "variable", "variablename", "point", "pointname"),
        *("registername", "parameter", "parametername", "item", "itemname", "datapoint", "measurement", "symbol"),
        *("bezeichnung", "signalbezeichnung", "id", "key", "label", "title", "description", "beschreibung"),
    ),
    "address": (
        *("address", "addr", "registeraddress", "modbusaddress", "startaddress", "startingaddress", "addressdec"),
        *("decaddress", "addressdecimal", "register", "registerno", "registernumber", "modbusregister", "reg", "regno"),
        *("startregister", "adresse", "registeradresse", "addresshex", "hexaddress", "registerhex", "offset"),
    ),
    "type": ("datatype", "dataformat", "valuetype", "registerformat", "datentyp", "format", "type", "typ"),
    "area": (
        *("function", "functioncode", "fc", "fcode", "fn", "readfunction", "area", "registertype", "regtype"),
        *("table", "objecttype", "registerarea", "modbusfunction", "funktion", "funktionscode", "type"),
    ),
    "unit": ("unit", "units", "engineeringunit", "engineeringunits", "eu", "uom", "unitofmeasure", "einheit"),
    "scale": (
        *("scale", "scaling", "scalefactor", "scalingfactor", "factor", "multiplier", "resolution", "lsb"),
        *("faktor", "skalierung", "divisor", "divider", "gain"),
    ),
    "offset": ("offset", "valueoffset", "scaleoffset", "zero"),
    "low": ("min", "minimum", "low", "lower", "minvalue", "lowlimit", "rangemin"),
    "high": ("max", "maximum", "high", "upper", "maxvalue", "highlimit", "rangemax"),
    "bit": ("bit", "bitno", "bitnumber", "bitposition", "bitindex"),
    "registers": (
        *("registers", "length", "len", "size", "words", "count", "quantity", "numregisters", "noofregisters"),
        *("numberofregisters", "registercount", "registerlength", "wordcount", "anzahl", "laenge", "länge"),
    ),
    "order": ("byteorder", "wordorder", "order", "endian", "endianness", "endianess", "swap"),
    "unit_id": ("unitid", "slave", "slaveid", "slaveaddress", "deviceid", "modbusid", "nodeid", "stationid"),
    "codes": ("values", "enum", "enumeration", "codes", "options", "states", "bedeutung"),
    "description": ("description", "comment", "comments", "remark", "remarks", "note", "notes", "beschreibung", "kommentar"),
}  # fmt: skip
"""Headings by what they mean, letters and digits alone, the likeliest first; a column is used once."""
DIVIDE = frozenset({"divisor", "divider"})
EITHER_WAY = frozenset({"gain"})
HEX = frozenset({"addresshex", "hexaddress", "registerhex"})
CODES = frozenset({"function", "functioncode", "fc", "fcode", "fn", "readfunction", "modbusfunction", "funktion"}) | {
    "funktionscode"
}
"""Headings under which a number is a function code of Modbus."""
AREAS_BY_CODE = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 15: "coil", 6: "holding", 16: "holding"}
_AREA_WORDS = (
    (r"coil|\bco\b|digital out", "coil"),
    (r"discrete|digital in|input status|input bit|contact|\bdi\b", "discrete"),
    (r"holding|\bhr\b", "holding"),
    (r"input|\bir\b", "input"),
)
_CODE = re.compile(r"(?:fc|0x|function|\s)*0?(1[56]|[1-6])(?!\d)", re.I)
_MODICON = re.compile(r"[0134]\d{4,5}\Z")
_NUMBER = re.compile(r"(\d+)(?:\.\d{1,2}|\s*(?:-|–|\.\.|to)\s*\d+)?\Z")
"""A register's number, with a bit or with the last one of several behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """The columns that a table's headings name.

    Attributes:
        mapping: The same in words of a mapping.
        line: Position of the headings among the rows.
        used: Positions of the columns that mean something.
        function: Numbers in the area column are function codes.
        hexadecimal: Addresses without `0x` are hexadecimal all the same.
        either_way: The scale may multiply or divide.
        comma: Numbers may have a decimal comma.
        modicon: Every number is one such as 40001, which names its area and counts from one.
    """

    mapping: Mapping
    line: int
    used: frozenset[int]
    function: bool = False
    hexadecimal: bool = False
    either_way: bool = False
    comma: bool = False
    modicon: bool = False


def plain(heading: str) -> str:
    """Letters and digits of a heading, in small letters."""
    return "".join(sign for sign in heading.lower() if sign.isalnum())


def guess(rows: Sequence[Sequence[str]], *, delimiter: str) -> Guess | None:
    """The meaning of a table's columns, None when no row has headings for a name and an address."""
    for line, row in enumerate(rows[:SEARCHED]):
        found = _columns([plain(cell) for cell in row])
        if "name" in found and "address" in found:
            return _guess(rows, row, line, found, delimiter)
    return None


def _columns(headings: Sequence[str]) -> dict[str, int]:
    """Position by meaning. The address goes first, for an `offset` alone is one; a description alone is the name."""
    found: dict[str, int] = {}
    for meaning in ("address", *(one for one in ALIASES if one != "address")):
        for alias in ALIASES[meaning]:
            places = [at for at, heading in enumerate(headings) if heading == alias and at not in found.values()]
            if places:
                found[meaning] = places[0]
                break
    return found


def _guess(
    rows: Sequence[Sequence[str]], row: Sequence[str], line: int, found: dict[str, int], delimiter: str
) -> Guess:
    headings = {meaning: plain(row[at]) for meaning, at in found.items()}
    if headings.get("area") == "type" and not _are_areas(rows[line + 1 :], found["area"]):
        del found["area"], headings["area"]  # analog, digital, alarm, …
    columns = {meaning: at + 1 for meaning, at in found.items() if meaning != "codes"}
    codes = None
    if "codes" in found:
        cells = [one[found["codes"]] for one in rows[line + 1 :] if found["codes"] < len(one)]
        between = ";" if any(";" in cell for cell in cells) else ","
        codes = Codes(
            column=found["codes"] + 1, between=between, assign="=" if any("=" in one for one in cells) else ":"
        )
    scale = headings.get("scale", "")
    mapping = Mapping(
        mapping=1,
        title="headings",
        columns=Columns.model_validate(columns),
        scale="divide" if scale in DIVIDE else "multiply",
        codes=codes,
    )
    return Guess(
        mapping=mapping,
        line=line,
        used=frozenset(found.values()),
        function=headings.get("area", "") in CODES,
        hexadecimal=headings["address"] in HEX,
        either_way=scale in EITHER_WAY,
        comma=delimiter != ",",
        modicon=_are_modicon(rows[line + 1 :], found["address"]),
    )


def _are_areas(rows: Sequence[Sequence[str]], at: int) -> bool:
    for cell in {one[at].strip() for one in rows if at < len(one)} - {""}:
        try:
            area_of(cell, function=False)
        except ValueError:
            return False
    return True


def _are_modicon(rows: Sequence[Sequence[str]], at: int) -> bool:
    """Whether all numbers of a table are of that form: one that is not, such as 40000, shows that none has it."""
    numbers = [match[1] for one in rows if at < len(one) and (match := _NUMBER.match(one[at].strip()))]
    return bool(numbers) and all(_MODICON.match(text) and int(text[1:]) > 0 for text in numbers)


def area_of(written: str, *, function: bool) -> str:
    """The area that a cell names, by a word, as `4x`, or by its function code.

    Raises:
        ValueError: None, or one that can be read in two ways.
    """
    text = written.strip()
    if re.fullmatch(r"[0134][xX]+", text):
        return {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}[text[0]]
    code = _CODE.match(text)
    if code is not None and (function or not text.isdecimal()):
        return AREAS_BY_CODE[int(code[1])]
    for pattern, area in _AREA_WORDS:
        if re.search(pattern, text, re.I):
            return area
    raise ValueError(f"its area '{text[:40]}' is not coil, discrete, holding or input")
