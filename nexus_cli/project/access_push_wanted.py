"""What a cluster of EMQX should have for a site: rules by account, and the passwords that are known here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.database_rule import Rule, read_rules
from nexus_cli.access.brokers.emqx.hashing import Algorithm, UserHash, fits, hash_for, of_hashes, read_kept
from nexus_cli.access.compile import compile_grants
from nexus_cli.access.evaluate import covers
from nexus_cli.access.grants import Grant
from nexus_cli.access.passwords import Hashes
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.access_config import UserConfig
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.settings import Settings

_NAME = re.compile(r"[^\x00-\x20+#/,:\"\\\x7f]{1,256}")
"""EMQX puts names into topics as they are, and takes `+`, `#` and `/` in them for what they mean there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What should be there.

    Attributes:
        accounts: Of the site.
        rules: By account; every principal has an entry, be it empty.
        passwords: Clear text by account, where it is known. Never shown.
        hashes: By account, where only those are known.
    """

    accounts: Accounts
    rules: Mapping[str, tuple[Rule, ...]]
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    hashes: Mapping[str, Hashes] = field(default_factory=dict, repr=False)

    def hashed(self, algorithm: Algorithm, pushed: Mapping[str, str]) -> dict[str, UserHash]:
        """Every known password in an authenticator's form; the form that was pushed last where it still fits."""
        found: dict[str, UserHash] = {}
        for name, hashes in self.hashes.items():
            if (form := of_hashes(algorithm, hashes)) is not None:
                found[name] = form
        for name, password in self.passwords.items():
            have = read_kept(pushed.get(name, ""))
            found[name] = have if have and fits(algorithm, password, have) else hash_for(algorithm, password)
        return found


def nothing(accounts: Accounts) -> Wanted:
    """For the removal of all that is the site's."""
    return Wanted(accounts=accounts, rules={})


def wanted_of(snapshot: Snapshot, settings: Settings, *, hashes: Mapping[str, Hashes] | None = None) -> Wanted:
    """Compile a site, and find the passwords of its principals.

    Args:
        snapshot: What is declared.
        settings: The broker passwords of `.nexus/credentials.json`, by principal; what the site file names wins.
        hashes: Of principals whose password is stored elsewhere.

    Raises:
        NexusError: NX7010, a name that EMQX would misread; NX7033, a password reference leads nowhere.
    """
    accounts = Accounts(snapshot.enterprise, snapshot.site)
    users = dict(every(snapshot, "user", UserConfig))
    rules = rules_by_account(compile_grants(snapshot), accounts, users)
    for name in rules:
        if _NAME.fullmatch(name) is None:
            raise NexusError(f"The name '{name}' can't be an account at EMQX.", code="NX7010")
    broker = settings.credentials.get("broker", {})
    passwords = {accounts.account(name): str(each) for name, each in broker.items() if accounts.account(name) in rules}
    for name, user in users.items():
        if user.password:
            passwords[accounts.account(name)] = _referenced(name, user.password)
    known = {accounts.account(name): each for name, each in (hashes or {}).items()}
    return Wanted(accounts=accounts, rules=rules, passwords=passwords, hashes=known)


def rules_by_account(
    grants: Iterable[Grant], accounts: Accounts, names: Iterable[str] = ()
) -> dict[str, tuple[Rule, ...]]:
    """Rules of the built-in database; `names` get an entry even without a grant."""
    found: dict[str, list[Grant]] = {accounts.account(name): [] for name in names}
    for grant in grants:
        found.setdefault(accounts.account(grant.principal), []).append(grant)
    return {name: read_rules(_rules(each)) for name, each in sorted(found.items())}


def _rules(grants: Sequence[Grant]) -> list[dict[str, Any]]:
    """Of one account: refusals first."""
    subscribed = [grant.filter for grant in grants if grant.action == "subscribe"]
    # EMQX matches a subscription's filter like a topic: `a/+` would give `a/#`.
    wide = {f"{filter_[:-1]}#" for filter_ in subscribed if filter_.split("/")[-1] == "+"}
    kept = [each for each in sorted(wide) if not any(covers(filter_, each) for filter_ in subscribed)]
    refused = [{"topic": f"eq {each}", "permission": "deny", "action": "subscribe"} for each in kept]
    return refused + [_plain(grant) for grant in grants]


def _plain(grant: Grant) -> dict[str, Any]:
    rule: dict[str, Any] = {"topic": grant.filter, "permission": "allow", "action": grant.action}
    if grant.action == "publish" and grant.qos is not None:
        rule["qos"] = list(grant.qos)
    if grant.action == "publish" and grant.retain is not None:
        rule["retain"] = grant.retain
    return rule


def _referenced(name: str, text: str) -> str:
    try:
        return resolve(text)
    except DriverError as error:
        raise NexusError(
            f"The password of '{name}' can't be read here.",
            code="NX7033",
            cause=error.message.replace("the gateway has", "there is").partition(":")[0],
            hint="set what `access.users` of the site file names",
        ) from None
