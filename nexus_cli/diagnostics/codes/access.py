"""Band 7, access: roles, users, grants."""

from nexus_cli.diagnostics.codes.code import Code, text, yaml
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX7010",
        slug="not-renderable",
        exit=Exit.FINDINGS,
        summary="A user name or topic can't be written in the broker's rule file.",
        why="A line that the broker misreads can leave it without any rules: Mosquitto then allows everything.",
        bad=yaml("users: {'shift #1': {role: operator}}"),
        good=yaml("users: {shift-1: {role: operator}}"),
    ),
    Code(
        id="NX7011",
        slug="grants-unreadable",
        hint="`nexus apply` writes a new file",
        summary="The local broker's access rules can't be read.",
        why="The broker keeps its current rights; a new device's topics are refused until the file is repaired.",
        bad=text(".nexus/access.json edited by hand, or cut short"),
        good=text("nexus apply SITE writes a new one"),
    ),
    Code(
        id="NX7012",
        slug="rights-not-in-force",
        summary="The local broker has not applied the new rights.",
        why="The broker drops what a gateway publishes on topics that are not allowed yet; the gateway sends it again later.",
        good=text("look at `nexus logs broker` and `nexus status`"),
    ),
    Code(
        id="NX7013",
        slug="wider-at-broker",
        exit=Exit.FINDINGS,
        summary="A broker's rules can't say a limit of a right: it lets more pass there, and somebody else refuses it.",
        why="Who reads the broker's file must know what it does not do, and who does.",
        bad=text("mosquitto: a retained command passes the broker; the gateway refuses it"),
        good=text("nexus access render --broker emqx: its rules name retain and QoS"),
    ),
    Code(
        id="NX7014",
        slug="narrower-at-broker",
        exit=Exit.FINDINGS,
        summary="A broker's rules can't say a right as it is meant: less is allowed there.",
        why="The user is refused what the site file gives; a rule that is wider is never written in its place.",
        good=text("write the right without the part that the broker can't say, or name what is meant"),
    ),
    Code(
        id="NX7035",
        slug="acl-file-unreadable",
        summary="Mosquitto could not load these access rules.",
        why="At its start Mosquitto ends with such a file; at a reload it drops all its rules, and everything is allowed. "
        "The file that is in use stays.",
        hint="repair the line; in a file that nexus wrote it is a fault of nexus: please report it",
        bad=text("topic\tread\tplant/#"),
        good=text("topic read plant/#"),
    ),
    Code(
        id="NX7036",
        slug="broker-rules-unreadable",
        summary="A broker could not load its role file or its dynamic security file.",
        why="HiveMQ does not take such a file and keeps the one before in force: who lost a right keeps it. Mosquitto's plug-in "
        "does not start.",
        hint="each user needs a stored password, and at least one right",
        bad=text("<file-rbac> without a <user>"),
        good=text("nexus access render --broker hivemq, once a user of the site has a password"),
    ),
    Code(
        id="NX7037",
        slug="password-entry-dropped",
        summary="Mosquitto would drop an entry of its password file.",
        why="It writes one line in its log, and the user is locked out.",
        hint="the salt must be 12 bytes and the key 64 bytes in base64; a name has no ':'",
        bad=text("desk:$7$1000$<salt of 16 bytes>$<key>"),
        good=text("desk:$7$1000$<salt of 12 bytes>$<key>"),
    ),
)
