"""Band 2, who may do what: members, periods, scopes and denials of `access:`."""

from nexus_cli.diagnostics.codes.code import Code, yaml
from nexus_cli.diagnostics.diagnostic import Severity

CODES: tuple[Code, ...] = (
    Code(
        id="NX2611",
        slug="unknown-group",
        summary="A user in a group that is not declared.",
        why="The user would lack the roles of the group.",
        bad=yaml("groups: {shift-a: {role: operator}}\nusers: {anna: {groups: [shift-b]}}"),
        good=yaml("groups: {shift-a: {role: operator}}\nusers: {anna: {groups: [shift-a]}}"),
    ),
    Code(
        id="NX2612",
        slug="user-and-application",
        summary="A name that is both a user and an application.",
        why="A broker knows one account of a name, so that only one of them would have its rights.",
        bad=yaml("users: {mes: {role: viewer}}\napplications: {mes: {role: operator}}"),
        good=yaml("users: {mes-desk: {role: viewer}}\napplications: {mes: {role: operator}}"),
    ),
    Code(
        id="NX2613",
        slug="user-password-in-plain-text",
        summary="A password of a user in plain text.",
        why="The site file is kept in a repository, and everyone who reads it could log in.",
        bad=yaml("users: {desk: {role: operator, password: …}}     # the password itself"),
        good=yaml("users: {desk: {role: operator, password: '${env:DESK_PASSWORD}'}}"),
    ),
    Code(
        id="NX2614",
        slug="hours-without-zone",
        summary="Hours in a site without a time zone.",
        why="They are then hours of UTC, which few clocks on a wall show.",
        bad=yaml("users: {desk: {role: operator, hours: [mon-fri 06:00-22:00]}}"),
        good=yaml("time_zone: Europe/Berlin"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX2615",
        slug="period-over",
        summary="A period of rights that is over, or that ends before it begins.",
        why="Who has it has no rights any more, or never had them.",
        bad=yaml("valid: {from: 2030-03-01, until: 2030-02-01}"),
        good=yaml("valid: {from: 2030-02-01, until: 2030-03-01}"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX2616",
        slug="denial-cuts-topics",
        summary="A denial takes a part of an external device's topics that no rule can take out.",
        why="Brokers get a list of what is allowed. Declared tags can be listed one by one, topics behind a glob can't: nothing of the glob is allowed then.",
        bad=yaml("topics: ['**']     # of robot\nread: ['**']\ndeny: {read: ['*/*/robot/secret/**']}"),
        good=yaml(
            "topics: ['state/**', 'secret/**']     # of robot\nread: ['**']\ndeny: {read: ['*/*/robot/secret/**']}"
        ),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX2617",
        slug="scope-unknown",
        summary="A right for a protocol, a gateway or a label that no device has.",
        why="It reaches nothing; a denial would deny nothing.",
        bad=yaml("deny: {write: [{protocol: modbuss}]}"),
        good=yaml("deny: {write: [{protocol: modbus}]}"),
    ),
    Code(
        id="NX2618",
        slug="role-wider-than-name",
        summary="A role whose name says that it only looks may do more.",
        why="Who gives a role goes by its name.",
        bad=yaml("viewer: {read: ['**'], write: ['**']}"),
        good=yaml("operator: {read: ['**'], write: ['**']}"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX2619",
        slug="apply-matches-nothing",
        summary="A right to apply changes of paths that do not exist.",
        why="Usually a name that was changed elsewhere.",
        bad=yaml("apply: ['packging/**']"),
        good=yaml("apply: ['packaging/**']"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX2620",
        slug="issuer-in-the-open",
        summary="An OpenID provider that is not asked by https.",
        why="Who can change its answers on the way decides who logs in, and as whom.",
        bad=yaml("issuer: http://login.example.com/realms/plant"),
        good=yaml("issuer: https://login.example.com/realms/plant"),
    ),
    Code(
        id="NX2621",
        slug="denial-matches-nothing",
        summary="A denial matches nothing.",
        why="What it was meant to close stays open: usually a name that is misspelt, or '/**' that is missing at its end.",
        bad=yaml("deny: {read: ['packaging/line-1']}"),
        good=yaml("deny: {read: ['packaging/line-1/**']}"),
    ),
)
