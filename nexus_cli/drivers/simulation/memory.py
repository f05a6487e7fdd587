"""Base of the memories of simulated devices: placed tags, and refused requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from nexus_cli.drivers.simulation.signals import Signal
from nexus_cli.wire.sample import Value


class Refused(Exception):
    """The device answers with an error.

    Attributes:
        code: The protocol's own.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Span(Protocol):
    """Where a tag lies, in the units of its memory (bytes, registers, bits)."""

    @property
    def start(self) -> int:
        """First unit."""
        ...

    @property
    def end(self) -> int:
        """First unit behind it."""
        ...


F = TypeVar("F", bound=Span)


@dataclass(slots=True)
class Cell(Generic[F]):
    """One tag in the memory.

    Attributes:
        field: Where it lies.
        signal: Its values by time; None after a write.
        store: Puts a value there.
    """

    name: str
    field: F
    signal: Signal | None
    store: Callable[[bytearray, Value], None]


C = TypeVar("C", bound=Cell[Any])


class Cells(Generic[C]):
    """The tags of one memory, all added before the first look.

    Attributes:
        all: In the order in which they were added.
    """

    def __init__(self) -> None:
        self.all: list[C] = []
        self._found: dict[tuple[int, int], list[C]] = {}

    def within(self, start: int, count: int) -> list[C]:
        """Those that touch a range. Clients ask for the same ranges again and again, so that each is looked up once."""
        found = self._found.get((start, count))
        if found is None:
            end = start + count
            found = [cell for cell in self.all if cell.field.start < end and cell.field.end > start]
            self._found[start, count] = found
        return found
