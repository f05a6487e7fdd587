"""What the catalogue knows of one code; `nexus explain NXnnnn` prints it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_cli.diagnostics.diagnostic import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A kind of finding.

    Attributes:
        id: `NXnnnn`; the first digit is the band.
        slug: A short name, as in the case folder `tests/cases/NX2203-slug`.
        summary: One line: what is wrong.
        why: Why it matters on a running plant.
        bad: A YAML excerpt (or a situation) that triggers it.
        good: What to write or do instead.
        severity: Error, warning or info.
    """

    id: str
    slug: str
    summary: str
    why: str
    bad: str = ""
    good: str = ""
    severity: Severity = Severity.ERROR
