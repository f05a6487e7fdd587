"""What a caller holds: scopes of the API, and the names and paths that its roles give.

NEXUS's own principals have fixed rights; those of declared users are computed from their roles (`principals`).

See docs/decisions/0072.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from nexus_cli.access.encrypted import RESTRICTED
from nexus_cli.access.globs import matches_glob, names_matching
from nexus_cli.access.grants import CLI, CONTROL, HISTORIAN, WEB, WORKER, gateway_principal
from nexus_cli.access.lines import Line, TagFacts, lines_of, means, names_of, reaches
from nexus_cli.model.access_config import DenyConfig, RoleConfig
from nexus_cli.wire.control_access import SCOPES

Named = Literal["run", "acknowledge", "alerts", "publish"]
"""Rights that are given by name of a sequence, an alert or a message."""
PLATFORM = "platform"
USER = "user"
APPLICATION = "application"
GATEWAY = gateway_principal("")
WHOLE = "**"

EVERY_SCOPE = frozenset(SCOPES)
_READER = frozenset({"state:read", "deployments:read", "alerts:read", "gateway:read", "audit:read"})
_EVERYBODY = frozenset(
    {"alerts:read", "alerts:ack", "sequences:run", "messages:publish", "values:read", "values:write"}
)
"""Of each declared user and application: its roles say for which names and paths."""
_READING = ("read", "subscribe")
_CHANGES = frozenset({"state:read", "deployments:read", "gateway:read", "audit:read", "apply"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The rights of a caller at one moment.

    Attributes:
        kind: `platform`, `user`, `application`, or "" of one that is not declared.
        scopes: Names of `SCOPES`.
        globs: Globs of names, by right.
        denied: Globs of names that no role gives.
        apply: Path globs of what a deployment may change.
        admin: Everything; the access resources, too.
        roles: Names of the roles, for people.
        lines: Of the roles, those on alerts and on writing, and those that deny reading: an alert shows its tag.
    """

    kind: str = ""
    scopes: frozenset[str] = frozenset()
    globs: Mapping[Named, tuple[str, ...]] = field(default_factory=dict)
    denied: Mapping[Named, tuple[str, ...]] = field(default_factory=dict)
    apply: tuple[str, ...] = ()
    admin: bool = False
    roles: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()

    def shows(self, right: Named, name: str, tag: TagFacts | None) -> bool:
        """True when the class of an alert's tag, and what is denied of it, let a right on the alert hold.

        Args:
            right: `alerts` or `acknowledge`; `names` says whether a role gives it.
            name: Of the alert.
            tag: Its tag; None of one that is not recorded any more, which counts as restricted.
        """
        if self.kind == PLATFORM or self.admin:
            return True
        if tag is not None and any(line.deny and line.right in _READING and means(line, tag) for line in self.lines):
            return False
        rights = {right, "acknowledge"}
        shown = tag.classification if tag is not None else RESTRICTED
        given = (line for line in self.lines if not line.deny and line.right in rights)
        return any(names_of(line, (name,)) and reaches(line, shown) for line in given)

    def serves(self, device: str, tags: Iterable[TagFacts]) -> bool:
        """True when it may take a device out of service: a role writes one of its tags, or `apply` covers the device.

        Args:
            device: `area/line/device`.
            tags: Of the device; none of one that is not recorded.
        """
        if self.admin or any(matches_glob(glob, device) for glob in self.apply):
            return True
        return any(tag.writable and not tag.external and self._writes(tag) for tag in tags)

    def _writes(self, tag: TagFacts) -> bool:
        mine = [line for line in self.lines if line.right == "write" and means(line, tag)]
        return any(reaches(line, tag.classification) for line in mine if not line.deny) and not any(
            line.deny for line in mine
        )

    def names(self, right: Named, among: Iterable[str]) -> set[str]:
        """Those of the names on which a right is held."""
        wanted = set(among)
        given = _matching(self.globs.get(right, ()), wanted)
        return given - _matching(self.denied.get(right, ()), given)


NOTHING = Held()


def _matching(globs: Iterable[str], names: set[str]) -> set[str]:
    return {name for glob in globs for name in names_matching(glob, names)}


def held_by_platform(principal: str) -> Held:
    """The fixed rights of one of NEXUS's own principals; an unknown one has none."""
    every: dict[Named, tuple[str, ...]] = dict.fromkeys(("run", "acknowledge", "alerts", "publish"), ("*",))
    if principal in (CONTROL, CLI):
        return Held(kind=PLATFORM, scopes=EVERY_SCOPE, globs=every, apply=(WHOLE,), admin=True)
    if principal in (HISTORIAN, WEB, WORKER):
        return Held(kind=PLATFORM, scopes=_READER, globs={"alerts": ("*",)})
    if principal.startswith(GATEWAY):
        return Held(kind=PLATFORM, scopes=frozenset({"gateway:read"}))
    return Held(kind=PLATFORM)


def held_by_roles(roles: Mapping[str, RoleConfig], *, kind: str) -> Held:
    """The rights that roles give together; what one of them denies no other gives.

    Args:
        roles: By name.
        kind: `user` or `application`.
    """
    given = list(roles.values())
    admin = any(role.admin for role in given)
    apply = (WHOLE,) if admin else tuple(dict.fromkeys(glob for role in given for glob in role.apply))
    scopes = set(_EVERYBODY)
    if kind == USER and given:  # whose period is over makes no tokens
        scopes.add("tokens:own")
    if apply:
        scopes |= _CHANGES
    if apply or any(role.write for role in given):
        scopes.add("devices:service")
    if WHOLE in apply:
        scopes.add("lock:break")
    globs: dict[Named, list[str]] = {"run": [], "acknowledge": [], "alerts": [], "publish": []}
    denied: dict[Named, list[str]] = {"run": [], "acknowledge": [], "alerts": [], "publish": []}
    for role in given:
        _add(globs, role)
        _deny(denied, role.deny or DenyConfig())
    if admin:
        globs = {right: ["*"] for right in globs}
    return Held(
        kind=kind,
        scopes=EVERY_SCOPE if admin else frozenset(scopes),
        globs={right: tuple(found) for right, found in globs.items()},
        denied={right: tuple(found) for right, found in denied.items()},
        apply=apply,
        admin=admin,
        roles=tuple(roles),
        lines=tuple(line for name, role in roles.items() for line in lines_of(name, role) if _is_kept(line)),
    )


def _is_kept(line: Line) -> bool:
    return line.right in ("write", *_READING) if line.deny else line.right in ("write", "alerts", "acknowledge")


def _add(globs: dict[Named, list[str]], role: RoleConfig) -> None:
    """The right to acknowledge an alert includes the right to see it."""
    globs["run"] += role.run
    globs["acknowledge"] += role.acknowledge
    globs["alerts"] += [*role.alerts, *role.acknowledge]
    globs["publish"] += role.publish


def _deny(denied: dict[Named, list[str]], deny: DenyConfig) -> None:
    """Who may not see an alert may not acknowledge it."""
    denied["run"] += deny.run
    denied["acknowledge"] += [*deny.acknowledge, *deny.alerts]
    denied["alerts"] += deny.alerts
    denied["publish"] += deny.publish
