"""What the roles of each user come to at the broker: tags, commands, external topics, messages and alerts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from nexus_cli.access.denials import Denials, denials_of, is_path
from nexus_cli.access.globs import LEVELS, filters_of, has_partial_level, names_matching, overlap, shortened, widens
from nexus_cli.access.grants import Action, Grant
from nexus_cli.access.people import Held, Moment, people
from nexus_cli.access.scopes import Cover, Denied, Right, cover, denied_by, reach, scope_of
from nexus_cli.access.tree import Tree, clearance_of
from nexus_cli.model.access import CLASSES
from nexus_cli.model.access_config import ScopeConfig, glob_of
from nexus_cli.model.procedure_config import MessageConfig, filter_of
from nexus_cli.model.resources import AlertConfig, every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import Topics, glob_to_filter, meet

_LEVEL = re.compile(r"[A-Za-z0-9._@-]+\Z")


def user_grants(topics: Topics, snapshot: Snapshot, tree: Tree, when: Moment) -> Iterator[Grant]:
    """The grants of every declared user at a moment, in no order."""
    site = _Site(topics, snapshot, tree)
    for person in people(snapshot, when):
        denials = denials_of(held.config for held in person.roles)
        for held in person.roles:
            yield from site.grants(person.name, held, denials)


class _Site:
    """What is asked for each role of each user; what was computed for one user serves the next."""

    def __init__(self, topics: Topics, snapshot: Snapshot, tree: Tree) -> None:
        self._topics, self._tree = topics, tree
        self._messages = {name: filter_of(one.topic) for name, one in every(snapshot, "message", MessageConfig)}
        self._alert_tags = {name: alert.paths() for name, alert in every(snapshot, "alert", AlertConfig)}
        self._alerts = {name: max(tree.rank(tag) for tag in tags or ("",)) for name, tags in self._alert_tags.items()}
        self._denied: dict[str, Denied] = {}
        self._whole: dict[tuple[str, str, int], bool] = {}
        self._covers: dict[tuple[str, str, int, bool], Cover] = {}

    def grants(self, user: str, held: Held, denials: Denials) -> Iterator[Grant]:
        role, via = held.config, "" if held.via == "role" else f" ({held.via})"
        name = f"role {held.name}{via}"
        read = self._denied_by(denials.read)
        for right in role.read:
            yield from self._read(user, right, role.clearance, read, f"{name}, read {text_of(right)}")
        for glob in filter(is_path, role.subscribe):
            found = self._cover(glob, role.clearance, read, external_only=True)
            yield from self._subscribe(user, found, f"{name}, subscribe {glob}")
        write, publish = self._denied_by(denials.write), self._denied_by((*denials.write, *denials.topics))
        for right in role.write:
            why = f"{name}, write {text_of(right)}"
            yield from self._command(user, right, role.clearance, write, why)
            yield from self._publish(user, right, role.clearance, publish, why)
        for glob in filter(is_path, role.publish):
            yield from self._publish(user, glob, role.clearance, publish, f"{name}, publish {glob}")
        yield from self._named(user, "publish", role.publish, denials.publish, name)
        yield from self._named(user, "subscribe", role.subscribe, denials.subscribe, name)
        for word, globs in (("alerts", role.alerts), ("acknowledge", role.acknowledge)):
            for glob in globs:
                for alert in self._alerts_of(glob, role.clearance, denials):
                    yield Grant(user, "subscribe", self._topics.alert(alert), f"{name}, {word} {glob}")

    def _read(self, user: str, right: Right, clearance: str, denied: Denied, why: str) -> Iterator[Grant]:
        glob = shortened(glob_of(right))
        if not self._open(right, clearance, denied) or has_partial_level(glob):
            yield from self._subscribe(user, self._cover(right, clearance, denied), why)
            return
        plain = filters_of(glob, self._tree.paths)
        if any(map(widens, plain)):
            yield from self._subscribe(user, self._cover(right, clearance, denied), why)
            return
        deep = rules_within(glob, self._tree.outside) if len(glob.split("/")) > LEVELS else ()
        for filter_ in (*plain, *(one for one in deep if not widens(one))):
            yield Grant(user, "subscribe", self._topics.tag(filter_), why)

    def _subscribe(self, user: str, found: Cover, why: str) -> Iterator[Grant]:
        filters = [*(f"{prefix}/#" if prefix else "#" for prefix in found.subtrees), *found.tags]
        filters += [filter_ for filter_ in rules_of(found.outside) if not widens(filter_)]
        for filter_ in filters:
            yield Grant(user, "subscribe", self._topics.tag(filter_), why)

    def _command(self, user: str, right: Right, clearance: str, denied: Denied, why: str) -> Iterator[Grant]:
        """A write is a command whose last level is the user's own name, which no broker may keep."""
        if self._open(right, clearance, denied) and not has_partial_level(glob_of(right)):
            filters: Sequence[str] = filters_of(glob_of(right), self._tree.paths, exact=True)
        else:
            found = self._cover(right, clearance, denied)
            inside = [path for path in found.tags if not self._tree.external(path)]
            filters = [*map(_any_tag_below, found.subtrees), *inside]
        for filter_ in filters:
            yield Grant(user, "publish", self._topics.command(filter_, user), why, retain=False)
        if filters:
            # The last level is the id of a command: `+` behind another `+` is not bounded everywhere (`widens`).
            yield Grant(user, "subscribe", self._topics.response("+", user, "#"), why)

    def _publish(self, user: str, right: Right, clearance: str, denied: Denied, why: str) -> Iterator[Grant]:
        """A write to an external tag is a message on its own topic."""
        found = reach(self._tree, right, clearance=clearance, denied=denied, external_only=True)
        tags = [f"{path}/{tag}" for path, part in found.parts.items() for tag in part.tags]
        outside = {glob for part in found.parts.values() for glob in part.outside}
        for filter_ in (*tags, *rules_of(outside)):
            yield Grant(user, "publish", self._topics.tag(filter_), why)

    def _named(
        self, user: str, action: Action, globs: Sequence[str], denied: Sequence[str], name: str
    ) -> Iterator[Grant]:
        """Messages by name, without those whose topics a denied message may have, too."""
        refused = [self._messages[one] for glob in denied for one in names_matching(glob, self._messages)]
        for glob in globs:
            for message in names_matching(glob, self._messages):
                filter_ = self._messages[message]
                if any(meet(filter_, one) for one in refused) or (action == "subscribe" and widens(filter_)):
                    continue
                yield Grant(user, action, filter_, f"{name}, {action} {glob}")

    def _alerts_of(self, glob: str, clearance: str, denials: Denials) -> tuple[str, ...]:
        """Names of alerts; `+` where all of them are meant. An alert shows its tags: it has the
        highest of their classes, and the denials of each."""
        high = clearance_of(clearance)
        denied = {one for each in denials.alerts for one in names_matching(each, self._alerts)}
        unread = self._denied_by(denials.read)
        denied |= {name for name, tags in self._alert_tags.items() if any(unread.has(tag) for tag in tags)}
        seen = [name for name, rank in self._alerts.items() if rank <= high and name not in denied]
        if glob == "*" and len(seen) == len(self._alerts):
            return ("+",)
        return names_matching(glob, seen)

    def _open(self, right: Right, clearance: str, denied: Denied) -> bool:
        """True for a path alone of which nothing in the tree is cut out."""
        scope = scope_of(right)
        if scope != ScopeConfig(path=scope.path):
            return False
        if clearance_of(clearance) >= self._tree.highest and not denied.tags and not any(denied.globs.values()):
            return True
        key = (scope.path, clearance, id(denied))
        if key not in self._whole:
            bounded = reach(self._tree, scope, clearance=clearance, denied=denied)
            self._whole[key] = bounded == reach(self._tree, scope, clearance=CLASSES[-1])
        return self._whole[key]

    def _cover(self, right: Right, clearance: str, denied: Denied, *, external_only: bool = False) -> Cover:
        scope = scope_of(right)
        key = (repr(scope), clearance, id(denied), external_only)
        if key not in self._covers:
            found = reach(self._tree, scope, clearance=clearance, denied=denied, external_only=external_only)
            self._covers[key] = cover(found)
        return self._covers[key]

    def _denied_by(self, denials: tuple[Right, ...]) -> Denied:
        key = repr(denials)
        if key not in self._denied:
            self._denied[key] = denied_by(self._tree, denials)
        return self._denied[key]


def _any_tag_below(prefix: str) -> str:
    levels = prefix.split("/") if prefix else []
    return "/".join([*levels, *["+"] * (LEVELS - len(levels))])


def text_of(right: Right) -> str:
    """A right as the site says it: its path, then what else it asks."""
    if isinstance(right, str):
        return right
    asked = [f"{word} {value}" for word in ("protocol", "gateway", "classification") if (value := getattr(right, word))]
    asked += [f"label {key}={value}" for key, value in right.labels.items()]
    return ", ".join([right.path, *asked])


def is_rule(glob: str) -> bool:
    """True when a broker's rule can say a glob of topics: whole wildcards, and levels that every renderer takes."""
    return all(level in ("*", "**") or _LEVEL.match(level) for level in glob.split("/"))


def rules_of(globs: Iterable[str]) -> tuple[str, ...]:
    """Filters of topic globs, sorted; what no rule can say is left out (NX2610)."""
    return tuple(sorted({glob_to_filter(shortened(glob)) for glob in globs if is_rule(glob)}))


def rules_within(glob: str, outside: Sequence[str]) -> tuple[str, ...]:
    """The filters of what a role's glob and others' topics both mean."""
    return rules_of({both for each in outside if (both := overlap(glob, each)) is not None})
