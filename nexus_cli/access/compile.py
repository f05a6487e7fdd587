"""From a snapshot to grants: each role process its own topics, each user what its roles say.

A gateway gets its own devices' topics, as whole lines or areas where it owns them all (brokers limit the number of
rules).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nexus_cli.access.globs import filters_of, has_partial_level, names_matching, overlap
from nexus_cli.access.grants import CLI, CONTROL, HISTORIAN, RESERVED, Action, Grant, gateway_principal, join
from nexus_cli.model.access_config import RoleConfig, UserConfig, glob_of
from nexus_cli.model.config import DeviceOutline
from nexus_cli.model.procedure_config import MessageConfig, filter_of
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import Topics, glob_to_filter

_LEVEL = re.compile(r"[A-Za-z0-9._@-]+\Z")
NO_RIGHTS = RoleConfig()
"""Of a role that is not declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When rights are asked for, and who was given more for a while.

    Attributes:
        at_us: µs since 1970 UTC; None leaves periods and hours out of account: everybody as if it were their time.
        elevated: Until when each user has the role `admin`, too, in µs since 1970 UTC (`nexus access elevate`).
    """

    at_us: int | None = None
    elevated: Mapping[str, int] = field(default_factory=dict)


ANY_TIME = Moment()


def compile_grants(snapshot: Snapshot, *, users: bool = True, when: Moment = ANY_TIME) -> tuple[Grant, ...]:
    """Every grant of a site, sorted, none twice.

    Args:
        snapshot: What is declared (or recorded).
        users: False leaves the declared users out (before anything was applied).
        when: For users whose rights begin and end.
    """
    topics = Topics(snapshot.enterprise, snapshot.site)
    devices = dict(every(snapshot, "device", DeviceOutline))
    grants = [*_platform(topics), *_gateways(topics, snapshot, devices), *_messages(snapshot)]
    if users:
        grants += _users(topics, snapshot, devices)
    return join(grants)


def _grants(principal: str, why: str, *, publish: Iterable[str] = (), subscribe: Iterable[str] = ()) -> Iterator[Grant]:
    yield from (Grant(principal, "publish", filter_, why) for filter_ in publish)
    yield from (Grant(principal, "subscribe", filter_, why) for filter_ in subscribe)


def _platform(topics: Topics) -> Iterator[Grant]:
    """The roles that serve the whole site, and the command line of the person who runs it."""
    yield from _grants(
        CONTROL,
        "role control",
        # BAD gateway_lost, and clearing the retained messages of what was removed or renamed.
        publish=[
            f"{topics.live}/#",
            topics.config("+"),
            topics.alert("+"),
            topics.gap("+"),
            topics.health("control", "+"),
            # What a broker kept of gateways that are gone is cleared.
            topics.observed("+"),
            topics.committed("+"),
            topics.health("gateway", "+"),
            topics.canary(CONTROL),
            # The steps of sequences.
            topics.command("+/+/+/+", CONTROL),
        ],
        subscribe=[f"{topics.live}/#", f"{topics.platform}/#"],
    )
    yield from _grants(
        HISTORIAN,
        "role historian",
        publish=[topics.committed("+"), topics.health("historian", "+"), topics.canary(HISTORIAN)],
        subscribe=[
            f"{topics.platform}/data/#",
            topics.gap("+"),
            topics.audit("+"),
            topics.committed("+"),
            topics.config("+"),
            topics.canary(HISTORIAN),
            # External tags arrive on their live topics.
            f"{topics.live}/#",
        ],
    )
    yield from _grants(
        CLI,
        "nexus on this machine",
        # What is not `writable` the gateways refuse: one rule here, instead of one for each tag at the broker.
        publish=[topics.command("+/+/+/+", CLI), topics.browse("+", CLI)],
        subscribe=[f"{topics.live}/#", f"{topics.platform}/#"],
    )


def _messages(snapshot: Snapshot) -> Iterator[Grant]:
    """Declared messages: by control, for sequences and for callers, whose names are in the audit trail."""
    for name, message in every(snapshot, "message", MessageConfig):
        yield Grant(CONTROL, "publish", filter_of(message.topic), f"message {name}")


def _gateways(topics: Topics, snapshot: Snapshot, devices: Mapping[str, DeviceOutline]) -> Iterator[Grant]:
    owners = {path: device.gateway for path, device in devices.items()}
    names = {name for name, _ in snapshot.of_kind("gateway")} | {name for name in owners.values() if name}
    for name in sorted(names):
        principal = gateway_principal(name)
        own = owned_prefixes(owners, name)
        yield from _grants(
            principal,
            f"gateway {name}",
            publish=[
                topics.batches(name),
                f"{topics.platform}/data/{name}/#",
                topics.gap(name),
                topics.audit(name),
                topics.observed(name),
                topics.health("gateway", name),
                topics.canary(principal),
                topics.response(name, "+", "+"),
            ],
            subscribe=[
                topics.config(name),
                topics.committed(name),
                topics.observed(name),
                topics.health("gateway", name),
                topics.canary(principal),
                topics.browse(name, "+"),
            ],
        )
        for prefix in own:
            yield Grant(principal, "publish", topics.tag(f"{prefix}/#"), f"gateway {name} reads {prefix}")
            yield Grant(
                principal, "subscribe", f"{topics.platform}/cmd/{prefix}/#", f"gateway {name} carries out {prefix}"
            )
            yield Grant(
                principal, "publish", f"{topics.platform}/cmd/{prefix}/#", f"gateway {name} clears retained commands"
            )


def owned_prefixes(owners: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The shortest list of areas, lines and devices that covers a gateway's devices and no other's.

    Args:
        owners: Gateway by device path (`area/line/device`); "" for devices that no gateway reads.
        name: The gateway.
    """
    mine = [path for path, owner in owners.items() if owner == name]
    foreign: set[str] = set()
    for path, owner in owners.items():
        if owner != name:
            area, line, _ = path.split("/", 2)
            foreign.update((area, f"{area}/{line}"))
    found = set()
    for path in mine:
        area, line, _ = path.split("/", 2)
        found.add(next((prefix for prefix in (area, f"{area}/{line}") if prefix not in foreign), path))
    return tuple(sorted(found))


def _users(topics: Topics, snapshot: Snapshot, devices: Mapping[str, DeviceOutline]) -> Iterator[Grant]:
    roles = dict(every(snapshot, "role", RoleConfig))
    tag_paths = [f"{path}/{tag}" for path, device in devices.items() for tag in device.tags]
    external = {path for path, device in devices.items() if device.protocol == "external"}
    outside = [glob for path in external for glob in devices[path].globs]
    topic_of = {name: message.topic for name, message in every(snapshot, "message", MessageConfig)}
    alerts = [name for name, _ in snapshot.of_kind("alert")]
    for user, config in every(snapshot, "user", UserConfig):
        if user.startswith(RESERVED):
            continue
        for role in config.every_role():
            rights = roles.get(role, NO_RIGHTS)
            for glob in map(glob_of, rights.read):
                more = _rules_within(glob, outside) if has_partial_level(glob) else ()
                for filter_ in (*filters_of(glob, tag_paths), *more):
                    yield Grant(user, "subscribe", topics.tag(filter_), f"role {role}, read {glob}")
            for glob in map(glob_of, rights.write):
                why = f"role {role}, write {glob}"
                yield from _writes(topics, user, glob, why, tag_paths, external)
                for filter_ in _rules_within(glob, outside):
                    yield Grant(user, "publish", topics.tag(filter_), why)
            messages: tuple[tuple[Action, list[str]], ...] = (
                ("publish", rights.publish),
                ("subscribe", rights.subscribe),
            )
            for action, globs in messages:
                for glob in globs:
                    for name in names_matching(glob, topic_of):
                        yield Grant(user, action, filter_of(topic_of[name]), f"role {role}, {action} {glob}")
            for right, globs in (("alerts", rights.alerts), ("acknowledge", rights.acknowledge)):
                for glob in globs:
                    for name in ["+"] if glob == "*" else names_matching(glob, alerts):
                        yield Grant(user, "subscribe", topics.alert(name), f"role {role}, {right} {glob}")


def is_rule(glob: str) -> bool:
    """True when a broker's rule can say a glob of topics: whole wildcards, and levels that every renderer takes."""
    return all(level in ("*", "**") or _LEVEL.match(level) for level in glob.split("/"))


def _rules_within(glob: str, outside: Iterable[str]) -> tuple[str, ...]:
    """The filters of what a role's glob and others' topics both mean; what no rule can say is left out (NX2610)."""
    shared = {both for each in outside if (both := overlap(glob, each)) is not None and is_rule(both)}
    return tuple(sorted(glob_to_filter(each) for each in shared))


def _writes(
    topics: Topics, user: str, glob: str, why: str, tag_paths: Sequence[str], external: set[str]
) -> Iterator[Grant]:
    """A write is a command whose last level is the user's own name; to an external tag it is the tag topic itself."""
    for filter_ in filters_of(glob, tag_paths, exact=True):
        yield Grant(user, "publish", topics.command(filter_, user), why)
        yield Grant(user, "subscribe", topics.response("+", user, "+"), why)
    outside = [path for path in tag_paths if path.rpartition("/")[0] in external]
    for filter_ in filters_of(glob, outside, exact=True, literal=True):
        yield Grant(user, "publish", topics.tag(filter_), why)
