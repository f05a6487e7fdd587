"""Band 7, `nexus access`: questions, checks and files."""

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX7040",
        slug="no-such-principal",
        exit=Exit.FINDINGS,
        summary="There is no user, application or principal of this name in the site.",
        why="A question about a name that the site does not have has no answer; a typing mistake must not look like a no.",
        bad=console("nexus access can operater-panel read packaging/line-1/filler/temperature"),
        good=console("nexus access list"),
    ),
    Code(
        id="NX7041",
        slug="no-such-subject",
        exit=Exit.FINDINGS,
        summary="The site has no tag, message, sequence or alert of this name.",
        why="A question about something that the site does not have has no answer; a typing mistake must not look like a no.",
        bad=console("nexus access who-can write packaging/line-1/filer/setpoint"),
        good=console("nexus access who-can write packaging/line-1/filler/setpoint"),
    ),
    Code(
        id="NX7042",
        slug="line-without-effect",
        summary="A line of a role gives nothing beyond its other lines, or takes nothing that they give.",
        why="Who reads the role believes that the line does something; often it was meant for another path.",
        bad=yaml("roles: {operator: {read: ['packaging/**', 'packaging/line-1/**']}}"),
        good=yaml("roles: {operator: {read: ['packaging/**']}}"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX7043",
        slug="user-without-password",
        summary="A user has no password: it can't connect.",
        why="The rights of a user without a password are used by no person; it was left, or its password was forgotten.",
        good=console("nexus access rotate packaging-desk"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX7044",
        slug="rights-end-soon",
        summary="The rights of a user or application end within 30 days.",
        why="A panel or a program that has no rights any more shows it first on the shop floor.",
        bad=yaml("users: {contractor: {role: viewer, valid: {until: 2026-12-31}}}"),
        good=text("a later `until:`, or remove the user when its time is over"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX7045",
        slug="application-with-hours",
        summary="A program has hours: it is cut off in the middle of its work.",
        why="Programs retry at any time of the day; outside of its hours each try is a refusal in the audit trail.",
        bad=yaml("applications: {mes: {role: viewer, hours: ['mon-fri 06:00-22:00']}}"),
        good=yaml("applications: {mes: {role: viewer}}"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX7046",
        slug="rendered-differs",
        exit=Exit.FINDINGS,
        severity=Severity.WARNING,
        summary="A broker's file is not what the site file says.",
        why="The broker obeys its file: rights that were taken away in the site file are still there.",
        bad=console("nexus access render --broker mosquitto --out /etc/mosquitto/nexus --check"),
        good=console("nexus access render --broker mosquitto --out /etc/mosquitto/nexus"),
    ),
    Code(
        id="NX7047",
        slug="rendered-refused",
        exit=Exit.FINDINGS,
        summary="Rendered rules do not say what the grants say, and nothing was written.",
        why="Each file is read back by a reader of that broker's format before it is written; a file that says something else is a fault of NEXUS.",
        good=text("report it with the site file; the files that the broker has are as they were"),
    ),
    Code(
        id="NX7048",
        slug="broker-not-rendered",
        exit=Exit.FINDINGS,
        summary="This build has no renderer for the broker.",
        why="Files for another broker would be refused, or misread.",
        good=console("nexus access render --broker mosquitto"),
    ),
    Code(
        id="NX7049",
        slug="no-signing-key",
        exit=Exit.FINDINGS,
        summary="There is no secret to sign a broker token with.",
        why="EMQX checks the signature of a JSON Web Token with a secret, or a key, that both sides know.",
        bad=console("nexus access token mes --for mqtt"),
        good=text(
            "NEXUS_EMQX_JWT_SECRET_FILE names a file with the secret that EMQX has, or a PEM file with a private key"
        ),
    ),
)
