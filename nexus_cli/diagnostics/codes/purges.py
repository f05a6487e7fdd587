"""Codes of purges (NX4140 to NX4149)."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX4140",
        slug="nothing-to-purge",
        exit=Exit.FINDINGS,
        hint="`nexus find` and `nexus history` know forgotten paths, too",
        summary="No forgotten series has such a path.",
        why="Only what no tag has any more can be purged: a series of a declared tag would be filled again at the next poll.",
        bad=console("nexus purge start packaging/line-1/filler/tmep"),
        good=console("nexus purge start packaging/line-1/filler/temp"),
    ),
    Code(
        id="NX4141",
        slug="purge-too-large",
        exit=Exit.FINDINGS,
        hint="purge line by line",
        summary="A purge takes at most 10,000 series.",
        why="What is shown has to be looked at, and is compared again when it is confirmed.",
        bad=console("nexus purge start '**'"),
        good=console("nexus purge start 'packaging/line-9/**'"),
    ),
    Code(
        id="NX4142",
        slug="purge-changed",
        exit=Exit.CONFLICT,
        hint="look again: nexus purge start --dry-run",
        summary="What would be removed is not what was shown.",
        why="A tag was removed, declared again or protected in between. Nothing was removed.",
        bad=text("a deployment between the preview and its confirmation"),
        good=text("the same command again"),
    ),
    Code(
        id="NX4143",
        slug="purge-waits",
        exit=Exit.CONFLICT,
        summary="Another purge waits or runs.",
        why="One at a time: two could take the same series, and each reads and deletes much.",
        bad=text("a second purge before the first has ended"),
        good=console("nexus purge list"),
    ),
    Code(
        id="NX4144",
        slug="purge-taken-over",
        summary="A worker went on with a purge that another one has meanwhile.",
        why="It was taken for dead. What it removed is counted, and the other one continues.",
        bad=text("a worker that was stopped for a minute"),
        good=text("nothing: the other worker does it"),
    ),
    Code(
        id="NX4145",
        slug="no-such-purge",
        exit=Exit.FINDINGS,
        hint="`nexus purge list` names them",
        summary="There is no purge of this id.",
        why="A purge that ended is listed for 400 days; the audit trail has it for ever.",
        bad=console("nexus purge show 7"),
        good=console("nexus purge show 01JZ3V5T8Q2M4N6P8R0S2T4V6W"),
    ),
    Code(
        id="NX4146",
        slug="purge-protected",
        exit=Exit.FINDINGS,
        hint="nexus keep end PATH ends a protection",
        summary="Every series that the purge takes is protected.",
        why="`keep: always` holds until somebody ends it by name, also when its line is gone from the site file.",
        bad=console("nexus purge start packaging/line-1/filler/temp"),
        good=console("nexus keep end packaging/line-1/filler/temp"),
    ),
)
