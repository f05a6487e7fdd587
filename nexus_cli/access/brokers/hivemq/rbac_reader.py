"""Reads HiveMQ's role files, refuses what HiveMQ refuses, and answers requests as HiveMQ does.

Source: `ConfigCredentialsValidator` and `Substitution` of hivemq-file-rbac-extension, `DefaultPermissionsEvaluator`,
`TopicPermissionBuilderImpl` and `PluginAuthorizerServiceImpl` of HiveMQ CE 2025.5, compared with HiveMQ CE itself in
tests/contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from nexus_cli.access.evaluate import unshared
from nexus_cli.access.request import Request, Verdict
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.topic import matches

LEVELS = {
    "ALL": (0, 1, 2),
    "ZERO": (0,),
    "ONE": (1,),
    "TWO": (2,),
    "ZERO_ONE": (0, 1),
    "ONE_TWO": (1, 2),
    "ZERO_TWO": (0, 2),
}
CHOICES = {
    "activity": ("PUBLISH", "SUBSCRIBE", "ALL"),
    "qos": tuple(LEVELS),
    "retain": ("RETAINED", "NOT_RETAINED", "ALL"),
    "shared-subscription": ("SHARED", "NOT_SHARED", "ALL"),
}
ELEMENTS = ("topic", *CHOICES, "shared-group")
_PLACEHOLDER = re.compile(r"\$\{\{(clientid|username)\}\}", re.IGNORECASE)
_PASSWORD = re.compile(r"[A-Za-z0-9+/=]+:[0-9]+:[A-Za-z0-9+/=]+\Z")


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission; each field is as in the file."""

    topic: str
    activity: str = "ALL"
    qos: str = "ALL"
    retain: str = "ALL"
    shared: str = "ALL"
    group: str = "#"

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.activity} {self.topic} (QoS {self.qos}, {self.retain})"


@dataclass(frozen=True, slots=True)
class RoleFile:
    """The rules of a file (`access.request.Rules`).

    Attributes:
        roles: Permissions by role, in the file's order.
        users: Roles by user.
    """

    roles: Mapping[str, Sequence[Permission]]
    users: Mapping[str, Sequence[str]]

    def decide(self, request: Request) -> Verdict:
        """Answer as HiveMQ does: the first permission that fits allows, and nothing is checked on delivery."""
        if any(sign in request.user + request.client_id for sign in "+#"):
            return Verdict(allowed=False, why="a name or client id with '+' or '#' is not let in")
        if request.user not in self.users:
            return Verdict(allowed=False, why="no such user")
        if request.wish == "publish" and (not request.topic or any(sign in request.topic for sign in "+#")):
            return Verdict(allowed=False, why="not a topic")
        if request.wish == "publish" and request.topic.startswith("$"):
            return Verdict(allowed=False, why="HiveMQ takes nothing on topics that begin with '$'")
        fits = {"publish": _publishes, "subscribe": _subscribes, "receive": _hears}[request.wish]
        for permission in self._permissions(request):
            if fits(permission, request):
                return Verdict(allowed=True, why=permission.text)
        return Verdict(allowed=False, why="no permission fits")

    def _permissions(self, request: Request) -> Iterator[Permission]:
        names = {"clientid": request.client_id, "username": request.user}
        for role in self.users[request.user]:
            for each in self.roles.get(role, ()):
                topic = _PLACEHOLDER.sub(lambda found: names[found[1].lower()], each.topic)
                yield Permission(topic, each.activity, each.qos, each.retain, each.shared, each.group)


def _publishes(permission: Permission, request: Request) -> bool:
    return (
        permission.activity in ("PUBLISH", "ALL")
        and request.qos in LEVELS[permission.qos]
        and permission.retain in ("ALL", "RETAINED" if request.retain else "NOT_RETAINED")
        and implies(permission.topic, request.topic)
    )


def _subscribes(permission: Permission, request: Request) -> bool:
    wanted = unshared(request.topic)
    if wanted != request.topic:
        group = request.topic.split("/")[1]
        if permission.shared == "NOT_SHARED" or permission.group not in ("#", group):
            return False
    elif permission.shared == "SHARED":
        return False
    return (
        permission.activity in ("SUBSCRIBE", "ALL")
        and request.qos in LEVELS[permission.qos]
        and implies(permission.topic, wanted)
    )


def _hears(permission: Permission, request: Request) -> bool:
    """Whether some subscription that the permission allows gets the message: by its own filter, or a widened one."""
    if permission.activity not in ("SUBSCRIBE", "ALL"):
        return False
    levels = permission.topic.split("/")
    wider = [permission.topic, request.topic]
    if levels[-1] == "+":
        wider.append("/".join([*levels[:-1], "#"]))
    if levels[-2:] == ["+", "#"]:
        wider.append("/".join([*levels[:-2], "#"]))
    return any(implies(permission.topic, each) and matches(each, request.topic) for each in wider)


def implies(permission: str, wanted: str) -> bool:
    """Whether a permission's filter takes a topic, or the filter of a SUBSCRIBE, which is taken for a topic.

    `$` is nothing special, `+` takes the level `#`, and a `/` at the end is cut off where there is no wildcard.
    """
    stripped = permission.rstrip("/")
    if "+" not in stripped and "#" not in stripped:
        return stripped == (wanted.rstrip("/") if len(wanted) > 1 else wanted)
    if "#" in stripped and not stripped.endswith("/#") and len(stripped) > 1:
        return False
    have, want = stripped.split("/"), wanted.split("/")
    for level, other in zip(have, want, strict=False):
        if level == other or level == "+":
            continue
        return level == "#"
    return len(have) == len(want) or (len(have) - len(want) == 1 and have[-1] == "#")


def read_credentials(text: str) -> RoleFile:
    """Read the community extension's `credentials.xml`.

    Raises:
        NexusError: NX7036, the extension would not take the file, and would keep the one before in force.
    """
    root = _parse(text, "file-rbac")
    roles = _roles(root.find("roles"), ELEMENTS)
    users: dict[str, tuple[str, ...]] = {}
    for user in _children(root.find("users"), "user"):
        name = _word(user, "name")
        mine = tuple(role.text or "" for role in _children(user.find("roles"), "id"))
        if not name or name in users:
            raise _bad(f"a user without a name, or twice: '{name}'")
        if not _PASSWORD.match(_word(user, "password")):
            raise _bad(f"user '{name}' without a hashed password (salt:iterations:key)")
        if not mine or any(role not in roles for role in mine):
            raise _bad(f"user '{name}' without roles, or with one that is not there")
        users[name] = mine
    if not users or not roles:
        raise _bad("no users or no roles")
    return RoleFile(roles, users)


def read_realm(text: str) -> RoleFile:
    """Read the Enterprise extension's file realm: who may what of its `mqtt` part.

    A role that no user of the file has counts as one of a user of its own name (that is how the users are to be added).

    Raises:
        NexusError: NX7036, it is not such a file.
    """
    mqtt = _parse(text, "ese-file-realm").find("mqtt")
    if mqtt is None:
        raise _bad("no <mqtt>")
    roles = dict(_roles(mqtt.find("roles"), ELEMENTS))
    users: dict[str, tuple[str, ...]] = {name: (name,) for name in roles}
    for user in _children(mqtt.find("users"), "user"):
        name = _word(user, "name")
        own = f"user {name}"
        roles[own] = [_permission(each, ELEMENTS) for each in _children(user.find("permissions"), "permission")]
        users[name] = (own, *(role.text or "" for role in _children(user.find("roles"), "role")))
    return RoleFile(roles, users)


def _parse(text: str, root: str) -> ElementTree.Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise _bad("a document type")
    try:
        found = ElementTree.fromstring(text)  # noqa: S314 - entities are refused above
    except ElementTree.ParseError as error:
        raise _bad(str(error)) from None
    if found.tag != root:
        raise _bad(f"<{found.tag}> instead of <{root}>")
    return found


def _roles(parent: ElementTree.Element | None, known: Sequence[str]) -> dict[str, list[Permission]]:
    roles: dict[str, list[Permission]] = {}
    for role in _children(parent, "role"):
        name = _word(role, "id")
        permissions = [_permission(each, known) for each in _children(role.find("permissions"), "permission")]
        if not name or name in roles or not permissions:
            raise _bad(f"a role without an id or permissions, or twice: '{name}'")
        roles[name] = permissions
    return roles


def _permission(element: ElementTree.Element, known: Sequence[str]) -> Permission:
    words = {child.tag: (child.text or "").strip() for child in element}
    if set(words) - set(known):
        raise _bad(f"<{sorted(set(words) - set(known))[0]}> in a permission")
    topic = words.get("topic", "")
    if not topic or topic.startswith("$share/") or not _valid(topic):
        raise _bad(f"'{topic[:200]}' is no filter of a permission")
    for name, choices in CHOICES.items():
        if words.get(name, "ALL") not in choices:
            raise _bad(f"'{words[name][:60]}' in <{name}>")
    group = words.get("shared-group", "#")
    if not group or (group != "#" and any(sign in group for sign in "#+/")):
        raise _bad(f"'{group[:60]}' in <shared-group>")
    activity, qos, retain, shared = (words.get(name, "ALL") for name in CHOICES)
    return Permission(topic, activity, qos, retain, shared, group)


def _valid(topic: str) -> bool:
    levels = topic.split("/")
    return all(
        level == "+" or (level == "#" and position == len(levels) - 1) or not set("+#") & set(level)
        for position, level in enumerate(levels)
    )


def _children(parent: ElementTree.Element | None, tag: str) -> list[ElementTree.Element]:
    return [] if parent is None else parent.findall(tag)


def _word(parent: ElementTree.Element, tag: str) -> str:
    return parent.findtext(tag) or ""


def _bad(problem: str) -> NexusError:
    return NexusError("HiveMQ would not take this role file.", code="NX7036", cause=problem)
