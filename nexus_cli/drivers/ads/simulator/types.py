"""The symbols of a simulated PLC from the addresses of its tags: `MAIN.motor.fSpeed` makes a structure. Pure.

Source: Beckhoff TwinCAT 3 PLC, alignment of 8 bytes (pack mode 8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.drivers.ads.codec import shape_for
from nexus_cli.drivers.ads.plctypes import ADS_BIG, ADS_STRING, ADS_WSTRING, Member, Shape, array_of, shape_by_name
from nexus_cli.drivers.ads.symbol_table import SymbolEntry, TypeEntry
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import parse_type

_PART = re.compile(r"(?P<name>[^\[\]]+)(?P<index>(?:\[[^\]]*\])*)\Z")
Index = tuple[int, ...]


@dataclass(slots=True)
class Node:
    """A symbol, member or element while the tree is built."""

    shape: Shape | None = None
    comment: str = ""
    utf8: bool = False
    members: dict[str, Node] = field(default_factory=dict)
    elements: dict[Index, Node] = field(default_factory=dict)


def steps_of(symbol: str) -> tuple[str, list[str | Index]]:
    """Name of the symbol in the table, and the way from there: member names and indices."""
    mark = "." if symbol.startswith(".") else ""
    parts = symbol.removeprefix(".").split(".")
    first = 1 if mark else 2
    steps: list[str | Index] = []
    head = []
    for number, part in enumerate(parts):
        match = _PART.match(part)
        assert match is not None
        if number < first:
            head.append(match["name"])
        else:
            steps.append(match["name"])
        steps += [tuple(int(one) for one in found.split(",")) for found in re.findall(r"\[([^\]]*)\]", match["index"])]
    return mark + ".".join(head), steps


def shape_of_tag(name: str, tag: TagConfig) -> Shape:
    """The PLC's type of a tag that is no structure of other tags. Raises ValueError."""
    declared = parse_type(tag.type)
    if declared.base == "json":
        return _shape_of_value(name, tag.simulate.get("value"))
    shape = shape_for(declared, str(tag.options.get("plc_type", "")), str(tag.options.get("encoding", "")))
    if tag.values and shape.base is not None:
        labels = {int(code): re.sub(r"\W", "_", label) for code, label in tag.values.items()}
        return Shape(f"E_{_plain(name)}", shape.size, base=shape.base, labels=labels)
    return shape


def _shape_of_value(name: str, value: Any) -> Shape:
    if isinstance(value, dict) and value:
        return structure(
            f"ST_{_plain(name)}", {key: _shape_of_value(f"{name}_{key}", one) for key, one in value.items()}
        )
    if isinstance(value, list) and value:
        return array_of(_shape_of_value(f"{name}_item", value[0]), len(value))
    if isinstance(value, bool):
        return shape_by_name("BOOL")
    if isinstance(value, (int, float)):
        return shape_by_name("LINT" if isinstance(value, int) else "LREAL")
    if isinstance(value, str):
        return shape_by_name("STRING")
    return structure(f"ST_{_plain(name)}", {"nReserved": shape_by_name("DINT")})


def structure(name: str, members: dict[str, Shape], comments: dict[str, str] | None = None) -> Shape:
    """A structure with its members at their natural places."""
    at, widest, placed = 0, 1, []
    for member, shape in members.items():
        width = shape.alignment
        at = -(-at // width) * width
        placed.append(Member(member, at, shape, (comments or {}).get(member, "")))
        at += shape.size
        widest = max(widest, width)
    return Shape(name, -(-at // widest) * widest, members=tuple(placed))


def grow(roots: dict[str, Node], symbol: str, tag: TagConfig) -> None:
    """Add a tag's symbol to the tree. Raises ValueError."""
    name, steps = steps_of(symbol)
    node = roots.setdefault(name, Node())
    for step in steps:
        node = (
            node.members.setdefault(step, Node()) if isinstance(step, str) else node.elements.setdefault(step, Node())
        )
    if parse_type(tag.type).base == "json" and (node.members or node.elements):
        return
    node.shape = shape_of_tag(symbol, tag)
    node.comment = tag.description
    node.utf8 = tag.options.get("encoding") == "utf-8"


def build(name: str, node: Node) -> Shape:
    """The shape of a node with everything below it. Raises ValueError."""
    if node.members:
        shapes = {member: build(f"{name}_{member}", below) for member, below in node.members.items()}
        comments = {member: below.comment for member, below in node.members.items()}
        return structure(f"ST_{_plain(name)}", shapes, comments)
    if node.elements:
        merged = Node()
        for element in node.elements.values():
            merge(merged, element)
        shape = build(f"{name}_item", merged)
        indices = list(node.elements)
        if len({len(index) for index in indices}) != 1:
            raise ValueError(f"the elements of {name} have different numbers of indices")
        bounds = tuple((min(column), max(column) - min(column) + 1) for column in zip(*indices, strict=True))
        text = ",".join(f"{low}..{low + count - 1}" for low, count in bounds)
        total = shape.size
        for _, count in bounds:
            total *= count
        return Shape(f"ARRAY [{text}] OF {shape.name}", total, element=shape, bounds=bounds)
    if node.shape is None:
        raise ValueError(f"{name} has no type")
    return node.shape


def merge(into: Node, node: Node) -> None:
    """Take over what an element has: all elements of an array are of one type."""
    into.shape = into.shape or node.shape
    for name, below in node.members.items():
        merge(into.members.setdefault(name, Node()), below)
    for index, below in node.elements.items():
        merge(into.elements.setdefault(index, Node()), below)


def follow(shape: Shape, steps: list[str | Index]) -> tuple[int, Shape]:
    """Offset within a symbol, and the type there. Raises KeyError (no such member) or IndexError (outside an array)."""
    at = 0
    for step in steps:
        if isinstance(step, str):
            found = next((one for one in shape.members if one.name.lower() == step.lower()), None)
            if found is None:
                raise KeyError(step)
            at, shape = at + found.offset, found.shape
            continue
        if shape.element is None or len(step) != len(shape.bounds):
            raise KeyError(str(step))
        place = 0
        for index, (low, count) in zip(step, shape.bounds, strict=True):
            if not 0 <= index - low < count:
                raise IndexError(str(step))
            place = place * count + index - low
        at, shape = at + place * shape.element.size, shape.element
    return at, shape


def ads_of(shape: Shape) -> int:
    """ADS data type id; of an array that of its elements, as TwinCAT gives it."""
    if shape.element is not None:
        return ads_of(shape.element)
    if shape.text:
        return ADS_WSTRING if shape.text == "utf-16-le" else ADS_STRING
    return shape.base.ads if shape.base is not None else ADS_BIG


def symbol_entry(
    name: str, shape: Shape, *, group: int, offset: int, comment: str, utf8: bool, flags: int
) -> SymbolEntry:
    """The entry of a symbol, or of a part of one."""
    return SymbolEntry(
        name=name,
        type_name=shape.name,
        comment=comment,
        group=group,
        offset=offset,
        size=shape.size,
        ads=ads_of(shape),
        flags=flags,
        attributes=(("TcEncoding", "UTF-8"),) if utf8 else (),
    )


def type_entries(shape: Shape) -> Iterator[TypeEntry]:
    """The data types that a shape is made of, the inner ones first."""
    if shape.element is not None:
        yield from type_entries(shape.element)
        yield TypeEntry(
            name=shape.name, type_name=shape.element.name, size=shape.size, ads=ads_of(shape), bounds=shape.bounds
        )
    elif shape.members:
        for member in shape.members:
            yield from type_entries(member.shape)
        yield TypeEntry(
            name=shape.name,
            type_name="",
            size=shape.size,
            ads=ADS_BIG,
            members=tuple(
                TypeEntry(
                    name=member.name,
                    type_name=member.shape.name,
                    comment=member.comment,
                    size=member.shape.size,
                    offset=member.offset,
                    ads=ads_of(member.shape),
                    flags=2,
                )
                for member in shape.members
            ),
        )
    elif shape.labels and shape.base is not None:
        labels = tuple(
            (label, code.to_bytes(shape.size, "little", signed=code < 0)) for code, label in shape.labels.items()
        )
        yield TypeEntry(name=shape.name, type_name=shape.base.name, size=shape.size, ads=shape.base.ads, labels=labels)
    elif shape.base is not None:
        yield TypeEntry(name=shape.name, type_name="", size=shape.size, ads=shape.base.ads)
    else:
        yield TypeEntry(name=shape.name, type_name="", size=shape.size, ads=ads_of(shape))


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_")
