"""What a broker has besides rules and users, one entry each: roles, groups, disabled clients, defaults. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nexus_cli.diagnostics.printable import one_line
from nexus_cli.discover.adopt.entries import ADOPTED, LEFT, PRESENT, Entry
from nexus_cli.discover.adopt.foreign import Thing

MOST_NAMED = 5
"""Users of a group that are named."""


def thing_entry(
    thing: Thing,
    *,
    names: Mapping[str, str],
    fresh: Collection[str],
    wanted: Collection[str],
    users: Collection[str],
    present: Collection[str],
) -> Entry:
    """What became of one.

    Args:
        thing: Any.
        names: Role of the site by role of the broker: those that a user has.
        fresh: Roles of the site that are new.
        wanted: Roles of the broker of which some rule could be adopted.
        users: Users that are new.
        present: Users whose rights come from the broker, new or present.
    """
    if thing.kind == "other" and thing.becomes:
        return Entry(what=thing.text, state=PRESENT, becomes=thing.becomes)
    if thing.reason:
        return Entry(what=thing.text, state=LEFT, reason=thing.reason)
    if thing.kind == "role":
        return _role(thing, names, fresh, wanted)
    return _group(thing, names, users, present)


def _role(thing: Thing, names: Mapping[str, str], fresh: Collection[str], wanted: Collection[str]) -> Entry:
    name = names.get(thing.name)
    if name is not None:
        return Entry(what=thing.text, state=ADOPTED if name in fresh else PRESENT, becomes=f"role {name}")
    none = thing.name not in wanted
    reason = "none of its rules could be adopted" if none else "no user that could be adopted has it"
    return Entry(what=thing.text, state=LEFT, reason=reason)


def _group(thing: Thing, names: Mapping[str, str], users: Collection[str], present: Collection[str]) -> Entry:
    """A site has no groups: each of its users gets the roles by name."""
    mine = [one for one in thing.users if one in present]
    roles = [names[role] for role in thing.roles if role in names]
    if not thing.users or not thing.roles:
        return Entry(what=thing.text, state=LEFT, reason="it has no users" if not thing.users else "it has no roles")
    if not mine or not roles:
        what = "users" if not mine else "roles"
        return Entry(what=thing.text, state=LEFT, reason=f"none of its {what} could be adopted")
    missing = [
        f"{len(all_) - len(taken):,} of its {len(all_):,} {what}"
        for what, all_, taken in (("users", thing.users, mine), ("roles", thing.roles, roles))
        if len(taken) < len(all_)
    ]
    listed = ", ".join(map(one_line, mine[:MOST_NAMED]))
    more = f" and {len(mine) - MOST_NAMED:,} more" if len(mine) > MOST_NAMED else ""
    return Entry(
        what=thing.text,
        state=ADOPTED if any(one in users for one in mine) else PRESENT,
        becomes=f"{', '.join(roles)} of {listed}{more}",
        reason=f"without {' and '.join(missing)}" if missing else "",
    )
