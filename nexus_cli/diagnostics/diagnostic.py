"""One finding: a code, what is wrong, where, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

ModelPath = tuple[str | int, ...]
"""Where in the model, e.g. `("areas", "packaging", "lines", "line-1")`; list positions are integers."""


class Severity(StrEnum):
    """How much a finding matters: an error blocks, a warning and a note do not."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A range of text. Lines and columns count from 1, columns in characters; the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """A second place that belongs to a finding, such as the first definition of a duplicate."""

    message: str
    place: Place | None = None
    where: ModelPath = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """A finding. Stages give `where`; `source` adds the `place` in the text.

    Attributes:
        code: `NXnnnn`, a key of the catalogue.
        message: One sentence, with the offending value quoted.
        severity: Taken from the catalogue by `finding()`.
        where: Where in the model; empty when it concerns the whole site.
        on_key: True when the place is the key itself (an unknown key), not its value.
        place: Where in the text; None until `source` has placed it.
        hint: What to write instead.
        related: Other places that matter.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    where: ModelPath = ()
    on_key: bool = False
    place: Place | None = None
    hint: str = ""
    related: tuple[Related, ...] = ()

    def at(self, place: Place | None) -> Diagnostic:
        """The same finding, placed in the text."""
        return replace(self, place=place)


def format_path(path: ModelPath) -> str:
    """Write a model path the way messages show it: `areas.packaging.lines.line-1`."""
    return ".".join(str(part) for part in path)
