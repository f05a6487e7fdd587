"""Options for the import of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_BYTES = 64 * 1024 * 1024
"""Largest file that is read; the largest symbol files seen in plants have some 30 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to read a file.

    Attributes:
        format: Name of a format (`registry.FORMATS`), "" recognises it by content and extension.
        mapping: For register tables (CSV): a built-in mapping such as `victron`, or the path of a mapping file; for S7
            sources the numbers of data blocks, `Motors=12,Tanks=13`.
        db_numbers: For S7 sources: number of a data block by its name, over what `mapping` and the source say.
        elements: True makes one tag per element of an array of plain values, False one array tag.
        max_elements: Most elements of one array that become tags of their own (arrays of structures always do).
        max_tags: Most values taken from one file; what is beyond is named.
        with_types: For NodeSets: also the variables of type definitions.
        raw: For `.tpy`: index group and offset as the address, instead of the symbol.
    """

    format: str = ""
    mapping: str = ""
    db_numbers: Mapping[str, int] = field(default_factory=dict)
    elements: bool = False
    max_elements: int = 64
    max_tags: int = 100_000
    with_types: bool = False
    raw: bool = False
