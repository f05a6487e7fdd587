"""TIA Portal and STEP 7 sources: the variables of data blocks with standard access become S7 tags.

A source rarely says which number a block has: it comes from `--mapping NAME=NUMBER`, a block named `DBn`, or a comment
`DB1 "Name"`. Blocks with optimised access have no offsets and are named with the way that reaches them, OPC UA.
"""

from __future__ import annotations

import re
from dataclasses import replace

from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers.collect import Collector, described
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.reading import MalformedError, SourceBytes
from nexus_cli.discover.importers.tia.layout import COUNTERS, WITHOUT_TYPE, Layout, Slot, flat
from nexus_cli.discover.importers.tia.text import Block, Declared, Sources, Variable, parse
from nexus_cli.discover.site_keys import TagKeys

_PARTS = re.compile(r'(?:"[^"]*"|[^,"]|")+')
"""Between commas outside of quoted names."""
_NUMBER = re.compile(r"DB_?(\d{1,5})\Z", re.I)


def read(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """The data blocks of one source; one discovery, for they lie in one CPU."""
    sources = parse(source.text())
    numbers = {**_numbers(options.mapping), **options.db_numbers}
    collector = Collector("s7", source=source.name, options=replace(options, db_numbers=numbers))
    lengths: dict[str, int] = {}
    for block in sources.blocks:
        with collector.entry(block.name):
            _block(collector, sources, block, lengths)
    _without_values(collector, sources)
    collector.facts.update({"blocks": len(sources.blocks), "types": len(sources.types), "block_bytes": lengths})
    return [collector.discovery()]


def _block(collector: Collector, sources: Sources, block: Block, lengths: dict[str, int]) -> None:
    variables = _variables(sources, block)
    owner = sources.types.get(block.layout_of.lower())
    if variables is None:
        collector.skip(block.name, _no_layout(block, owner))
        return
    if block.optimized or (owner is not None and owner.optimized):
        for name in flat(variables):
            node = ".".join(f'"{part}"' for part in (block.name, *name))
            reason = f"optimised access has no offsets; reach it by OPC UA: nsu=http://www.siemens.com/simatic-s7-opcua;s={node}"
            collector.skip("/".join((block.name, *name)), reason)
        return
    number = _number(collector, sources, block)
    layout = Layout(sources.types, elements=collector.options.elements, limit=collector.options.max_elements)
    slots, length = layout.slots(variables)
    lengths[block.name] = length
    for slot in slots:
        _slot(collector, block.name, number, slot)


def _no_layout(block: Block, owner: Block | None) -> str:
    if owner is not None and owner.trouble:
        return f"the interface of {owner.name} can't be read ({owner.trouble})"
    if block.layout_of.lower() in WITHOUT_TYPE:
        return f"an instance of {block.layout_of}, which has no value that could be a tag"
    return f'it has the layout of "{block.layout_of}", which is not in the source'


def _without_values(collector: Collector, sources: Sources) -> None:
    """Name what the source holds besides values, so that an empty import names what it read."""
    used = {block.layout_of.lower() for block in sources.blocks}
    for kind, name in sources.programs:
        if kind != "FB":
            collector.skip(name, f"a block of program ({kind}), which holds no values")
        elif name.lower() not in used:
            collector.skip(name, "a function block: its values lie in its instance data blocks, which are not here")
    if not sources.blocks:
        for block in sources.types.values():
            if block.kind == "type":
                collector.skip(block.name, "a type: its values lie in the data blocks that have it, which are not here")


def _slot(collector: Collector, block: str, number: int | None, slot: Slot) -> None:
    name = (block, *filter(None, slot.name))
    if slot.reason:
        collector.skip("/".join(name), slot.reason)
        return
    place = f"{slot.byte}" if slot.bit is None else f"{slot.byte}.{slot.bit}"
    if number is None:
        reason = f"the source gives block '{block}' no number: --db '{block}=1' says it"
        collector.skip("/".join(name), reason)
        return
    tag: TagKeys = {
        "address": f"%DB{number}:{place}:{slot.s7}",
        "type": slot.type,
        "description": described(slot.comment),
    }
    collector.take(name, tag)


def _variables(sources: Sources, block: Block) -> list[Variable] | None:
    if block.body is not None:
        return block.body
    owner = sources.types.get(block.layout_of.lower())
    if owner is None and block.layout_of.lower() in COUNTERS:
        return [Variable(name="", type=Declared(name=block.layout_of.lower()), line=block.line)]
    return owner.body if owner is not None else None


def _numbers(mapping: str) -> dict[str, int]:
    """Numbers of blocks out of `Motors=12,Tanks=13`. Raises MalformedError."""
    found: dict[str, int] = {}
    for part in filter(None, (item.strip() for item in _PARTS.findall(mapping))):
        name, equals, number = part.rpartition("=")
        if not equals or not number.strip().isdecimal() or len(number) > 6:
            hint = "--mapping 'Motors=12,Tanks=13'"
            raise MalformedError(f"'{part}' is not NAME=NUMBER of a data block", code="NX6704", hint=hint)
        found[name.strip().strip('"')] = int(number)
    return found


def _number(collector: Collector, sources: Sources, block: Block) -> int | None:
    if block.name in collector.options.db_numbers:
        return collector.options.db_numbers[block.name]
    match = _NUMBER.match(block.name)
    if match:
        return int(match[1])
    number = sources.numbers.get(block.name)
    if number is not None:
        collector.note(f"{block.name}: number", f"taken from a comment of the source: DB{number}")
    return number
