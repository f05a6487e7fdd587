"""From what EMQX has to what it should have: ordered steps that may be cut between any two. Pure.

Only accounts that end with the site's suffix are looked at. The order, and why a run after a cut completes it:
docs/decisions/0069.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.database_rule import (
    CLOSING,
    MARK,
    Rule,
    both,
    closed,
    gains,
    losses,
    shrinks,
    unmarked,
)
from nexus_cli.access.brokers.emqx.hashing import UserHash
from nexus_cli.access.brokers.emqx.present import Present

_ENDS = ("password", "superuser", "remove")
"""What becomes of a user that its sessions must not outlive."""
IMPORT_AT_ONCE = 500
"""Users in one request."""


class Does(StrEnum):
    """What a step does."""

    RULES = "rules"
    USERS = "users"
    DENY = "deny"
    CLEAR = "clear"
    DROP_USER = "drop-user"
    KICK = "kick"
    DROP_RULES = "drop-rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request (a kick: one for each session). Doing it twice is as good as once.

    Attributes:
        does: What; `deny` sets the cluster's `no_match`.
        account: Whose; "" for `users` and `clear`.
        rules: The whole new entry, for `rules`.
        users: Passwords by account, for `users`.
        withdraws: True for the first step that takes a right away from this account.
    """

    does: Does
    account: str = ""
    rules: tuple[Rule, ...] = ()
    users: Mapping[str, UserHash] = field(default_factory=dict)
    withdraws: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """What becomes of one account.

    Attributes:
        account: Its name at the broker.
        old: Its rules now, without a mark.
        new: Its rules afterwards; none when it goes.
        user: `create`, `password` (another one), `superuser` (is none any more), `again` (this machine does not know what
            EMQX has), `remove` or "". A superuser without a known password is removed: rules alone hold no superuser back.
        kick: True when its sessions are ended.
        resumed: True when a push was cut before they were.
        at_once: True when old and new rules don't fit in one entry, so that rights go with the first request.
        gone: True when it is removed.
    """

    account: str
    old: tuple[Rule, ...] = ()
    new: tuple[Rule, ...] = ()
    user: str = ""
    kick: bool = False
    resumed: bool = False
    at_once: bool = False
    gone: bool = False

    @property
    def gains(self) -> tuple[Rule, ...]:
        """Rights that it gets."""
        return gains(self.old, self.new)

    @property
    def losses(self) -> tuple[Rule, ...]:
        """Rights that are taken away."""
        return losses(self.old, self.new)

    @property
    def is_changed(self) -> bool:
        """False when there is nothing to do."""
        return self.old != self.new or bool(self.user) or self.resumed or self.gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a push does.

    Attributes:
        changes: By account, sorted; only those with something to do.
        steps: In their order.
        same: Accounts that are as they should be.
        without_password: Accounts whose password is not known here: they get rules, and no user.
    """

    changes: tuple[AccountChange, ...] = ()
    steps: tuple[Step, ...] = ()
    same: int = 0
    without_password: tuple[str, ...] = ()


def difference(
    accounts: Accounts,
    present: Present,
    *,
    rules: Mapping[str, Sequence[Rule]],
    passwords: Mapping[str, UserHash],
    unknown: frozenset[str] = frozenset(),
    deny: bool = False,
) -> Difference:
    """What is to do.

    Args:
        accounts: Of the site, shared: what does not end with its suffix is not looked at.
        present: What is there.
        rules: What each account should have.
        passwords: In the form that the authenticator checks; an account without one keeps what EMQX has.
        unknown: Accounts whose user was made elsewhere: they are wanted, with or without rules.
        deny: Set `no_match = deny` for the cluster, once everybody has the rights that are added.

    Raises:
        ValueError: The accounts are those of a broker of our own, or one of them is not this site's.
    """
    if not accounts.suffix:
        raise ValueError("a push needs accounts that carry their site")
    wanted = {*rules, *passwords, *unknown}
    if foreign := sorted(name for name in wanted if accounts.principal(name) is None):
        raise ValueError(f"'{foreign[0]}' is not an account of this site")
    there = {name for name in (*present.users, *present.rules) if accounts.principal(name) is not None}
    closing = bool(present.open_behind)
    changes = []
    for name in sorted(wanted | there):
        new = tuple(dict.fromkeys(rules.get(name, ())))
        if name not in wanted:
            changes.append(_gone(present, name))
        else:
            changes.append(_changed(present, name, closed(new) if closing else new, passwords.get(name)))
    changed = tuple(change for change in changes if change.is_changed)
    return Difference(
        changes=changed,
        steps=tuple(_steps(present, changed, passwords, deny=deny)),
        same=len(changes) - len(changed),
        without_password=tuple(sorted(wanted - set(passwords) - (present.users - present.superusers))),
    )


def largest(rules: Mapping[str, Sequence[Rule]], *, closing: bool) -> int:
    """Rules of the largest entry that a push writes, its mark included; 0 for none."""
    sizes = (len(closed(each) if closing else each) for each in rules.values())
    return max((size + 1 for size in sizes), default=0)


def _gone(present: Present, name: str) -> AccountChange:
    had = present.rules.get(name, ())
    return AccountChange(
        account=name,
        old=tuple(rule for rule in unmarked(had) if rule.allows),
        user="remove" if name in present.users else "",
        kick=True,
        resumed=MARK in had,
        gone=True,
    )


def _changed(present: Present, name: str, new: tuple[Rule, ...], password: UserHash | None) -> AccountChange:
    had = present.rules.get(name, ())
    old, pushed = unmarked(had), present.pushed.get(name)
    user = ""
    if password is not None and name not in present.users:
        user = "create"
    elif name in present.superusers:
        user = "remove" if password is None else "superuser"
    elif password is not None and password.kept != pushed:
        user = "again" if pushed is None else "password"
    may_have_sessions = name in present.users or bool(had)
    kick = MARK in had or (may_have_sessions and (user in _ENDS or shrinks(old, new)))
    return AccountChange(
        account=name,
        old=old,
        new=new,
        user=user,
        kick=kick,
        resumed=MARK in had,
        at_once=len(both(old, new)) + kick > present.max_rules,
    )


def _steps(
    present: Present, changes: Sequence[AccountChange], passwords: Mapping[str, UserHash], *, deny: bool
) -> list[Step]:
    entries = {change.account: present.rules.get(change.account, ()) for change in changes}
    steps: list[Step] = []

    def put(account: str, rules: tuple[Rule, ...], *, withdraws: bool = False) -> None:
        if entries[account] != rules:
            entries[account] = rules
            steps.append(Step(does=Does.RULES, account=account, rules=rules, withdraws=withdraws))

    def clear_after(count: int) -> None:
        if len(steps) > count:
            steps.append(Step(does=Does.CLEAR))

    staying = [change for change in changes if not change.gone]
    for change in staying:
        first = change.new if change.at_once else both(change.old, change.new)
        adds = set(first) - set(change.old)
        refuses = change.at_once or not all(rule.allows for rule in adds)
        marked = change.kick and (change.resumed or change.user in _ENDS or refuses)
        if adds or marked:
            put(change.account, _with_mark(first, marked), withdraws=change.kick and refuses)
    clear_after(0)
    steps += _users(changes, passwords)
    if deny:
        steps.append(Step(does=Does.DENY))
    given = len(steps)
    for change in changes:
        if change.gone:
            put(change.account, (MARK, *CLOSING), withdraws=True)
        else:
            put(change.account, _with_mark(change.new, change.kick), withdraws=change.kick)
    steps += [Step(does=Does.DROP_USER, account=change.account) for change in changes if change.user == "remove"]
    clear_after(given)
    steps += [Step(does=Does.KICK, account=change.account) for change in changes if change.kick]
    for change in changes:
        if change.gone:
            steps.append(Step(does=Does.DROP_RULES, account=change.account))
        else:
            put(change.account, change.new)
    return steps


def _with_mark(rules: tuple[Rule, ...], marked: bool) -> tuple[Rule, ...]:
    return (MARK, *rules) if marked else rules


def _users(changes: Sequence[AccountChange], passwords: Mapping[str, UserHash]) -> list[Step]:
    names = [change.account for change in changes if change.user in ("create", "password", "superuser", "again")]
    return [
        Step(does=Does.USERS, users={name: passwords[name] for name in names[start : start + IMPORT_AT_ONCE]})
        for start in range(0, len(names), IMPORT_AT_ONCE)
    ]
