"""Grants as JSON rules: entries of EMQX's built-in database, and the `acl` claim of a token.

Both hold fields that every version from 5.8 on reads; what 5.9 added (`clientid_re`) is written only where the version is
known to be newer, because 5.8 ignores it and the rule would be wider there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.client import Version, is_at_least
from nexus_cli.access.brokers.emqx.engine import MAX_RULES
from nexus_cli.access.brokers.emqx.names import check_filter, check_name
from nexus_cli.access.brokers.emqx.widening import denials
from nexus_cli.access.brokers.rendered import Note
from nexus_cli.access.grants import Grant
from nexus_cli.diagnostics.errors import NexusError

BROKER = "emqx"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRules:
    """The bodies of `rules/users`, one entry a user, sorted by name.

    Attributes:
        users: `[{"username": …, "rules": […]}]`.
        notes: Bindings to client ids that a version before 5.9 can't say.
        most: The most rules that one entry has: `max_rules` must be at least that.
    """

    users: tuple[Mapping[str, Any], ...]
    notes: tuple[Note, ...]
    most: int


def database_rules(
    grants: Iterable[Grant], accounts: Accounts, *, version: Version = (5, 8), max_rules: int = MAX_RULES
) -> DatabaseRules:
    """The entries of the built-in database.

    Args:
        grants: Of the site.
        accounts: How its principals are called at the broker.
        version: Of EMQX; from 5.9 NEXUS's own rules name the client ids.
        max_rules: What the broker's configuration allows for one entry (`hocon` can raise it).

    Raises:
        NexusError: NX7022, a user with more rules. NX7010 and NX7020 as for `acl.conf`.
    """
    by_principal: dict[str, list[Grant]] = {}
    for grant in grants:
        by_principal.setdefault(grant.principal, []).append(grant)
    users, notes = [], []
    for principal, mine in sorted(by_principal.items()):
        account = accounts.account(principal)
        check_name(account)
        client_ids = accounts.client_ids(principal)
        bound = client_ids if is_at_least(version, 5, 9, 0) else None
        rules = user_rules(mine, client_ids=bound)
        if len(rules) > max_rules:
            raise NexusError(
                f"'{account}' needs {len(rules)} rules; the broker takes {max_rules} for one user.",
                code="NX7022",
                hint=f"set max_rules = {len(rules)} in the built-in database's source (nexus.hocon has it), "
                "or give whole lines and areas",
            )
        if client_ids is not None and bound is None:
            notes.append(_unbound(account))
        users.append({"username": account, "rules": rules})
    most = max((len(entry["rules"]) for entry in users), default=0)
    return DatabaseRules(users=tuple(users), notes=tuple(notes), most=most)


def user_rules(grants: Sequence[Grant], *, client_ids: str | None = None) -> list[dict[str, Any]]:
    """The rules of one principal, denials first; one topic a rule, as EMQX stores them.

    Args:
        grants: Its grants.
        client_ids: Regular expression of the client ids that its allowances are bound to (EMQX 5.9 and later).

    Raises:
        NexusError: NX7010, NX7020.
    """
    for grant in grants:
        check_filter(grant.filter)
    denied = denials([grant for grant in grants if grant.action == "subscribe"])
    rules: list[dict[str, Any]] = [
        {"topic": f"eq {wide}", "permission": "deny", "action": "subscribe"} for wide in denied
    ]
    seen: list[dict[str, Any]] = []
    for grant in sorted(grants, key=lambda grant: grant.key):
        rule: dict[str, Any] = {"topic": grant.filter, "permission": "allow", "action": grant.action}
        if grant.action == "publish" and grant.qos is not None:
            rule["qos"] = list(grant.qos)
        if grant.action == "publish" and grant.retain is not None:
            rule["retain"] = grant.retain
        if client_ids is not None:
            rule["clientid_re"] = client_ids
        if rule not in seen:
            seen.append(rule)
    return rules + seen


def _unbound(account: str) -> Note:
    return Note(
        broker=BROKER,
        rule=f"{account}: its client ids",
        text="rules of a user can't name client ids before EMQX 5.9; only its password keeps others out. "
        "`acl.conf` binds them in every version",
        code="NX7013",
    )
