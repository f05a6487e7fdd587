"""What a renderer is asked for, whatever the broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.grants import Grant
from nexus_cli.access.passwords import Hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One site's rights for one broker.

    Attributes:
        grants: Of the whole site.
        accounts: How principals are called at the broker.
        hashes: Of passwords, by principal; who is not in it can't connect with the files alone.
        version: Of the broker, e.g. `5.8`; "" is the oldest known, whose files later ones read.
        topics: Of declared tags, for a broker that would read a wildcard as a wider one.
    """

    grants: Sequence[Grant]
    accounts: Accounts
    hashes: Mapping[str, Hashes] = field(default_factory=dict)
    version: str = ""
    topics: Sequence[str] = ()
