"""The tags of one request, in the order of its points: their positions are looked up once, not per answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from nexus_cli.runtime.gateway.devices.tag_table import TagState, TagTable


class TagGroup(Sequence[TagState]):
    """Some tags of a table, in an order of their own. As a sequence it gives their views.

    Attributes:
        table: Where they are kept.
        places: Their positions there.
    """

    __slots__ = ("places", "table")

    def __init__(self, table: TagTable, places: Iterable[int]) -> None:
        """Name tags by their positions."""
        self.table = table
        self.places = tuple(places)

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> TagState: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TagState]: ...
    def __getitem__(self, index: int | slice) -> TagState | Sequence[TagState]:
        if isinstance(index, slice):
            return [self.table.state(at) for at in self.places[index]]
        return self.table.state(self.places[index])

    def __iter__(self) -> Iterator[TagState]:
        return map(self.table.state, self.places)
