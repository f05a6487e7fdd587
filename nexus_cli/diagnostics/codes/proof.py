"""The audit trail's digest chain, and signed messages: NX6460 to NX6479."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX6461",
        slug="anchor-unreadable",
        summary="The anchor of the audit trail can't be read.",
        why="An anchor is the number and digest of a link, kept where the database's administrator can't change it. Without one "
        "that can be read nothing would be compared.",
        bad=console("nexus audit verify --anchor 1234"),
        good=console("nexus audit verify --anchor /mnt/safe/audit-anchors.log"),
        exit=Exit.FINDINGS,
    ),
)
