"""Reads the JSON of Mosquitto's dynamic security plug-in, and answers as the plug-in of 2.0.11 does.

Source: `plugins/dynamic-security/acl.c`, `roles.c` and `sub_matches_sub.c`, compared with the running program in
tests/contract.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_cli.access.request import Request, Verdict
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.topic import matches

_BRIDGE_STATE = "$SYS/broker/connection/+/state"
_DEFAULTS = {"publish": "publishClientSend", "receive": "publishClientReceive", "subscribe": "subscribe"}


@dataclass(frozen=True, slots=True)
class Acl:
    """One rule of a role: its type as the plug-in calls it, its filter, and whether it allows."""

    kind: str
    topic: str
    allow: bool


@dataclass(frozen=True, slots=True)
class DynamicSecurity:
    """The rules of a file (`access.request.Rules`).

    Attributes:
        roles: Rules by role, the highest priority first.
        clients: Roles by user, in the order in which they are asked: its own, then those of its groups.
        bound: The only client id of a user that has one.
        anonymous: Roles of clients without a user name.
        defaults: `defaultACLAccess`.
    """

    roles: Mapping[str, Sequence[Acl]]
    clients: Mapping[str, Sequence[str]]
    bound: Mapping[str, str]
    anonymous: Sequence[str]
    defaults: Mapping[str, bool]

    def decide(self, request: Request) -> Verdict:
        """Answer as the plug-in does, and the broker before it."""
        refusal = _by_broker(request)
        if refusal:
            return Verdict(allowed=False, why=refusal)
        if request.user and request.user not in self.clients:
            return Verdict(allowed=False, why="no such client")
        bound = self.bound.get(request.user, "")
        if bound and request.client_id and request.client_id != bound:
            return Verdict(allowed=False, why=f"its client id is {bound}")
        for role in self.clients[request.user] if request.user else self.anonymous:
            acl = next(_deciding(self.roles.get(role, ()), request), None)
            if acl is not None:
                return Verdict(allowed=acl.allow, why=f"role {role}: {acl.kind} {acl.topic}")
        allowed = self.defaults.get(_DEFAULTS[request.wish], False) and not request.topic.startswith("$CONTROL")
        return Verdict(allowed=allowed, why=f"the default of {_DEFAULTS[request.wish]}")


def _by_broker(request: Request) -> str:
    topic = request.topic
    if request.wish == "subscribe":
        return ""
    if not topic or "+" in topic or "#" in topic:
        return "not a topic"
    if topic.startswith("$share"):
        return "$share is for subscriptions"
    if request.wish == "publish" and topic.startswith("$SYS") and not matches(_BRIDGE_STATE, topic):
        return "$SYS belongs to the broker"
    return ""


def _deciding(acls: Sequence[Acl], request: Request) -> Iterator[Acl]:
    """The rules of one role that match, the deciding one first: literals come before patterns, whatever their priority."""
    if request.wish == "subscribe":
        yield from (acl for acl in acls if acl.kind == "subscribeliteral" and acl.topic == request.topic)
        yield from (acl for acl in acls if acl.kind == "subscribepattern" and includes(acl.topic, request.topic))
    else:
        kind = _DEFAULTS[request.wish].lower()
        yield from (acl for acl in acls if acl.kind == kind and matches(acl.topic, request.topic))


def includes(pattern: str, wanted: str) -> bool:
    """Whether a `subscribePattern` takes a filter: level by level, `$` is nothing special, `#` is everything."""
    if pattern == "#":
        return True
    have, have_all = _without_hash(pattern)
    want, want_all = _without_hash(wanted)
    if (want_all and not have_all) or len(have) > len(want) or (len(want) > len(have) and not have_all):
        return False
    return all(level in ("+", other) for level, other in zip(have, want, strict=False))


def _without_hash(filter_: str) -> tuple[list[str], bool]:
    if filter_ == "#":
        return [""], True
    return filter_.removesuffix("/#").split("/"), filter_.endswith("/#")


def read_dynsec(text: str) -> DynamicSecurity:
    """Read a file.

    Raises:
        NexusError: NX7036, it is not JSON of this form: the plug-in does not load, and the broker does not start.
    """
    try:
        data = json.loads(text)
        if problem := _shape(data):
            raise _unreadable(problem)
        roles = {role["rolename"]: _acls(role.get("acls", [])) for role in data.get("roles", [])}
        groups = {group["groupname"]: group for group in data.get("groups", [])}
        of_groups = _of_groups(groups.values())
        clients = {
            each["username"]: [
                *_ranked(each.get("roles", []), "rolename"),
                *of_groups.get(each["username"], ()),
            ]
            for each in data.get("clients", [])
            if not each.get("disabled", False)
        }
        return DynamicSecurity(
            roles=roles,
            clients=clients,
            bound={each["username"]: each["clientid"] for each in data.get("clients", []) if each.get("clientid")},
            anonymous=_ranked(groups.get(data.get("anonymousGroup", ""), {}).get("roles", []), "rolename"),
            defaults={str(kind): allowed is True for kind, allowed in data.get("defaultACLAccess", {}).items()},
        )
    except KeyError as error:
        raise _unreadable(f"an entry has no {error}") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(str(error)) from None


LISTS = {"clients": "username", "groups": "groupname", "roles": "rolename"}
"""The lists of a file, and the key that names an entry."""


def _shape(data: Any) -> str:
    """What is not as it has to be; "" when nothing is, as far as lists and names go."""
    if not isinstance(data, dict):
        return "the whole is not an object { … }"
    for key, name in LISTS.items():
        listed = data.get(key, [])
        if not isinstance(listed, list):
            return f"'{key}' is not a list"
        for number, each in enumerate(listed, 1):
            if not isinstance(each, dict) or not isinstance(each.get(name), str):
                return f"entry {number} of '{key}' has no '{name}'"
            for inner in ("acls", "roles", "clients", "groups"):
                inside = each.get(inner, [])
                if not isinstance(inside, list) or not all(isinstance(one, dict) for one in inside):
                    return f"'{inner}' of '{each[name]}' in '{key}' is not a list of objects"
    return "" if isinstance(data.get("defaultACLAccess", {}), dict) else "'defaultACLAccess' is not an object"


def _unreadable(problem: str) -> NexusError:
    return NexusError(
        "Mosquitto's dynamic security plug-in can't read this file.",
        code="NX7036",
        cause=problem[:200],
        hint="it is the file that `mosquitto_ctrl dynsec init` makes, with `clients`, `groups` and `roles`",
    )


def _acls(listed: Iterable[Mapping[str, Any]]) -> list[Acl]:
    ranked = sorted(listed, key=lambda acl: -int(acl.get("priority", 0)))
    return [Acl(str(each["acltype"]).lower(), each["topic"], each.get("allow") is True) for each in ranked]


def _of_groups(groups: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Roles that each user has from its groups; a group lists its users, not the other way round."""
    mine: dict[str, dict[str, dict[str, Any]]] = {}
    for group in groups:
        roles = _ranked(group.get("roles", []), "rolename")
        for member in group.get("clients", []):
            place = {"groupname": group["groupname"], "priority": member.get("priority", -1), "roles": roles}
            mine.setdefault(member["username"], {})[group["groupname"]] = place
    return {
        user: [role for name in _ranked(held.values(), "groupname") for role in held[name]["roles"]]
        for user, held in mine.items()
    }


def _ranked(listed: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    """Names, the highest priority first, equal ones by name (`rolelist.c` and `grouplist.c` compare so)."""
    return [str(each[key]) for each in sorted(listed, key=lambda each: (-int(each.get("priority", -1)), each[key]))]
