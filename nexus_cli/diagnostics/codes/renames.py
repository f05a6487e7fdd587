"""Band 4, renames and kept series: what `moved:` can't mean, and what is never dropped."""

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX4110",
        slug="moved-in-a-loop",
        summary="`moved:` leads in a loop: its last path is its first.",
        why="A rename that was applied stays in the file and does nothing again: its old path is gone. In a loop every old "
        "path is a new one as well, so nothing says whether the paths were exchanged already, and each apply would exchange "
        "them once more.",
        bad=yaml("moved: [{from: a/b/c, to: a/b/d}, {from: a/b/d, to: a/b/c}]"),
        good=text("two deployments: first a/b/c to a/b/c-2 and a/b/d to a/b/c, then a/b/c-2 to a/b/d"),
    ),
    Code(
        id="NX4111",
        slug="moved-out-of-order",
        summary="A chain of moves is written in the wrong order.",
        why="Entries apply in their order. A path that moves onto one that an earlier entry moves on stays there, and "
        "nothing is declared there.",
        bad=yaml("moved: [{from: a/b/d, to: a/b/e}, {from: a/b/c, to: a/b/d}]"),
        good=yaml("moved: [{from: a/b/c, to: a/b/d}, {from: a/b/d, to: a/b/e}]"),
    ),
    Code(
        id="NX4112",
        slug="moved-onto-recorded",
        summary="A tag would move onto one that has a history of its own.",
        why="Both are recorded, and two histories can't become one: the values that were stored under the new path would pass for "
        "those of the old one, or would be lost.",
        bad=yaml("moved: [{from: a/b/c/temp, to: a/b/c/temperature}]     # and both were recorded"),
        good=text("another new path; or without the entry: the old series ends, and its samples stay"),
    ),
    Code(
        id="NX4113",
        slug="rename-ambiguous",
        summary="Tags vanish and others come with the same address, and it can't be said which is which.",
        why="A rename is proposed only where one old and one new tag share an address. Here several do, so a proposal would be a guess "
        "that mixes histories up.",
        bad=yaml("tags: {c: {address: holding:0}, d: {address: holding:0}}     # and a and b with holding:0 are gone"),
        good=yaml("moved: [{from: a/b/meter/a, to: a/b/meter/c}, {from: a/b/meter/b, to: a/b/meter/d}]"),
        severity=Severity.INFO,
    ),
    Code(
        id="NX4115",
        slug="keep-still-declared",
        exit=Exit.FINDINGS,
        summary="The protection of a series can't end: its tag is declared with `keep: always`.",
        why="The next deployment would protect it again.",
        bad=console("nexus keep end packaging/line-1/filler/temperature"),
        good=text("`keep: always` removed from the tag, `nexus apply`, then `nexus keep end PATH`"),
    ),
    Code(
        id="NX4116",
        slug="series-not-kept",
        exit=Exit.FINDINGS,
        hint="`nexus keep list` names the protected series",
        summary="No protected series has the path.",
        why="Only a series that `keep: always` protects can be released; a typing error must not look like a success.",
        bad=console("nexus keep end packaging/line-1/filler/tepm"),
        good=console("nexus keep end packaging/line-1/filler/temp"),
    ),
    Code(
        id="NX4117",
        slug="role-does-not-follow",
        summary="A glob of a role covers the old path of a tag that moves, and not its new one.",
        why="Rights are never widened by a rename: who had the tag by its old path loses it, and a `deny` no longer holds for it. "
        "Where the glob covers both paths nothing is to be done.",
        bad=yaml("operator: {read: [packaging/line-1/**]}     # and line-1 moves to line-2"),
        good=yaml("operator: {read: [packaging/line-2/**]}"),
        severity=Severity.WARNING,
    ),
)
