"""How principals are called at a broker.

The broker that `nexus up` runs serves one site, and knows its principals by their own names. On a broker that others
use too, an account carries the site (`nexus.control@acme.chicago`): two plants never meet, and what is ours can be told from what is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nexus_cli.access.grants import RESERVED

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
        return f"@{_level(self.enterprise)}.{_level(self.site)}" if self.shared else ""

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

        NEXUS's own processes connect as `ACCOUNT-PURPOSE-SECRET` (`wire.identity.client_id`); nobody else's rights
        depend on an id.
        """
        if not principal.startswith(RESERVED):
            return None
        return f"^{re.escape(self.account(principal))}-[a-z0-9._-]+-{_RANDOM}$"


def _level(name: str) -> str:
    return name.replace(".", "..")
