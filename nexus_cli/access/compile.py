"""From a snapshot to grants: each role process its own topics, each user what its roles say.

A gateway gets its own devices' topics, as whole lines or areas where it owns them all (brokers limit the number of
rules).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nexus_cli.access.aliases import alias_grants, with_old_paths
from nexus_cli.access.globs import widens
from nexus_cli.access.grants import CLI, CONTROL, HISTORIAN, WEB, WORKER, Grant, gateway_principal, join
from nexus_cli.access.people import ANY_TIME, Moment
from nexus_cli.access.role_grants import user_grants
from nexus_cli.access.tree import Tree
from nexus_cli.model.procedure_config import MessageConfig, filter_of
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import Topics

__all__ = ["ANY_TIME", "Moment", "compile_grants", "owned_prefixes"]


def compile_grants(snapshot: Snapshot, *, users: bool = True, when: Moment = ANY_TIME) -> tuple[Grant, ...]:
    """Every grant of a site, sorted, none twice.

    Args:
        snapshot: What is declared (or recorded).
        users: False leaves the declared users out (before anything was applied).
        when: For users whose rights begin and end.
    """
    topics = Topics(snapshot.enterprise, snapshot.site)
    tree = Tree.of(with_old_paths(snapshot))
    grants = [*_platform(topics), *_gateways(topics, snapshot, tree), *_messages(snapshot)]
    if snapshot.resources.get("site", {}).get("replay_of"):
        played = [f"{topics.live}/#", f"{topics.platform}/data/#"]
        grants += _grants(CLI, "nexus replay", publish=played)
    if users:
        grants += user_grants(topics, snapshot, tree, when)
    return join(grants, alias_grants(grants, snapshot, topics))


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
            # Its look for drift has gateways check their devices.
            topics.browse("+", CONTROL),
        ],
        subscribe=[
            f"{topics.live}/#",
            topics.alert("+"),
            topics.config("+"),
            topics.observed("+"),
            topics.committed("+"),
            f"{topics.platform}/health/#",
            # The last level is the id of a command: `+` behind another `+` is not bounded everywhere (`globs.widens`).
            topics.response("+", CONTROL, "#"),
            topics.canary(CONTROL),
        ],
    )
    yield Grant(CONTROL, "publish", topics.command("+/+/+/+", CONTROL), "steps of sequences", retain=False)
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
        publish=[topics.browse("+", CLI)],
        subscribe=[f"{topics.live}/#", f"{topics.platform}/#"],
    )
    # What is not `writable` the gateways refuse: one rule here, instead of one for each tag at the broker.
    yield Grant(CLI, "publish", topics.command("+/+/+/+", CLI), "nexus on this machine", retain=False)
    yield from _grants(
        WEB,
        "role web",
        publish=[topics.canary(WEB), topics.health("web", "+")],
        subscribe=[
            f"{topics.live}/#",
            topics.alert("+"),
            f"{topics.platform}/health/#",
            topics.observed("+"),
            topics.response("+", WEB, "#"),
            topics.canary(WEB),
        ],
    )
    yield from _grants(
        WORKER,
        "role worker",
        publish=[topics.health("worker", "+"), topics.browse("+", WORKER)],
        subscribe=[topics.response("+", WORKER, "#")],
    )
    # For its callers, whose own rights it has looked at before; who it was is in the command (decision 0077).
    yield Grant(WEB, "publish", topics.command("+/+/+/+", WEB), "commands of people", retain=False)


def _messages(snapshot: Snapshot) -> Iterator[Grant]:
    """Declared messages: by control, for sequences and for callers, whose names are in the audit trail."""
    for name, message in every(snapshot, "message", MessageConfig):
        filter_ = filter_of(message.topic)
        yield Grant(CONTROL, "publish", filter_, f"message {name}")
        if not widens(filter_):  # which a broker would read as a wider one
            yield Grant(WEB, "subscribe", filter_, f"message {name}, for callers who may hear it")


def _gateways(topics: Topics, snapshot: Snapshot, tree: Tree) -> Iterator[Grant]:
    owners = {path: place.gateway for path, place in tree.places.items()}
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
