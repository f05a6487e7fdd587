"""What a cluster of EMQX should have for a site: rules by account, and the passwords that are known here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.database_rule import Rule, read_rules
from nexus_cli.access.brokers.emqx.hashing import Algorithm, UserHash, fits, hash_for, of_hashes, read_kept
from nexus_cli.access.brokers.emqx.names import check_name
from nexus_cli.access.brokers.emqx.rules import database_rules
from nexus_cli.access.compile import ANY_TIME, Moment, compile_grants
from nexus_cli.access.grants import Grant, principals
from nexus_cli.access.passwords import Hashes
from nexus_cli.accounts import SECOND
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.access_config import UserConfig
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.settings import Settings

NO_BOUND = 1_000_000
"""How many rules fit is asked of the cluster itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What should be there.

    Attributes:
        accounts: Of the site.
        grants: Of its principals; second accounts have their own.
        names: Principals that have an account, with or without a grant.
        passwords: Clear text by account, where it is known. Never shown.
        hashes: By account, where only those are known.
    """

    accounts: Accounts
    grants: tuple[Grant, ...] = ()
    names: tuple[str, ...] = ()
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    hashes: Mapping[str, Hashes] = field(default_factory=dict, repr=False)

    def rules(self, version: str) -> dict[str, tuple[Rule, ...]]:
        """The entry of each account, as this version of EMQX takes it.

        Raises:
            NexusError: NX7010, NX7020: a name or topic that EMQX would misread.
        """
        numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:3])
        entries = database_rules(self.grants, self.accounts, version=numbers, max_rules=NO_BOUND).users
        found: dict[str, tuple[Rule, ...]] = {self.accounts.account(name): () for name in self.names}
        return found | {str(entry["username"]): read_rules(entry["rules"]) for entry in entries}

    def hashed(self, algorithm: Algorithm, pushed: Mapping[str, str]) -> dict[str, UserHash]:
        """Every known password in an authenticator's form; the form that was pushed last where it still fits."""
        found: dict[str, UserHash] = {}
        for name, password in self.passwords.items():
            have = read_kept(pushed.get(name, ""))
            found[name] = have if have and fits(algorithm, password, have) else hash_for(algorithm, password)
        for name, hashes in self.hashes.items():
            if (form := of_hashes(algorithm, hashes)) is not None:
                found[name] = form
        return found


def nothing(accounts: Accounts) -> Wanted:
    """For the removal of all that is the site's."""
    return Wanted(accounts=accounts)


def wanted_of(
    snapshot: Snapshot,
    settings: Settings,
    *,
    hashes: Mapping[str, Hashes] | None = None,
    when: Moment = ANY_TIME,
) -> Wanted:
    """Compile a site, and find the passwords of its principals.

    Args:
        snapshot: What is declared.
        settings: The broker passwords of `.nexus/credentials.json`, by principal; what the site file names wins.
        when: The moment whose rights are pushed.
        hashes: What control stored, by principal or second account; they win where the authenticator can check them.
        now: The clock; None is this machine's. Whose period is over, or has not begun, has no rights.

    Raises:
        NexusError: NX7010, a name that EMQX would misread; NX7033, a password reference leads nowhere.
    """
    accounts = Accounts(snapshot.enterprise, snapshot.site)
    users = dict(every(snapshot, "user", UserConfig))
    grants = compile_grants(snapshot, when=when)
    names = {*principals(grants), *users}
    hashed = {name: each for name, each in (hashes or {}).items() if _is(name, names)}
    broker = settings.credentials.get("broker", {})
    stored = {name: str(each) for name, each in broker.items() if _is(name, names) and name not in hashed}
    stored |= {name: _referenced(name, user.password) for name, user in users.items() if user.password}
    everybody = sorted(names | set(stored) | set(hashed))
    for name in everybody:
        check_name(accounts.account(name))
    return Wanted(
        accounts=accounts,
        grants=tuple(_grants(grants, everybody)),
        names=tuple(everybody),
        passwords={accounts.account(name): each for name, each in stored.items()},
        hashes={accounts.account(name): each for name, each in hashed.items()},
    )


def _is(name: str, names: Collection[str]) -> bool:
    """Whether a credential is that of a principal, or of its second account."""
    return name in names or (name.endswith(SECOND) and name.removesuffix(SECOND) in names)


def _grants(grants: Iterable[Grant], names: Collection[str]) -> list[Grant]:
    """All grants, those of second accounts included: they may do what the first ones may."""
    by_principal: dict[str, list[Grant]] = {}
    for grant in grants:
        by_principal.setdefault(grant.principal, []).append(grant)
    found = [grant for each in by_principal.values() for grant in each]
    for name in names:
        if name.endswith(SECOND) and name not in by_principal:
            found += [replace(grant, principal=name) for grant in by_principal.get(name.removesuffix(SECOND), ())]
    return found


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
