"""What people and programs change through web and control: commands, devices out of service, retained topics (NX693x)."""

from nexus_cli.diagnostics.codes.code import Code, console, text

CODES: tuple[Code, ...] = (
    Code(
        id="NX6930",
        slug="command-asked-by",
        summary="A command says wrongly whose it is.",
        why="`asked_by` names the caller of web, whose rights web has looked at. From anybody else it would put another "
        "person's name into the audit trail, so the gateway refuses it. Nothing was written.",
        bad=text("a user publishes a command with `asked_by: anna` on its own topic"),
        good=text("leave `asked_by` out: the sender's name is in the topic"),
    ),
    Code(
        id="NX6931",
        slug="commands-waiting",
        summary="Too many commands of one caller wait for their answers.",
        why="A caller that sends faster than its devices answer would take the places of all others. Nothing was sent.",
        good=text("wait for the answers of the commands before"),
    ),
    Code(
        id="NX6932",
        slug="rights-not-read",
        summary="The caller's rights can't be looked up, so nothing was sent.",
        why="They are in the database, which does not answer. Values can still be read; what changes something waits until "
        "it is certain that the right was not taken away.",
        good=console("nexus status        # shows the database"),
    ),
)
