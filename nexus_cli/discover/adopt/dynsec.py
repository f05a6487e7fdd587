"""Mosquitto's dynamic security, of a file or of a running broker, into `Foreign`. Pure.

Every client, group, role, rule and default is a thing that came in: also a client that is disabled, and a role without rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nexus_cli.access.brokers.mosquitto.dynsec_reader import Acl, DynamicSecurity, read_dynsec
from nexus_cli.access.evaluate import covers
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.discover.adopt.foreign import EVERYBODY, PATTERN, Foreign, ForeignRule, Thing

_PUBLISH, _RECEIVE = "publishclientsend", "publishclientreceive"
_SUBSCRIBE = ("subscribeliteral", "subscribepattern")
_DISABLED = "it is disabled: a user of a site may always log in"
_CLOSED = "what no role of a site allows is refused"
_OPEN = {
    "publishClientReceive": "what is delivered follows from the subscription in a site",
    "unsubscribe": "who subscribed may always unsubscribe",
}


def of_dynsec(text: str) -> Foreign:
    """Read the JSON of the plug-in, as its file has it.

    Raises:
        NexusError: NX7036, it is not of this form.
    """
    file = read_dynsec(text)
    data: Mapping[str, Any] = json.loads(text)
    clients = [each for each in data.get("clients", []) if not each.get("disabled", False)]
    rules = [rule for name in file.roles for rule in _of_role(name, file)]
    return Foreign(
        broker="Mosquitto dynamic security",
        rules=tuple(rules),
        users={user: tuple(dict.fromkeys(roles)) for user, roles in file.clients.items()},
        decide=file,
        odd_users={
            str(
                each["username"]
            ): f"it is bound to the client id '{one_line(str(each['clientid']))[:100]}', which a user of a site is not"
            for each in clients
            if each.get("clientid")
        },
        things=tuple(_things(data, file)),
    )


def _of_role(role: str, file: DynamicSecurity) -> Iterator[ForeignRule]:
    acls = file.roles[role]
    delivered = file.defaults.get("publishClientReceive", False)
    for acl in acls:
        odd = ""
        if acl.kind not in (_PUBLISH, *_SUBSCRIBE):
            odd = f"{acl.kind} goes with the right to subscribe, and is none of its own"
        elif acl.topic.startswith(("$share/", "$CONTROL")):
            odd = "of shared subscriptions or of the broker itself"
        elif "%u" in acl.topic or "%c" in acl.topic:
            odd = PATTERN
        elif acl.kind != _PUBLISH and not delivered and not _receives(acls, acl.topic):
            odd = "no publishClientReceive of its role covers it: nothing is delivered to it"
        yield ForeignRule(
            role=role,
            text=one_line(f"role {role}: {'allow' if acl.allow else 'deny'} {acl.kind} {acl.topic}"),
            filter=acl.topic,
            publish=acl.kind == _PUBLISH,
            subscribe=acl.kind != _PUBLISH,
            allow=acl.allow,
            odd="" if not acl.allow else odd,
        )


def _receives(acls: Sequence[Acl], filter_: str) -> bool:
    return any(one.allow and one.kind == _RECEIVE and covers(one.topic, filter_) for one in acls)


def _things(data: Mapping[str, Any], file: DynamicSecurity) -> Iterator[Thing]:
    """What is neither a rule nor a user that may log in."""
    for each in data.get("clients", []):
        if each.get("disabled", False):
            yield Thing(kind="other", text=one_line(f"client {each['username']}"), reason=_DISABLED)
    for name, acls in file.roles.items():
        reason = "" if acls else "it has no rules"
        yield Thing(kind="role", name=name, text=one_line(f"role {name}"), reason=reason)
    anonymous = data.get("anonymousGroup", "")
    for group in data.get("groups", []):
        name = str(group["groupname"])
        yield Thing(
            kind="group",
            name=name,
            text=one_line(f"group {name}"),
            users=tuple(str(each["username"]) for each in group.get("clients", [])),
            roles=tuple(str(each["rolename"]) for each in group.get("roles", [])),
            reason=EVERYBODY if name == anonymous else "",
        )
    for kind, allowed in file.defaults.items():
        yield _default(kind, allowed)


def _default(kind: str, allowed: bool) -> Thing:
    text = one_line(f"default of {kind}: {'allow' if allowed else 'deny'}")
    if not allowed or kind in _OPEN:
        return Thing(kind="other", text=text, becomes=_OPEN[kind] if allowed else _CLOSED)
    return Thing(kind="other", text=text, reason=EVERYBODY)
