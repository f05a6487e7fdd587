"""Access: users have roles, and rights match something."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nexus_cli.access.globs import has_partial_level, matches_glob, names_matching, overlap
from nexus_cli.access.role_grants import is_rule
from nexus_cli.checks.names import is_glob, slugify
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.external import ExternalDevice

RESERVED_PREFIX = "nexus."
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\Z", re.ASCII)


def unknown_role(view: View) -> Iterator[Diagnostic]:
    """NX2601."""
    access = view.model.site.access
    roles = view.model.names("access.roles", access.roles)
    for name, user in access.users.items():
        base: ModelPath = ("access", "users", name)
        written = [(user.role, (*base, "role"))] if user.role is not None else []
        written += [(role, (*base, "roles", position)) for position, role in enumerate(user.roles)]
        for role, where in written:
            if role not in roles:
                yield finding("NX2601", f"there is no role '{role}'", where=where, hint=did_you_mean(role, roles))


def _globs(view: View) -> Iterator[tuple[str, str, ModelPath]]:
    """Right (`read` or `write`), glob and place."""
    for name, role in view.model.site.access.roles.items():
        for right, globs in (("read", role.read), ("write", role.write)):
            for position, one in enumerate(globs):
                glob = one if isinstance(one, str) else one.path
                yield right, glob, ("access", "roles", name, right, position)


def glob_form(view: View) -> Iterator[Diagnostic]:
    """NX2603."""
    for _, glob, where in _globs(view):
        if not is_glob(glob):
            hint = "'*' is one level, 'line-*' a part of one, '**' at the end the rest: packaging/line-*/filler/**"
            yield finding("NX2603", f"'{glob}' is not a path glob", where=where, hint=hint)


def glob_matches_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2602."""
    wanted = list(_globs(view))
    if not wanted:
        return
    paths = sorted(view.model.declared)
    topics = _external_topics(view)
    areas = list(view.model.site.areas)
    for _, glob, where in wanted:
        if is_glob(glob) and not _any(glob, paths) and not any(overlap(glob, each) for each in topics):
            head = glob.split("/", 1)[0]
            hint = did_you_mean(head, areas) if head not in areas and head not in ("*", "**") else ""
            yield finding("NX2602", f"'{glob}' matches no tag", where=where, hint=hint)


def write_matches_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2607."""
    wanted = [(glob, where) for right, glob, where in _globs(view) if right == "write" and is_glob(glob)]
    if not wanted:
        return
    writable = list(view.writable())
    declared = sorted(view.model.declared)
    topics = _external_topics(view)
    for glob, where in wanted:
        if _any(glob, writable) or any(overlap(glob, one) for one in topics):
            continue
        matching = [path for path in declared if matches_glob(glob, path)]
        if matching and all(path in view.by_path for path in matching):
            hint = "a tag takes commands when it says 'writable: true'"
            yield finding("NX2607", f"'{glob}' matches no writable tag", where=where, hint=hint)


def right_not_expressible(view: View) -> Iterator[Diagnostic]:
    """NX2610."""
    topics = _external_topics(view)
    for right, glob, where in _globs(view):
        if not is_glob(glob) or (right == "read" and not has_partial_level(glob)):
            continue
        shared = (overlap(glob, each) for each in topics)
        for odd in (each for each in shared if each is not None and not is_rule(each)):
            message = f"'{glob}' means '{odd}' of others' topics, which no broker's rule can say"
            hint = "whole levels of letters, digits, '.', '_', '-' and '@', or '*' and '**'"
            yield finding("NX2610", message, where=where, hint=hint)
            break


def message_right_matches_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2609."""
    site = view.model.site
    messages = view.model.names("messages", site.messages)
    sequences = view.model.names("sequences", site.sequences)
    alerts = view.model.names("alerts", site.alerts)
    for name, role in site.access.roles.items():
        for right, globs, what, known in (
            ("publish", role.publish, "message", messages),
            ("subscribe", role.subscribe, "message", messages),
            ("run", role.run, "sequence", sequences),
            ("acknowledge", role.acknowledge, "alert", alerts),
            ("alerts", role.alerts, "alert", alerts),
        ):
            for position, glob in enumerate(globs):
                if not names_matching(glob, known):
                    where = ("access", "roles", name, right, position)
                    hint = did_you_mean(glob, known) if known else f"declare it under '{what}s:'"
                    yield finding("NX2609", f"'{glob}' matches no {what}", where=where, hint=hint)


def user_without_role(view: View) -> Iterator[Diagnostic]:
    """NX2604."""
    for name, user in view.model.site.access.users.items():
        if user.role is None and not user.roles:
            hint = did_you_mean("", view.model.site.access.roles) or "role: …"
            yield finding(
                "NX2604", f"the user '{name}' has no role", where=("access", "users", name), on_key=True, hint=hint
            )


def reserved_user(view: View) -> Iterator[Diagnostic]:
    """NX2605."""
    for name in view.model.site.access.users:
        if name.lower().startswith(RESERVED_PREFIX) or name.lower() == "nexus":
            message = f"the user name '{name}' is one of NEXUS's own"
            yield finding("NX2605", message, where=("access", "users", name), on_key=True, hint="choose another name")


def user_name(view: View) -> Iterator[Diagnostic]:
    """NX2606."""
    for name in view.model.site.access.users:
        if not _USER.match(name):
            slug = slugify(name.replace("/", "-"))
            hint = f"write '{slug}'" if slug else "letters, digits, '.', '_', '@' and '-'"
            message = f"'{name[:60]}' can't be a user name: brokers read topic rules into it"
            yield finding("NX2606", message, where=("access", "users", name), on_key=True, hint=hint)


def role_unused(view: View) -> Iterator[Diagnostic]:
    """NX2608. A user that was left out for its errors may have it."""
    if view.model.faulty.get("access.users"):
        return
    access = view.model.site.access
    used = {user.role for user in access.users.values()} | {
        role for user in access.users.values() for role in user.roles
    }
    for name in access.roles:
        if name not in used:
            where = ("access", "roles", name)
            yield finding(
                "NX2608", f"no user has the role '{name}'", where=where, on_key=True, hint="give it to a user"
            )


def _external_topics(view: View) -> list[str]:
    """Globs of what others may publish, from the area on."""
    return [
        f"{bound.path}/{glob}"
        for bound in view.devices
        if isinstance(bound.device, ExternalDevice)
        for glob in bound.device.topics
    ]


def _any(glob: str, paths: list[str]) -> bool:
    return any(matches_glob(glob, path) for path in paths)


CHECKS = (
    unknown_role,
    glob_form,
    glob_matches_nothing,
    write_matches_nothing,
    right_not_expressible,
    message_right_matches_nothing,
    user_without_role,
    reserved_user,
    user_name,
    role_unused,
)
