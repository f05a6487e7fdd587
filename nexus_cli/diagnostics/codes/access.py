"""Band 7, access: roles, users, grants."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = (
    Code(
        id="NX7010",
        slug="not-renderable",
        summary="A user name or topic can't stand in the broker's rule file.",
        why="A line that the broker misreads can leave it without any rules: Mosquitto then allows everything.",
        bad="users: {'shift #1': {role: operator}}",
        good="users: {shift-1: {role: operator}}",
    ),
    Code(
        id="NX7011",
        slug="grants-unreadable",
        summary="The file that hands rights to the local broker can't be read.",
        why="The broker keeps the rights it has; a new device's topics stay refused until the file is right.",
        bad=".nexus/access.json edited by hand, or cut short",
        good="nexus apply SITE writes it anew",
    ),
    Code(
        id="NX7012",
        slug="rights-not-in-force",
        summary="The local broker has not taken new rights over.",
        why="A gateway whose topics are not allowed yet publishes into the void, and sends again later.",
        good="look at `nexus logs broker` and `nexus status`",
    ),
)
