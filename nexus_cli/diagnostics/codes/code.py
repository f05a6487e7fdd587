"""One entry of the catalogue; `nexus explain NXnnnn` prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit


@dataclass(frozen=True, slots=True)
class Example:
    """A good or bad example: a piece of a site file, a command, or a sentence."""

    text: str
    kind: Literal["yaml", "console", "text"]

    def __bool__(self) -> bool:
        return bool(self.text)


def yaml(text: str) -> Example:
    """A piece of a site file that a YAML reader accepts."""
    return Example(text, "yaml")


def console(text: str) -> Example:
    """A command line, with nothing but a comment behind it."""
    return Example(text, "console")


def text(text: str) -> Example:
    """A sentence, or text that is neither YAML nor a command."""
    return Example(text, "text")


NOTHING = Example("", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A kind of finding.

    Attributes:
        id: `NXnnnn`; the first digit is the band.
        slug: A short name, as in the case folder `tests/cases/NX2203-slug`.
        summary: One line: what is wrong.
        why: Why it matters on a running plant.
        bad: An excerpt, a command or a situation that triggers it.
        good: What to write or do instead.
        severity: Error, warning or info.
        exit: What a command ends with that fails for it; None for what its band ends with (see `exit_code`).
        hint: What a person does about it, where that is always the same: of a `NexusError` whose call has none. A finding
            has the hint of its call alone.
    """

    id: str
    slug: str
    summary: str
    why: str
    bad: Example = NOTHING
    good: Example = NOTHING
    severity: Severity = Severity.ERROR
    exit: Exit | None = None
    hint: str = ""

    @property
    def exit_code(self) -> Exit:
        """The exit code of a command that fails with it: 1 for a fault in files, plan or deployment, else 6."""
        return self.exit or (Exit.FINDINGS if self.id[2] in "012345" else Exit.OUTSIDE)
