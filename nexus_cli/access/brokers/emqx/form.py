"""Which form of EMQX's rules a site needs: a file, or the built-in database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nexus_cli.access.grants import Grant, principals

NS_PER_RULE = 40
"""What one rule that does not match costs at each check that is not cached. Measured with EMQX 5.8's rule code."""
MOST_IN_A_FILE = 2_000
"""From there on a check costs more than 80 µs on each broker core."""

Form = Literal["file", "database"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """The form that fits, and why.

    Attributes:
        form: `file` or `database`.
        rules: Rules that allow in a file: one for each account, action and limit.
        reason: For people.
    """

    form: Form
    rules: int
    reason: str


def volume_of(grants: Sequence[Grant]) -> Volume:
    """Choose by the number of rules that EMQX would have to go through."""
    rules = len({(grant.principal, grant.action, grant.qos, grant.retain) for grant in grants})
    accounts = len(principals(grants))
    cost = f"{rules:,} rules for {accounts:,} accounts, about {rules * NS_PER_RULE / 1000:,.0f} µs a check"
    if rules > MOST_IN_A_FILE:
        reason = f"{cost}: more than {MOST_IN_A_FILE:,}, so the built-in database, which looks up the account's own"
        return Volume(form="database", rules=rules, reason=reason)
    return Volume(form="file", rules=rules, reason=f"{cost}: a file, which shows every right in one place")
