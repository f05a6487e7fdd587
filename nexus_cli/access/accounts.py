"""How principals are called at a broker.

The broker that `nexus up` runs serves one site, and knows its principals by their own names. On a broker that others
use too, an account carries the site (`nexus.control@acme.chicago`): two plants never meet, and NEXUS's accounts can be distinguished from all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from nexus_cli.access.grants import RESERVED, Grant, join
from nexus_cli.accounts import SECOND, site_suffix

_RANDOM = "[0-9a-f]{24}"
"""As `wire.identity.client_id` makes it."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of one site.

    Attributes:
        enterprise, site: As the site file names them.
        shared: True on a broker that others use, too.
    """

    enterprise: str
    site: str
    shared: bool = True

    @property
    def suffix(self) -> str:
        """What the name of each account ends with; "" on a broker of our own. A dot within a level is doubled."""
        return site_suffix(self.enterprise, self.site) if self.shared else ""

    def account(self, principal: str) -> str:
        """User name at the broker of a principal."""
        return principal + self.suffix

    def principal(self, account: str) -> str | None:
        """The principal of an account; None when it is not one of this site."""
        if not self.suffix:
            return account
        return account.removesuffix(self.suffix) if account.endswith(self.suffix) and account != self.suffix else None

    def client_ids(self, principal: str) -> str | None:
        """Regular expression, anchored, of the client ids that a principal may use; None when any will do.

        NEXUS's own processes connect as `ACCOUNT-PURPOSE-SECRET` (`wire.identity.client_id`); the rights of others
        depend on no id.
        """
        if not principal.startswith(RESERVED):
            return None
        return f"^{re.escape(self.account(principal))}-[a-z0-9._-]+-{_RANDOM}$"


Password = TypeVar("Password")


def account_in(slot: str, user: str) -> str:
    """The account of a user in a slot, `a` or `b`."""
    return user + SECOND if slot == "b" else user


def with_second_accounts(
    grants: Iterable[Grant], people: Mapping[tuple[str, str], Password]
) -> tuple[tuple[Grant, ...], dict[str, Password]]:
    """Grants and passwords by account; topics name the user in both accounts.

    Args:
        grants: Of a site.
        people: Hashed password by user and slot.

    Returns:
        The grants, those of users with a second account twice, sorted; and the hashes by account. A second account that
        is called like a user of its own is left out: each would get in with the rights of both.
    """
    grants = tuple(grants)
    named = {grant.principal for grant in grants} | {user for user, slot in people if slot == "a"}
    # A user that has the name of another's second account keeps it: neither gets the other's rights.
    people = {key: each for key, each in people.items() if key[1] != "b" or account_in("b", key[0]) not in named}
    second = {user for user, slot in people if slot == "b"}
    twice = (
        replace(grant, principal=account_in("b", grant.principal)) for grant in grants if grant.principal in second
    )
    return join(grants, twice), {account_in(slot, user): hashed for (user, slot), hashed in people.items()}
