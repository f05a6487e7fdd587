"""Files of brokers into `Foreign`: Mosquitto's `acl_file` and dynamic security, HiveMQ's file RBAC. Known by their content.

Each goes through the reader that answers as its broker does, so that what is adopted can be compared with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nexus_cli.access.brokers.hivemq.rbac_reader import Permission, RoleFile, read_credentials, read_realm
from nexus_cli.access.brokers.mosquitto.acl_reader import AclFile, Line, read_acl
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.adopt.dynsec import of_dynsec
from nexus_cli.discover.adopt.foreign import EVERYBODY, PATTERN, Foreign, ForeignRule

_LIMITED = "bound to a quality of service, to retained messages or to shared subscriptions, which a site's right is not"


def read_foreign(text: str) -> Foreign:
    """Read a file of a broker.

    Raises:
        NexusError: NX4310, it is none of the forms; NX7035 or NX7036, its broker would not load it.
    """
    head = text.lstrip("\ufeff \t\r\n")
    if head.startswith("{"):
        return of_dynsec(text)
    if head.startswith("<"):
        return _of_hivemq(read_realm(text) if "<ese-file-realm" in head else read_credentials(text))
    try:
        return _of_mosquitto(read_acl(text))
    except NexusError as error:
        raise NexusError(
            "This is no file of broker rights that can be read.",
            code="NX4310",
            cause=error.cause or error.message,
            hint="Mosquitto's acl_file or dynamic-security.json, HiveMQ's credentials.xml or file realm",
        ) from None


def _of_mosquitto(file: AclFile) -> Foreign:
    found: list[tuple[int, ForeignRule]] = []
    for user, lines in file.users.items():
        found += [(line.number, _of_line(user or "", line, EVERYBODY if user is None else "")) for line in lines]
    for line in file.patterns:
        odd = PATTERN if "%u" in line.filter or "%c" in line.filter else EVERYBODY
        found.append((line.number, _of_line("", line, odd)))
    return Foreign(
        broker="Mosquitto",
        rules=tuple(rule for _, rule in sorted(found, key=lambda pair: pair[0])),
        users={user: (user,) for user in file.users if user is not None},
        decide=file,
    )


def _of_line(role: str, line: Line, odd: str) -> ForeignRule:
    both = line.access in ("readwrite", "deny")
    return ForeignRule(
        role=role,
        text=f"{role or 'everybody'}, {line.text}",
        filter=line.filter,
        publish=both or line.access == "write",
        subscribe=both or line.access == "read",
        allow=line.access != "deny",
        odd=odd,
    )


def _of_hivemq(file: RoleFile) -> Foreign:
    rules = [rule for name, listed in file.roles.items() for rule in _of_permissions(name, listed)]
    users: Mapping[str, tuple[str, ...]] = {user: tuple(roles) for user, roles in file.users.items()}
    return Foreign(broker="HiveMQ", rules=tuple(rules), users=users, decide=file)


def _of_permissions(role: str, listed: Sequence[Permission]) -> Iterator[ForeignRule]:
    for one in listed:
        limited = (one.qos, one.retain, one.shared, one.group) != ("ALL", "ALL", "ALL", "#")
        odd = PATTERN if "${{" in one.topic else _LIMITED if limited else ""
        yield ForeignRule(
            role=role,
            text=f"role {role}: {one.text}",
            filter=one.topic,
            publish=one.activity != "SUBSCRIBE",
            subscribe=one.activity != "PUBLISH",
            odd=odd,
        )
