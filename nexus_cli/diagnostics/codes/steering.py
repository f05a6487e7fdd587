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
    Code(
        id="NX6933",
        slug="control-busy",
        summary="Too many requests of web's callers are with control.",
        why="Control serves gateways, too, so what web hands over is bounded. A long-poll keeps its place for up to 25 s.",
        good=text("try again in some seconds"),
    ),
    Code(
        id="NX6934",
        slug="device-not-served",
        summary="A device can't be taken out of service.",
        why="Its gateway closes the session; a device that no gateway reads has none.",
        bad=console(
            "nexus device out-of-service packaging/line-1/erp --for 30m --reason 'new server'   # protocol: external"
        ),
        good=text("take the system that publishes it out of service there"),
    ),
    Code(
        id="NX6935",
        slug="retained-owned",
        summary="A retained topic is not cleared, because it has an owner.",
        why="The topics of declared tags and messages, of the platform, of other systems and of other sites are published "
        "again by their owners, or needed by who connects next. Nothing was cleared.",
        bad=console("nexus retained clear acme/chicago/packaging/line-1/filler/temperature     # a declared tag"),
        good=console("nexus retained list       # the topics that nobody owns"),
    ),
)
