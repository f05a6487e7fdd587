"""TwinCAT symbol files: `.tmc` (TwinCAT 3) and `.tpy` (TwinCAT 2 and 3).

A symbol of a structure becomes one tag per member, named and addressed with dots; an array of plain values one array
tag (or, when asked for, one tag per element); an array of structures is expanded.

Source: Beckhoff InfoSys, "TMC description", "TPY file"; pytmc documentation (the `pytmc` pragma).
"""

from __future__ import annotations

import re
from dataclasses import replace

from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers.capitals import in_known_letters
from nexus_cli.discover.importers.collect import Collector, described
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.reading import SourceBytes
from nexus_cli.discover.importers.twincat.types import (
    PLAIN,
    PLATFORM,
    WITHOUT_VALUE,
    Member,
    TypeInfo,
    TypeTable,
    array_text,
    codes_of,
    index_at,
    member_of,
    string_length,
    whole,
)
from nexus_cli.discover.importers.xml_tree import Node, parse_xml
from nexus_cli.discover.site_keys import ConnectionKeys, TagKeys

MAX_LEVELS = 30
"""Structures within structures."""
MAX_ARRAY = 99_999
"""Elements of one array tag (the type's bracket has five digits)."""
_PRAGMA_ENTRY = re.compile(r"(?:\"[^\"\n]*\"|[^;\n\"]|\"(?![^\"\n]*\"))+")
_PRAGMA_KEY = re.compile(r"\s*(?P<key>\w+)\s*:\s*(?P<text>.*?)\s*\Z", re.S)
_IN_OUT = re.compile(r"\(\s*VAR_IN_OUT\s*\)\s*\Z", re.I)
_ATTRIBUTE = re.compile(r"\{.*?\}", re.S)
_APPLICATION = re.compile(r"Port_(\d{1,5})\Z")


def read_tmc(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """The symbols of a `.tmc` file."""
    root = parse_xml(source.data)
    symbols = [
        member_of(node, type_key=("BaseType", "Type"), offset=whole(node.value("BitOffs")))
        for node in root.walk()
        if node.name == "Symbol"
    ]
    connection: ConnectionKeys = {}
    for node in root.walk():
        if node.name == "Property" and node.value("Name") == "ApplicationName":
            match = _APPLICATION.match(node.value("Value"))
            if match:
                connection["port"] = int(match[1])
    return [_discover(source, options, root, symbols, connection)]


def read_tpy(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """The symbols of a `.tpy` file."""
    root = parse_xml(source.data)
    holder = root.first("Symbols")
    symbols: list[Member] = []
    groups: dict[str, int] = {}
    for node in holder.all("Symbol") if holder else []:
        member = member_of(node, type_key=("Type", "BaseType"), offset=whole(node.value("IOffset")) * 8)
        groups[member.name] = whole(node.value("IGroup"))
        symbols.append(member)
    connection: ConnectionKeys = {}
    if net_id := root.value("RoutingInfo", "AdsInfo", "NetId"):
        connection["ams_net_id"] = net_id
    if port := whole(root.value("RoutingInfo", "AdsInfo", "Port")):
        connection["port"] = port
    return [_discover(source, options, root, symbols, connection, groups if options.raw else None)]


def _discover(
    source: SourceBytes,
    options: ImportOptions,
    root: Node,
    symbols: list[Member],
    connection: ConnectionKeys,
    groups: dict[str, int] | None = None,
) -> Discovery:
    collector = Collector("ads", source=source.name, options=options)
    collector.connection = connection
    types = TypeTable(root)
    walker = _Walker(collector, types, groups)
    for symbol in symbols:
        with collector.entry(symbol.name or "a symbol without a name"):
            walker.symbol(symbol)
    collector.facts.update({"symbols": len(symbols), "data_types": len(types)})
    return collector.discovery()


class _Walker:
    """From symbols down to the values that can be read."""

    def __init__(self, collector: Collector, types: TypeTable, groups: dict[str, int] | None) -> None:
        self.collector = collector
        self.types = types
        self.groups = groups
        self._group = 0
        self._outer: tuple[str, ...] = ()

    def symbol(self, symbol: Member) -> None:
        """One symbol with everything in it."""
        if self.groups is not None:
            self._group = self.groups.get(symbol.name, 0)
        self._outer = ()
        self._walk(symbol, symbol.name, symbol.offset, ())

    def _walk(self, member: Member, address: str, offset: int, above: tuple[str, ...]) -> None:
        collector = self.collector
        if collector.full:
            collector.skip(address, f"the file has more than {collector.options.max_tags} values")
        elif "hide" in member.properties:
            collector.skip(address, "hidden in the PLC project ({attribute 'hide'})")
        elif _IN_OUT.search(member.type):
            collector.skip(address, "VAR_IN_OUT: its value is that of another variable")
        elif member.pointer:
            collector.skip(address, f"a pointer or reference to {member.type}")
        elif not member.type:
            collector.skip(address, "it has no type")
        elif len(above) >= MAX_LEVELS:
            collector.skip(address, f"nested more than {MAX_LEVELS} levels")
        else:
            self._typed(member, address, offset, above)

    def _typed(self, member: Member, address: str, offset: int, above: tuple[str, ...]) -> None:
        array = array_text(member.type)
        if member.bounds or array:
            bounds, element = (*member.bounds, *(array[0] if array else ())), array[1] if array else member.type
            self._array(member, bounds, element, address, offset, above)
            return
        plain = self._plain(member.type, member.bits)
        if plain:
            self._leaf(member, address, offset, plain)
            return
        info = self.types.find(member.type, member.namespace)
        if info is None:
            reason = WITHOUT_VALUE.get(member.type.upper(), f"its type {member.type} is not in the file")
            self.collector.skip(address, reason)
        elif info.name.upper() in above:
            self.collector.skip(address, f"its type {info.name} contains itself")
        else:
            self._declared(member, info, address, offset, (*above, info.name.upper()))

    def _declared(self, member: Member, info: TypeInfo, address: str, offset: int, above: tuple[str, ...]) -> None:
        """A symbol of a type that the project declares."""
        members = self.types.members(info)
        if members:
            for inner in members:
                self._walk(inner, f"{address}.{inner.name}", offset + inner.offset, above)
        elif info.values:
            plain = self._base(info)
            self._leaf(member, address, offset, plain, codes_of(info.values, plain))
        elif info.hidden:
            self.collector.skip(address, f"its type {info.name} hides its members")
        elif info.opaque or info.pointer or not (info.base or info.bounds):
            self.collector.skip(address, f"its type {info.name} is an interface or pointer, which has no value")
        else:
            # GUID and similar types name a 128-bit base that has no declaration
            inner = replace(
                member,
                type=info.base,
                namespace=info.namespace,
                bounds=info.bounds,
                bits=info.bits or member.bits,
            )
            self._walk(inner, address, offset, above)

    def _array(
        self,
        member: Member,
        bounds: tuple[tuple[int, int], ...],
        element: str,
        address: str,
        offset: int,
        above: tuple[str, ...],
    ) -> None:
        count = 1
        for _, size in bounds:
            count *= max(size, 0)
        if not count:
            self.collector.skip(address, "an array of variable or no length")
            return
        bits = member.bits // count
        plain, values = self._element(element, member.namespace, bits)
        options = self.collector.options
        if plain and not options.elements and count <= MAX_ARRAY:
            if values:
                self.collector.note(f"{address}: values", "arrays can't have value names")
            self._leaf(member, address, offset, f"{plain}[{count}]")
            return
        limit = min(count, options.max_elements)
        single = replace(member, type=element, bounds=(), bits=bits)
        for position in range(limit):
            place = f"{address}[{','.join(map(str, index_at(bounds, position)))}]"
            self._walk(single, place, offset + position * bits, above)
        if count > limit:
            self.collector.skip(
                f"{address}, elements {limit + 1} to {count}", f"an array of more than {options.max_elements} elements"
            )

    def _element(self, type_name: str, namespace: str, bits: int) -> tuple[str, dict[int, str]]:
        """Our type of an array's elements, "" when they are structures."""
        for _ in range(MAX_LEVELS):
            if plain := self._plain(type_name, bits):
                return plain, {}
            info = self.types.find(type_name, namespace)
            if info is None or self.types.members(info) or info.bounds or info.pointer or info.opaque:
                return "", {}
            if info.values:
                plain = self._base(info)
                return plain, codes_of(info.values, plain)
            type_name, namespace = info.base, info.namespace
        return "", {}

    def _base(self, info: TypeInfo) -> str:
        """Our type of an enumeration; INT when it names none (IEC 61131-3)."""
        type_name, namespace = info.base, info.namespace
        for _ in range(MAX_LEVELS):
            if plain := self._plain(type_name, info.bits):
                return plain
            below = self.types.find(type_name, namespace)
            if below is None:
                break
            type_name, namespace = below.base, below.namespace
        return "int16"

    @staticmethod
    def _plain(type_name: str, bits: int) -> str:
        """Our type of an elementary one, "" for any other."""
        upper = type_name.strip().upper()
        if upper in PLATFORM:
            return PLATFORM[upper][bits > 32]
        if length := string_length(upper):
            return f"string[{length}]"
        return PLAIN.get(upper, "")

    def _leaf(self, member: Member, address: str, offset: int, kind: str, values: dict[int, str] | None = None) -> None:
        pv, fields = _pragma(
            "\n".join(text for key, text in member.properties.items() if key in ("pytmc", "plcattribute_pytmc"))
        )
        unit = fields.get("EGU") or member.properties.get("plcattribute_tcunit") or member.properties.get("tcunit")
        where = address
        if self.groups is not None:
            if offset % 8 or (kind == "bool" and member.bits == 1):
                self.collector.skip(address, "a single bit has no address of its own")
                return
            where = f"0x{self._group:x},0x{offset // 8:x}"
        tag: TagKeys = {
            "address": where,
            "type": kind,
            "unit": in_known_letters(unit) if unit else None,
            "values": dict(values) if values else None,
            "range": self._range(address, fields),
            "description": described(fields.get("DESC", "") or _ATTRIBUTE.sub("", member.comment)),
            "labels": {"pv": pv} if pv else None,
        }
        self.collector.take([part for part in address.split(".") if part], tag)

    def _range(self, address: str, fields: dict[str, str]) -> list[float] | None:
        """EPICS operator limits of a pragma, which bound what is right for the value."""
        said = [f"{name} {fields[name]}" for name in ("LOPR", "HOPR") if name in fields]
        if not said:
            return None
        try:
            low, high = float(fields["LOPR"]), float(fields["HOPR"])
        except (KeyError, ValueError):
            self.collector.note(f"{address}: range", f"{', '.join(said)} is not two numbers")
            return None
        if not low < high:
            if low or high:  # 0 and 0 are EPICS' way to say that there are none
                self.collector.note(f"{address}: range", f"{', '.join(said)} is not a range")
            return None
        return [low, high]


def _pragma(text: str) -> tuple[str, dict[str, str]]:
    """Name of the EPICS variable, and its fields by upper-case name.

    A pragma has one entry a line, or several with `;` between; texts may be in double quotes, which do not belong to them.
    Source: pytmc documentation, "Pragma usage".
    """
    pv, fields = "", {}
    for entry in _PRAGMA_ENTRY.findall(text):
        match = _PRAGMA_KEY.match(entry)
        if match is None:
            continue
        key, value = match["key"].lower(), match["text"]
        if key == "pv":
            pv = pv or _unquoted(value)
        elif key == "field":
            name, _, said = re.sub(r"\s", " ", value).partition(" ")
            fields[name.upper()] = _unquoted(said)
    return pv, fields


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text
