"""Access, what: rights and denials match something, and brokers can say them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nexus_cli.access.denials import Denials, denials_of, is_path
from nexus_cli.access.globs import level_fits, matches_glob, names_matching, overlap, shortened, widens
from nexus_cli.access.role_grants import is_rule
from nexus_cli.access.scopes import cover, denied_by, fits, reach, scope_of
from nexus_cli.access.tree import Tree
from nexus_cli.checks.access_rights import Right, external_tree, path_rights, place_of
from nexus_cli.checks.names import is_glob
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.access import Scope, User
from nexus_cli.model.access_config import RoleConfig, ScopeConfig, role_config, scope_config
from nexus_cli.model.external import EXTERNAL
from nexus_cli.model.procedure_config import filter_of
from nexus_cli.model.shipped_roles import SHIPPED
from nexus_cli.wire.topic import glob_to_filter

_FORM = "'*' is one level, 'line-*' a part of one, '**' at the end the rest: packaging/line-*/filler/**"

_LEVELS_HINT = "whole levels of letters, digits, '.', '_', '-' and '@', or '*' and '**'"


def _applied(view: View) -> Iterator[tuple[str, ModelPath]]:
    for name, role in view.model.site.access.roles.items():
        for position, glob in enumerate(role.apply):
            yield glob, ("access", "roles", name, "apply", position)


def glob_form(view: View) -> Iterator[Diagnostic]:
    """NX2603."""
    written = [(right.glob, right.glob_where) for right in path_rights(view)]
    for glob, where in [*written, *_applied(view)]:
        if not is_glob(glob):
            yield finding("NX2603", f"'{glob}' is not a path glob", where=where, hint=_FORM)


def scope_unknown(view: View) -> Iterator[Diagnostic]:
    """NX2617."""
    scopes = [(right.entry, right.where) for right in path_rights(view) if isinstance(right.entry, Scope)]
    if not any(scope.protocol or scope.gateway or scope.labels for scope, _ in scopes):
        return
    known = _Known(view)
    for scope, where in scopes:
        for key, message, hint in known.missing(scope):
            yield finding("NX2617", message, where=(*where, *key), hint=hint)


class _Known:
    """Protocols, gateways and labels that devices have."""

    def __init__(self, view: View) -> None:
        self.places = [place_of(view, device) for device in view.model.devices.values()]
        self._protocols = {place.protocol for place in self.places} | {EXTERNAL}
        self._gateways = {*view.model.site.gateways, *(place.gateway for place in self.places if place.gateway)}
        self._labels = {(key, value) for place in self.places for key, value in place.labels.items()}

    def missing(self, scope: Scope) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """Key, message and hint of what a scope asks for and no device has."""
        if scope.protocol and scope.protocol not in self._protocols:
            hint = did_you_mean(scope.protocol, self._protocols)
            yield ("protocol",), f"no device has the protocol '{scope.protocol}'", hint
        if scope.gateway and not any(level_fits(scope.gateway, one) for one in self._gateways):
            yield ("gateway",), f"there is no gateway '{scope.gateway}'", did_you_mean(scope.gateway, self._gateways)
        for key, value in (scope.labels or {}).items():
            if (key, value) not in self._labels:
                values = {have for name, have in self._labels if name == key}
                hint = did_you_mean(value, values) if values else did_you_mean(key, {name for name, _ in self._labels})
                yield ("labels", key), f"no device has the label {key}: {value}", hint


def glob_matches_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2602; NX2621 of a denial."""
    wanted = [right for right in path_rights(view) if is_glob(right.glob)]
    if not wanted:
        return
    paths = sorted(view.model.declared)
    tree = external_tree(view)
    for right in wanted:
        outside_only = right.word in ("publish", "subscribe")
        if not _path_matches(right.glob, tree.paths if outside_only else paths, tree.outside):
            hint = _area_hint(view, right.glob)
            what = "topic of an external device" if outside_only else "tag"
            code = "NX2621" if right.denied else "NX2602"
            yield finding(code, f"'{right.glob}' matches no {what}", where=right.glob_where, hint=hint)
        elif isinstance(right.entry, Scope) and not _scope_matches(_Known(view), right.entry):
            message = f"'{right.glob}' has no tag of a device that is all of this"
            hint = "every key of a scope must be so: path, protocol, gateway and labels"
            yield finding("NX2602", message, where=right.where, hint=hint)


def _path_matches(glob: str, paths: Iterable[str], outside: Iterable[str]) -> bool:
    return any(matches_glob(glob, path) for path in paths) or any(overlap(glob, each) for each in outside)


def _scope_matches(known: _Known, scope: Scope) -> bool:
    """True, too, for a scope that asks for what no device has: that is NX2617."""
    if any(known.missing(scope)):
        return True
    asked = scope_config(scope)
    return any(
        fits(asked, place) and _path_matches(scope.path, (f"{place.path}/{tag}" for tag in place.tags), place.globs)
        for place in known.places
    )


def _area_hint(view: View, glob: str) -> str:
    areas = list(view.model.site.areas)
    head = glob.split("/", 1)[0]
    return did_you_mean(head, areas) if head not in areas and head not in ("*", "**") else ""


def apply_matches_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2619."""
    for glob, where in _applied(view):
        if is_glob(glob) and not any(_may_lie_below(glob, path) for path in view.model.devices):
            hint = _area_hint(view, glob)
            yield finding("NX2619", f"'{glob}' matches no device and no tag", where=where, hint=hint)


def _may_lie_below(glob: str, device: str) -> bool:
    return matches_glob(glob, device) or overlap(glob, f"{device}/*") is not None


def write_matches_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2607."""
    given = [right for right in path_rights(view) if right.word == "write" and not right.denied and is_glob(right.glob)]
    if not given:
        return
    writable = list(view.writable())
    declared = sorted(view.model.declared)
    topics = external_tree(view).outside
    for right in given:
        if _path_matches(right.glob, writable, topics):
            continue
        matching = [path for path in declared if matches_glob(right.glob, path)]
        if matching and all(path in view.by_path for path in matching):
            hint = "a tag takes commands when it says 'writable: true'"
            message = f"'{right.glob}' matches no writable tag"
            yield finding("NX2607", message, where=right.glob_where, hint=hint)


def right_not_expressible(view: View) -> Iterator[Diagnostic]:
    """NX2610."""
    tree = external_tree(view)
    for right in path_rights(view):
        if right.denied or not is_glob(right.glob) or not tree.outside:
            continue
        clearance = view.model.site.access.roles[right.role].clearance
        found = reach(tree, _plain(right), clearance=clearance, external_only=True)
        hears = right.word in ("read", "subscribe")
        globs = cover(found).outside if hears else {glob for part in found.parts.values() for glob in part.outside}
        for odd in (glob for glob in sorted(globs) if not _sayable(glob, hears=hears)):
            message = f"'{right.glob}' means '{odd}' of others' topics, which no broker's rule can say"
            hint = _LEVELS_HINT if not is_rule(odd) else "a '*' behind another one needs a level, or '**', behind it"
            yield finding("NX2610", message, where=right.glob_where, hint=hint)
            break
    yield from _messages_not_expressible(view)


def _sayable(glob: str, *, hears: bool) -> bool:
    return is_rule(glob) and not (hears and widens(glob_to_filter(shortened(glob))))


def _messages_not_expressible(view: View) -> Iterator[Diagnostic]:
    messages = view.model.site.messages
    for name, role in view.model.site.access.roles.items():
        for position, glob in enumerate(role.subscribe):
            for message in names_matching(glob, messages) if not is_path(glob) else ():
                if widens(filter_of(messages[message].topic)):
                    text = f"'{messages[message].topic}' has two fields, one of them at its end: no broker's rule is just that"
                    where = ("access", "roles", name, "subscribe", position)
                    yield finding("NX2610", text, where=where, hint="end the topic with a fixed level")


def _plain(right: Right) -> str | ScopeConfig:
    return right.entry if isinstance(right.entry, str) else scope_config(right.entry)


def denial_cuts_topics(view: View) -> Iterator[Diagnostic]:
    """NX2616."""
    access = view.model.site.access
    tree = external_tree(view)
    if not tree.outside:
        return
    roles = {name: role_config(role) for name, role in {**SHIPPED, **access.roles}.items()}
    seen: set[tuple[ModelPath, str]] = set()
    for held in _held_together(view):
        together = {name: roles[name] for name in held if name in roles}
        denials = denials_of(together.values())
        for where, cut in _cut(tree, together, denials):
            if where[2] in access.roles and (where, cut) not in seen:
                seen.add((where, cut))
                message = f"'{cut}' is not allowed at all: a denial, or the class of a tag, takes a part of it"
                hint = "declare what is open and what is denied as topics of their own"
                yield finding("NX2616", message, where=where, hint=hint)


def _held_together(view: View) -> list[tuple[str, ...]]:
    """The roles of each user and application, each combination once."""
    access = view.model.site.access
    found: dict[tuple[str, ...], None] = {}
    users: list[User] = [*access.users.values(), *access.applications.values()]
    for user in users:
        members = [user, *(access.groups[name] for name in user.groups if name in access.groups)]
        roles = [role for member in members for role in (*member.roles, *((member.role,) if member.role else ()))]
        found[tuple(sorted(set(roles)))] = None
    return list(found)


def _cut(tree: Tree, roles: dict[str, RoleConfig], denials: Denials) -> Iterator[tuple[ModelPath, str]]:
    """Places of rights, and what of others' topics they lose although a part of it is allowed."""
    read, write = denied_by(tree, denials.read), denied_by(tree, (*denials.write, *denials.topics))
    for name, role in roles.items():
        for word, rights, denied in (
            ("read", role.read, read),
            ("write", role.write, write),
            ("publish", role.publish, write),
            ("subscribe", role.subscribe, read),
        ):
            for position, right in enumerate(rights):
                if word in ("publish", "subscribe") and not is_path(scope_of(right).path):
                    continue
                found = reach(tree, right, clearance=role.clearance, denied=denied, external_only=True)
                for glob in sorted({glob for part in found.parts.values() for glob in part.cut}):
                    yield ("access", "roles", name, word, position), glob


def message_right_matches_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2609; NX2621 of a denial."""
    site = view.model.site
    messages = view.model.names("messages", site.messages)
    sequences = view.model.names("sequences", site.sequences)
    alerts = view.model.names("alerts", site.alerts)
    for name, role in site.access.roles.items():
        for base, holder in ((("access", "roles", name), role), (("access", "roles", name, "deny"), role.deny)):
            for right, what, known in (
                ("publish", "message", messages),
                ("subscribe", "message", messages),
                ("run", "sequence", sequences),
                ("acknowledge", "alert", alerts),
                ("alerts", "alert", alerts),
            ):
                for position, glob in enumerate(getattr(holder, right, ())):
                    if not names_matching(glob, known) and not (what == "message" and is_path(glob)):
                        hint = did_you_mean(glob, known) if known else f"declare it under '{what}s:'"
                        where = (*base, right, position)
                        code = "NX2621" if "deny" in base else "NX2609"
                        yield finding(code, f"'{glob}' matches no {what}", where=where, hint=hint)


CHECKS: tuple[Callable[[View], Iterator[Diagnostic]], ...] = (
    glob_form,
    scope_unknown,
    glob_matches_nothing,
    apply_matches_nothing,
    write_matches_nothing,
    right_not_expressible,
    denial_cuts_topics,
    message_right_matches_nothing,
)
