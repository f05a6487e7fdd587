"""Users and rules of a broker as `access:` of a site, and the proof that no user may do more than before. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_cli.access.brokers.registry import sample
from nexus_cli.access.grants import RESERVED, Grant
from nexus_cli.access.request import Request, Rules, Wish
from nexus_cli.accounts import is_user_name
from nexus_cli.checks.names import slugify
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.discover.adopt.entries import ADOPTED, LEFT, PRESENT, Entry
from nexus_cli.discover.adopt.foreign import Foreign, ForeignRule
from nexus_cli.discover.adopt.rights import Adopted, Topic, rights_of
from nexus_cli.discover.adopt.things import thing_entry
from nexus_cli.model.access import Access, Role

OTHER = "-adopted"
"""Behind the name of a role that the site uses for something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPlan:
    """What an `access:` would get.

    Attributes:
        roles, users: Keys of the site language by name; those that are new.
        principals: Every user whose rights come from the broker, new or present.
        entries: One for each rule and each user, in their order.
    """

    roles: Mapping[str, Mapping[str, Any]]
    users: Mapping[str, Mapping[str, Any]]
    principals: tuple[str, ...]
    entries: tuple[Entry, ...]


def adopt_access(
    foreign: Foreign, access: Access, *, prefix: tuple[str, str], topics: Sequence[Topic], reserved: Iterable[str] = ()
) -> AccessPlan:
    """Map everything; adopting twice changes nothing.

    Args:
        foreign: The broker.
        access: Of the site as it is; what it has is never changed.
        prefix: Enterprise and site.
        topics: What the site declares.
        reserved: Further names of roles that are there without being written.
    """
    denied = _denials(foreign)
    rights = [
        (rule, rights_of(rule, prefix=prefix, topics=topics, denied=denied.get(rule.role, ())))
        for rule in foreign.rules
    ]
    wanted = _by_role(rights)
    used = [role for user, roles in foreign.users.items() if user not in foreign.odd_users for role in roles]
    names, fresh = _named_roles(
        {role: wanted[role] for role in dict.fromkeys(used) if role in wanted}, access, reserved
    )
    entries = [_rule_entry(rule, made, names, fresh) for rule, made in rights]
    users: dict[str, Mapping[str, Any]] = {}
    principals: list[str] = []
    for user, roles in foreign.users.items():
        odd = foreign.odd_users.get(user, "")
        mine = [] if odd else [names[role] for role in roles if role in names]
        entry = Entry(what=_user(user), state=LEFT, reason=odd) if odd else _user_entry(user, mine, access)
        if entry.state == ADOPTED:
            users[user] = {"role": mine[0]} if len(mine) == 1 else {"roles": mine}
        if entry.state != LEFT:
            principals.append(user)
        entries.append(entry)
    given = {role for keys in users.values() for role in (keys.get("roles") or [keys["role"]])}
    kept = {name: keys for name, keys in fresh.items() if name in given}
    unused = {name for name in fresh if name not in given}
    entries = [_without(entry, unused) for entry in entries]
    present = frozenset(principals)
    held = {role: name for role, name in names.items() if name not in unused}
    entries += [
        thing_entry(one, names=held, fresh=fresh, wanted=wanted, users=users, present=present) for one in foreign.things
    ]
    return AccessPlan(roles=kept, users=users, principals=tuple(principals), entries=tuple(entries))


def _without(entry: Entry, unused: set[str]) -> Entry:
    """A rule of a role that no adopted user has is left."""
    role = entry.becomes.partition(":")[0].removeprefix("role ")
    if entry.state != ADOPTED or not entry.becomes.startswith("role ") or role not in unused:
        return entry
    return Entry(what=entry.what, state=LEFT, reason="no user that could be adopted has its role")


def _denials(foreign: Foreign) -> dict[str, list[ForeignRule]]:
    """What is taken away from those who have a role: by that role, by others of the same users, or from everybody."""
    together: dict[str, set[str]] = {}
    for roles in foreign.users.values():
        for role in roles:
            together.setdefault(role, set()).update(roles)
    denies: dict[str, list[ForeignRule]] = {}
    for rule in foreign.rules:
        if not rule.allow and rule.cuts:
            denies.setdefault(rule.role, []).append(rule)
    found: dict[str, list[ForeignRule]] = {}
    for role in dict.fromkeys(rule.role for rule in foreign.rules):
        mine = [rule for other in ("", *sorted(together.get(role, {role}))) for rule in denies.get(other, ())]
        # Equal ones once: every rule is held against each of them.
        found[role] = list({(rule.filter, rule.publish, rule.subscribe): rule for rule in reversed(mine)}.values())
    return found


def _by_role(rights: Sequence[tuple[ForeignRule, Adopted]]) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for rule, made in rights:
        if made.any:
            keys = found.setdefault(rule.role, {})
            for key, globs in (("read", made.read), ("publish", made.publish)):
                keys.setdefault(key, []).extend(glob for glob in globs if glob not in keys.get(key, ()))
    return {role: {key: globs for key, globs in keys.items() if globs} for role, keys in found.items()}


def _named_roles(
    wanted: Mapping[str, Mapping[str, list[str]]], access: Access, reserved: Iterable[str]
) -> tuple[dict[str, str], dict[str, Mapping[str, Any]]]:
    """Name in the site by role of the broker, and the keys of those that are new."""
    names: dict[str, str] = {}
    fresh: dict[str, Mapping[str, Any]] = {}
    taken = {*access.roles, *reserved}
    for role, keys in wanted.items():
        name = slugify(role) or "role"
        while name in fresh or (name in taken and not _is(access.roles.get(name), keys)):
            name += OTHER
        names[role] = name
        if name not in access.roles:
            fresh[name] = keys
    return names, fresh


def _is(role: Role | None, keys: Mapping[str, list[str]]) -> bool:
    """Whether a role of the site gives exactly these rights."""
    if role is None:
        return False
    said = role.model_dump(exclude_defaults=True, exclude={"description"})
    return set(said) == set(keys) and all(
        isinstance(said[key], list) and sorted(map(str, said[key])) == sorted(globs) for key, globs in keys.items()
    )


def _rule_entry(
    rule: ForeignRule, made: Adopted, names: Mapping[str, str], fresh: Mapping[str, Mapping[str, Any]]
) -> Entry:
    if not made.any:
        return Entry(what=rule.text, state=LEFT, reason=made.reason)
    name = names.get(rule.role)
    if name is None:
        return Entry(what=rule.text, state=LEFT, reason="no user has its role")
    rights = [f"{key} {glob}" for key, globs in (("read", made.read), ("publish", made.publish)) for glob in globs]
    state = ADOPTED if name in fresh else PRESENT
    return Entry(what=rule.text, state=state, becomes=f"role {name}: {', '.join(rights)}", reason=made.reason)


def _user(name: str) -> str:
    return f"user {one_line(name)}"


def _user_entry(user: str, roles: Sequence[str], access: Access) -> Entry:
    what = _user(user)
    if not is_user_name(user) or user.lower().startswith(RESERVED) or user.lower() == RESERVED.rstrip("."):
        return Entry(what=what, state=LEFT, reason="its name can't be that of a user of a site")
    if not roles:
        return Entry(what=what, state=LEFT, reason="none of its rules could be adopted")
    known = access.users.get(user) or access.applications.get(user)
    if known is None:
        return Entry(what=what, state=ADOPTED, becomes=f"user {user} with {', '.join(roles)}")
    have = {*known.roles, *([known.role] if known.role else [])}
    if have >= set(roles):
        return Entry(what=what, state=PRESENT, becomes=f"user {user} with {', '.join(roles)}")
    return Entry(what=what, state=LEFT, reason="the site has this user with other roles")


def wider(grants: Iterable[Grant], users: Iterable[str], before: Rules) -> Iterator[str]:
    """Where a user may do more than the broker allowed, in words; nothing is what has to come.

    Args:
        grants: Of the site with what was adopted.
        users: Who was adopted.
        before: The broker's rules.
    """
    mine = frozenset(users)
    for grant in grants:
        if grant.principal not in mine:
            continue
        topic = sample(grant.filter)
        wishes: Sequence[tuple[Wish, str]] = (
            (("publish", topic),) if grant.action == "publish" else (("subscribe", grant.filter), ("receive", topic))
        )
        for wish, asked in wishes:
            verdict = before.decide(Request(user=grant.principal, wish=wish, topic=asked))
            if not verdict.allowed:
                yield f"'{grant.principal}' could {wish} {asked}, which the broker refused ({verdict.why})"
