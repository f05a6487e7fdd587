"""Band 0, comments that accept a finding."""

from nexus_cli.diagnostics.codes.code import Code, text
from nexus_cli.diagnostics.diagnostic import Severity

CODES: tuple[Code, ...] = (
    Code(
        id="NX0070",
        slug="ignore-useless",
        summary="A `nexus:ignore` comment suppresses nothing.",
        why="Its reason no longer applies, and it would hide the next finding with that code.",
        bad=text("# nexus:ignore NX2203 -- sensor is being replaced\nspeed: {address: 'input:0', type: int16}"),
        good=text("Remove the comment."),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX0071",
        slug="ignore-reason",
        summary="A `nexus:ignore` comment has no reason, or can't be read.",
        why="Without a reason it can't be decided later whether it can be removed.",
        bad=text("# nexus:ignore NX2203"),
        good=text("# nexus:ignore NX2203 -- scale is checked at commissioning"),
    ),
    Code(
        id="NX0072",
        slug="ignore-unknown-code",
        summary="A `nexus:ignore` comment names a code that does not exist.",
        why="It suppresses nothing.",
        bad=text("# nexus:ignore NX9999 -- just in case"),
        good=text("# nexus:ignore NX2203 -- scale is checked at commissioning"),
    ),
    Code(
        id="NX0073",
        slug="ignore-refused",
        summary="A `nexus:ignore` comment tries to suppress what can't be suppressed.",
        why="Errors of text and shape leave a part of the site unread; applying it would remove that part.",
        bad=text("tags:\n  # nexus:ignore NX0012 -- later\n  speed: {}"),
        good=text("Correct the text."),
    ),
)
