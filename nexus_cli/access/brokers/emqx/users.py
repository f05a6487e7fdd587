"""Users of EMQX's built-in authentication: the bootstrap file, as JSON.

Not CSV: there a space or a comma in any value makes EMQX skip the whole file and start without users.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nexus_cli.access.brokers.emqx.names import check_name
from nexus_cli.access.passwords import ITERATIONS, Hashes
from nexus_cli.diagnostics.errors import NexusError

FILE = "users.json"


def bootstrap_users(hashes: Mapping[str, Hashes], *, iterations: int = ITERATIONS) -> str:
    """The bootstrap file (`bootstrap_type = hash`): users who are not there yet are added, and those who are stay as they are.

    Args:
        hashes: By account.
        iterations: Of PBKDF2, as the authenticator's configuration has it: EMQX knows one number for all.

    Raises:
        NexusError: NX7010, an account that can't be one; or a hash that this authenticator can't check.
    """
    users = [user_entry(account, each, iterations=iterations) for account, each in sorted(hashes.items())]
    return msgspec.json.format(msgspec.json.encode(users), indent=2).decode() + "\n"


def user_entry(account: str, hashes: Hashes, *, iterations: int = ITERATIONS) -> dict[str, Any]:
    """One user: PBKDF2-HMAC-SHA256 as hexadecimal; the salt is its own text. Never a superuser.

    Raises:
        NexusError: NX7010.
    """
    check_name(account)
    count, _, rest = hashes.sha256.partition("$")
    salt, _, key = rest.partition("$")
    if count != str(iterations) or not salt or len(key) != 64:
        raise NexusError(
            f"The password of '{account}' is not hashed as EMQX is told to check it.",
            code="NX7010",
            cause=f"{count or 'no'} iterations of PBKDF2-HMAC-SHA256 instead of {iterations}",
            hint="give the user a new password (`nexus access rotate`)",
        )
    return {"user_id": account, "password_hash": key, "salt": salt, "is_superuser": False}
