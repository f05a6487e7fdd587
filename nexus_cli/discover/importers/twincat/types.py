"""The data types of a TwinCAT project: structures, enumerations, arrays, aliases; one table for `.tmc` and `.tpy`.

Source: Beckhoff InfoSys, "TMC description" and "TPY file"; IEC 61131-3 §6.4 (names are case-insensitive).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nexus_cli.discover.importers.xml_tree import Node
from nexus_cli.model.datatype import IEC_TYPES, INTEGER_BOUNDS

PLAIN: dict[str, str] = {
    **IEC_TYPES,
    "TIME": "duration",
    "LTIME": "duration",
    "TOD": "duration",
    "TIME_OF_DAY": "duration",
    "LTOD": "duration",
    "DATE": "datetime",
    "DT": "datetime",
    "DATE_AND_TIME": "datetime",
    "LDT": "datetime",
    "LDATE": "datetime",
    "OTCID": "uint32",
    "HRESULT": "int32",
}
"""Our type of an elementary one."""
PLATFORM: dict[str, tuple[str, str]] = {
    "XINT": ("int32", "int64"),
    "UXINT": ("uint32", "uint64"),
    "XWORD": ("uint32", "uint64"),
}
"""As wide as the CPU's pointers: our types by 32 and 64 bits."""
WITHOUT_VALUE: dict[str, str] = {"PVOID": "a pointer", "GUID": "a GUID, which no type here can hold"}
STRING_DEFAULT = 80
"""Source: IEC 61131-3 as TwinCAT has it: STRING without a length holds 80 characters."""
_STRING = re.compile(r"W?STRING(?:\s*[(\[]\s*(?P<length>\d{1,5})\s*[)\]])?\Z", re.I)
_ARRAY = re.compile(r"ARRAY\s*\[(?P<bounds>[^\]]+)\]\s*OF\s+(?P<type>.+)\Z", re.I | re.S)
_BOUND = re.compile(r"\s*(-?\d{1,9})\s*\.\.\s*(-?\d{1,9})\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A symbol, or a member of a structure.

    Attributes:
        name: As declared.
        type: Name of its type.
        namespace: Library of the type, "" when not said.
        bounds: First index and number of elements per dimension.
        bits: Its size.
        offset: Bits from the beginning of the structure; for a symbol as the file says.
        pointer: True for pointers and references.
        comment: As written.
        properties: Attributes by lower-case name.
    """

    name: str
    type: str
    namespace: str = ""
    bounds: tuple[tuple[int, int], ...] = ()
    bits: int = 0
    offset: int = 0
    pointer: bool = False
    comment: str = ""
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeInfo:
    """One declared type: a structure when it has members, else another name for `base`."""

    name: str
    base: str = ""
    namespace: str = ""
    bounds: tuple[tuple[int, int], ...] = ()
    bits: int = 0
    pointer: bool = False
    members: tuple[Member, ...] = ()
    extends: str = ""
    values: dict[int, str] = field(default_factory=dict)
    hidden: bool = False
    opaque: bool = False


def whole(text: str, default: int = 0) -> int:
    """A number as TwinCAT writes it: `12`, `#x1F`, `16#1F`."""
    plain = text.strip().lower()
    if len(plain) > 24:
        return default
    try:
        for prefix in ("#x", "16#", "0x"):
            if plain.startswith(prefix):
                return int(plain[len(prefix) :], 16)
        return int(plain)
    except ValueError:
        return default


def string_length(type_name: str) -> int:
    """Characters of a STRING or WSTRING type, 0 when it is none."""
    match = _STRING.match(type_name.strip())
    return int(match["length"] or STRING_DEFAULT) if match else 0


def array_text(type_name: str) -> tuple[tuple[tuple[int, int], ...], str] | None:
    """Bounds and element type of `ARRAY [0..5, 1..2] OF X`, None when it is no array."""
    match = _ARRAY.match(type_name.strip())
    if match is None:
        return None
    bounds = []
    for part in match["bounds"].split(","):
        bound = _BOUND.match(part)
        if bound is None:
            return None
        bounds.append((int(bound[1]), int(bound[2]) - int(bound[1]) + 1))
    return tuple(bounds), match["type"].strip()


def index_at(bounds: Sequence[tuple[int, int]], position: int) -> list[int]:
    """Indexes of an array's element by its position, the last dimension fastest.

    Args:
        bounds: First index and number of elements per dimension.
        position: From 0.
    """
    index: list[int] = []
    for first, size in reversed(bounds):
        index.insert(0, first + position % size)
        position //= size
    return index


def codes_of(values: Mapping[int, str], kind: str) -> dict[int, str]:
    """Names of an enumeration by the codes that its type reads: the bits are the same whatever sign a file writes.

    Args:
        values: Name by code as the file has it (`-32768` or `32768` for 16#8000).
        kind: Our type; codes that it can't hold either way are left as they are.
    """
    low, high = INTEGER_BOUNDS.get(kind, (0, 0))
    span = high - low + 1
    found: dict[int, str] = {}
    for code, label in values.items():
        if low < 0 and high < code < span:
            code -= span
        elif not low and -span // 2 <= code < 0:
            code += span
        found.setdefault(code, label)
    return found


def bounds_of(node: Node) -> tuple[tuple[int, int], ...]:
    """First index and number of elements per dimension, in the order of the file."""
    return tuple((whole(info.value("LBound")), whole(info.value("Elements"))) for info in node.all("ArrayInfo"))


def properties_of(node: Node) -> dict[str, str]:
    """Attributes of a symbol or member by lower-case name; one that repeats keeps every value on its own line."""
    found: dict[str, str] = {}
    holder = node.first("Properties")
    for item in holder.all("Property") if holder else []:
        name = item.value("Name").lower()
        value = item.value("Value")
        found[name] = f"{found[name]}\n{value}" if found.get(name) else value
    return found


def member_of(node: Node, *, type_key: Sequence[str], offset: int) -> Member:
    """A `Symbol` or `SubItem` element."""
    named = next((item for key in type_key if (item := node.first(key)) is not None), None)
    attributes = named.attributes if named else {}
    return Member(
        name=node.value("Name"),
        type=named.text if named else "",
        namespace=attributes.get("Namespace", ""),
        bounds=bounds_of(node),
        bits=whole(node.value("BitSize")),
        offset=offset,
        pointer="PointerTo" in attributes or "ReferenceTo" in attributes,
        comment=node.value("Comment"),
        properties=properties_of(node),
    )


class TypeTable:
    """Every type of a project, found by name whatever the case, with or without its library."""

    def __init__(self, root: Node) -> None:
        self._types: dict[str, TypeInfo] = {}
        holder = root.first("DataTypes")
        for node in holder.all("DataType") if holder else []:
            info = _type_info(node)
            name = node.first("Name")
            namespace = name.attributes.get("Namespace", "") if name else ""
            for key in (f"{namespace}.{info.name}", info.name):
                self._types.setdefault(key.upper().lstrip("."), info)

    def __len__(self) -> int:
        return len({id(info) for info in self._types.values()})

    def find(self, name: str, namespace: str = "") -> TypeInfo | None:
        """A declared type."""
        key = name.upper()
        if namespace and (found := self._types.get(f"{namespace.upper()}.{key}")):
            return found
        return self._types.get(key) or self._types.get(key.rpartition(".")[2])

    def members(self, info: TypeInfo, depth: int = 0) -> tuple[Member, ...]:
        """Members of a structure, those that it inherits in front."""
        above = self.find(info.extends) if info.extends and depth < 20 else None
        inherited = self.members(above, depth + 1) if above and above is not info else ()
        own = {member.name.upper() for member in info.members}
        return (*(member for member in inherited if member.name.upper() not in own), *info.members)


def _type_info(node: Node) -> TypeInfo:
    base = node.first("BaseType") or node.first("Type")
    attributes = base.attributes if base else {}
    values: dict[int, str] = {}
    for item in node.all("EnumInfo"):
        code = item.value("Enum")
        if re.fullmatch(r"\s*(-?\d{1,19}|#x[0-9a-fA-F]{1,16})\s*", code):
            values.setdefault(whole(code), item.value("Text"))
    hides = node.first("Hides")
    extends = node.first("ExtendsType")
    return TypeInfo(
        name=node.value("Name"),
        base=base.text if base else "",
        namespace=attributes.get("Namespace", ""),
        bounds=bounds_of(node),
        bits=whole(node.value("BitSize")),
        pointer="PointerTo" in attributes or "ReferenceTo" in attributes,
        members=tuple(
            member_of(item, type_key=("Type", "BaseType"), offset=whole(item.value("BitOffs")))
            for item in node.all("SubItem")
        ),
        extends=extends.text if extends else "",
        values=values,
        hidden=hides is not None and not node.all("SubItem"),
        opaque=bool(node.all("Method")) and not node.all("SubItem"),
    )
