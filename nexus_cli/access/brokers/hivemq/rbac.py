"""HiveMQ's role files: the community extension's `credentials.xml`, and the Enterprise Security Extension's file realm.

Source of the community form: the README and source of hivemq-file-rbac-extension (Apache-2.0); of the other: the files of
hivemq-enterprise-security-hello-world-customization (Apache-2.0). Both are lists of permissions without a deny, and what is
not listed is refused. Clients that are connected keep their permissions; an invalid file is not taken, and the old one
stays. See docs/decisions/0070.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from xml.sax.saxutils import escape

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.bounds import unbound_notes
from nexus_cli.access.brokers.hivemq.permissions import BROKER, sayable
from nexus_cli.access.brokers.rendered import Note, Rendered
from nexus_cli.access.grants import Grant, principals
from nexus_cli.access.passwords import Hashes
from nexus_cli.diagnostics.errors import NexusError

CREDENTIALS, CONFIGURATION, REALM = "credentials.xml", "config.xml", "ese-file-realm.xml"
QOS = {
    (0,): "ZERO",
    (1,): "ONE",
    (2,): "TWO",
    (0, 1): "ZERO_ONE",
    (1, 2): "ONE_TWO",
    (0, 2): "ZERO_TWO",
}
RETAIN = {None: "ALL", True: "RETAINED", False: "NOT_RETAINED"}
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<!-- Written by nexus; edits are lost. -->\n'
ENTERPRISE = """\
<enterprise-security-extension version="1">
    <realms>
        <file-realm>
            <name>nexus</name>
            <enabled>true</enabled>
            <configuration><file-path>conf/ese-file-realm.xml</file-path></configuration>
        </file-realm>
    </realms>
    <pipelines>
        <listener-pipeline listener="ALL">
            <file-authentication-manager><realm>nexus</realm></file-authentication-manager>
            <file-authorization-manager><realm>nexus</realm></file-authorization-manager>
        </listener-pipeline>
    </pipelines>
</enterprise-security-extension>
"""
EXTENSION = """\
<extension-configuration>
    <credentials-reload-interval>60</credentials-reload-interval>
    <password-type>HASHED</password-type>
    <next-extension-instead-of-fail>false</next-extension-instead-of-fail>
</extension-configuration>
"""


def render(
    grants: Iterable[Grant], accounts: Accounts, hashes: Mapping[str, Hashes], *, topics: Collection[str] = ()
) -> Rendered:
    """`credentials.xml` and `config.xml` of the community extension (both belong into its folder `conf`).

    Args:
        grants: Of the whole site.
        accounts: How principals are called at this broker.
        hashes: By principal. Who has none is left out (NX7014).
        topics: Declared topics, written in place of a filter that HiveMQ would widen.

    Raises:
        NexusError: NX7010, a name or filter that a broker would misread; NX7036, the file would have no user: HiveMQ
            does not take it, and keeps the old one in force.
    """
    grants = tuple(grants)
    said = sayable(grants, topics)
    names = principals(said.grants)
    known = [name for name in names if name in hashes]
    if not known:
        raise NexusError("HiveMQ's role file would be empty.", code="NX7036", cause="no user with a password")
    lines = ["<file-rbac>", "    <users>"]
    for name in known:
        account = escape(accounts.account(name))
        iterations, salt, key = hashes[name].sha512.split("$")
        lines += [
            "        <user>",
            f"            <name>{account}</name>",
            f"            <password>{escape(f'{salt}:{iterations}:{key}')}</password>",
            f"            <roles><id>{account}</id></roles>",
            "        </user>",
        ]
    lines += ["    </users>", *_roles(said.grants, known, accounts, indent="    "), "</file-rbac>"]
    notes = (*said.notes, *_notes(grants, accounts), *(_unknown(name) for name in names if name not in hashes))
    return Rendered(files={CREDENTIALS: HEAD + "\n".join(lines) + "\n", CONFIGURATION: HEAD + EXTENSION}, notes=notes)


def render_enterprise(grants: Iterable[Grant], accounts: Accounts, *, topics: Collection[str] = ()) -> Rendered:
    """`ese-file-realm.xml` and `config.xml`: the roles of every account, for the Enterprise Security Extension.

    Its users are not written: every example has their passwords in clear text, how the file carries a *hashed* one is not
    known here, and a password in clear text is never written. Who runs HiveMQ adds `<user>` entries (name, password, `<roles><role>` with
    the account's name), or takes the users from a realm of another kind (NX7014).

    Raises:
        NexusError: As `render`.
    """
    grants = tuple(grants)
    said = sayable(grants, topics)
    names = principals(said.grants)
    if not names:
        raise NexusError("HiveMQ's role file would be empty.", code="NX7036", cause="no role with a permission")
    lines = ['<ese-file-realm version="1">', "    <mqtt>"]
    lines += [*_roles(said.grants, names, accounts, indent="        "), "    </mqtt>", "</ese-file-realm>"]
    users = Note(
        broker=BROKER,
        rule=f"users {', '.join(accounts.account(name) for name in names)}",
        text="the realm file has their roles and not their passwords; add the users there, each with the role of its name",
        code="NX7014",
    )
    files = {REALM: HEAD + "\n".join(lines) + "\n", CONFIGURATION: HEAD + ENTERPRISE}
    return Rendered(files=files, notes=(*said.notes, *_notes(grants, accounts), users))


def _roles(grants: Iterable[Grant], names: Collection[str], accounts: Accounts, *, indent: str) -> Iterator[str]:
    grants = tuple(grants)
    yield f"{indent}<roles>"
    for name in names:
        yield f"{indent}    <role>"
        yield f"{indent}        <id>{escape(accounts.account(name))}</id>"
        yield f"{indent}        <permissions>"
        for permission in sorted({_permission(grant) for grant in grants if grant.principal == name}):
            yield f"{indent}            {permission}"
        yield f"{indent}        </permissions>"
        yield f"{indent}    </role>"
    yield f"{indent}</roles>"


def _permission(grant: Grant) -> str:
    """One permission; shared subscriptions to the filter are the same right, whatever the group's name."""
    qos = QOS.get(grant.qos or (), "ALL")
    return (
        f"<permission><topic>{escape(grant.filter)}</topic><activity>{grant.action.upper()}</activity>"
        f"<qos>{qos}</qos><retain>{RETAIN[grant.retain]}</retain></permission>"
    )


def _notes(grants: tuple[Grant, ...], accounts: Accounts) -> Iterator[Note]:
    yield from unbound_notes(BROKER, grants, accounts)
    yield Note(
        broker=BROKER,
        rule="topics that end in '/'",
        text="HiveMQ takes 'a/b/' for 'a/b' in a PUBLISH; no process of NEXUS reads such a topic as the other",
        code="NX7013",
    )


def _unknown(name: str) -> Note:
    return Note(
        broker=BROKER,
        rule=f"user {name}",
        text="it has no stored password, so it is left out and no client is let in under its name",
        code="NX7014",
    )
