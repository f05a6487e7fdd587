"""The lines of roles, one right each, and what each says of a tag or a name: the lines that answers point at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nexus_cli.access.globs import level_fits, matches_glob, names_matching
from nexus_cli.access.tree import clearance_of, rank_of
from nexus_cli.diagnostics import ModelPath
from nexus_cli.model.access import DEFAULT_CLASS
from nexus_cli.model.access_config import DenyConfig, RoleConfig, ScopeConfig
from nexus_cli.model.config import DeviceOutline
from nexus_cli.model.external import EXTERNAL
from nexus_cli.model.resources import SiteConfig, decode, every
from nexus_cli.model.shipped_roles import SHIPPED
from nexus_cli.model.snapshot import Snapshot

Right = Literal["read", "write", "publish", "subscribe", "run", "acknowledge", "alerts", "apply", "admin"]
RIGHTS: tuple[Right, ...] = ("read", "write", "publish", "subscribe", "run", "acknowledge", "alerts", "apply", "admin")
TAG_RIGHTS: tuple[Right, ...] = ("read", "write", "apply")
"""Rights on tags, by path."""
NAME_RIGHTS: tuple[Right, ...] = ("publish", "subscribe", "run", "acknowledge", "alerts")
"""Rights on messages, sequences and alerts, by name."""
_NOT_CLASSED = frozenset({"apply", "admin", "run"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One right that a role's line gives, or takes.

    Attributes:
        role: Whose line it is.
        right: What it is about.
        deny: True when it takes.
        scope: Which tags, or which names (its `path`).
        clearance: Highest class of data that it reaches.
        where: Place in the site's model.
    """

    role: str
    right: Right
    scope: ScopeConfig
    deny: bool = False
    clearance: str = DEFAULT_CLASS
    where: ModelPath = ()

    @property
    def text(self) -> str:
        """`write packaging/**`, or `deny write packaging/** (labels zone=1)`."""
        asks = [f"labels {', '.join(f'{key}={value}' for key, value in sorted(self.scope.labels.items()))}"]
        asks = asks if self.scope.labels else []
        asks += [f"protocol {self.scope.protocol}"] if self.scope.protocol else []
        asks += [f"gateway {self.scope.gateway}"] if self.scope.gateway else []
        asks += [f"{'from' if self.deny else 'up to'} {self.scope.classification}"] if self.scope.classification else []
        word = f"deny {self.right}" if self.deny else self.right
        what = "" if self.right == "admin" else f" {self.scope.path}"
        return f"{word}{what}" + (f" ({'; '.join(asks)})" if asks else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFacts:
    """What rights ask of a tag.

    Attributes:
        path: `area/line/device/tag`.
        protocol, gateway: Of its device.
        labels: Of its device, line and area; the nearest wins.
        classification: Class of its data.
        writable: Whether it takes commands; of an external tag always.
        external: Whether another system publishes it.
    """

    path: str
    protocol: str = ""
    gateway: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    classification: str = DEFAULT_CLASS
    writable: bool = False
    external: bool = False


def lines_of(name: str, role: RoleConfig) -> tuple[Line, ...]:
    """The lines of a role, those that give before those that take, in the order of the file."""
    clearance = role.clearance or DEFAULT_CLASS
    given = list(_lines(name, role, ("access", "roles", name), clearance=clearance))
    if role.admin:
        where: ModelPath = ("access", "roles", name, "admin")
        given.append(Line(role=name, right="admin", scope=ScopeConfig(), clearance=clearance, where=where))
    if role.deny is not None:
        given += _lines(name, role.deny, ("access", "roles", name, "deny"), clearance=clearance, deny=True)
    return tuple(given)


def _lines(
    name: str, config: RoleConfig | DenyConfig, base: ModelPath, *, clearance: str, deny: bool = False
) -> Iterator[Line]:
    for right in RIGHTS[:-1]:
        for position, one in enumerate(getattr(config, right, ())):
            scope = one if isinstance(one, ScopeConfig) else ScopeConfig(path=one)
            where: ModelPath = (*base, right, position)
            yield Line(role=name, right=right, scope=scope, deny=deny, clearance=clearance, where=where)


def roles_of(snapshot: Snapshot) -> dict[str, RoleConfig]:
    """The roles of a site by name."""
    return dict(every(snapshot, "role", RoleConfig))


def is_shipped(name: str, role: RoleConfig) -> bool:
    """True when a role is as NEXUS ships it: nothing in the site file says it."""
    shipped = SHIPPED.get(name)
    return shipped is not None and role.description == shipped.description and list(role.read) == list(shipped.read)


def tag_facts(snapshot: Snapshot) -> dict[str, TagFacts]:
    """What rights ask of each declared tag, by path."""
    found: dict[str, TagFacts] = {}
    labels = decode(dict(snapshot.resources.get("site", _no_site(snapshot))), SiteConfig).labels
    for path, device in every(snapshot, "device", DeviceOutline):
        area, _, rest = path.partition("/")
        own = {**labels.get(area, {}), **labels.get(f"{area}/{rest.partition('/')[0]}", {}), **device.labels}
        external = device.protocol == EXTERNAL
        for name, tag in device.tags.items():
            found[f"{path}/{name}"] = TagFacts(
                path=f"{path}/{name}",
                protocol=device.protocol,
                gateway=device.gateway,
                labels=own,
                classification=str(tag.get("classification") or DEFAULT_CLASS),
                writable=external or bool(tag.get("writable", False)),
                external=external,
            )
    return found


def _no_site(snapshot: Snapshot) -> Mapping[str, Any]:
    return {"enterprise": snapshot.enterprise, "site": snapshot.site}


def means(line: Line, tag: TagFacts) -> bool:
    """True when a line is about a tag, whatever the role's clearance."""
    scope, rank = line.scope, rank_of(tag.classification)
    if line.right in ("publish", "subscribe") and ("/" not in scope.path or not _by_topic(line, tag)):
        return False
    return (
        matches_glob(scope.path, tag.path)
        and scope.protocol in ("", tag.protocol)
        and (not scope.gateway or (tag.gateway != "" and level_fits(scope.gateway, tag.gateway)))
        and all(tag.labels.get(key) == value for key, value in scope.labels.items())
        and (not scope.classification or _within(line, rank))
    )


def _by_topic(line: Line, tag: TagFacts) -> bool:
    """Paths of topics are about external devices; to deny the topic of a tag denies the tag."""
    return tag.external or (line.deny and line.right == "subscribe")


def _within(line: Line, rank: int) -> bool:
    """A class in a right is the highest that it means; in a denial the lowest."""
    if line.deny:
        return rank >= rank_of(line.scope.classification)
    return rank <= clearance_of(line.scope.classification)


def reaches(line: Line, classification: str) -> bool:
    """True when the role's clearance covers a class of data; who denies or applies needs none."""
    return line.deny or line.right in _NOT_CLASSED or rank_of(classification) <= clearance_of(line.clearance)


def names_of(line: Line, names: Iterable[str]) -> tuple[str, ...]:
    """The messages, sequences or alerts that a line is about."""
    return () if "/" in line.scope.path else names_matching(line.scope.path, names)
