"""A JSON Web Token for EMQX: who its holder is, and the rules of the site file for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.jwt import token
from nexus_cli.access.questions import Book
from nexus_cli.diagnostics.errors import NexusError

VARIABLE = "NEXUS_EMQX_JWT_SECRET"
_PEM = b"-----BEGIN"


def broker_token(
    book: Book,
    *,
    user: str,
    ttl_s: int,
    shared: bool,
    environ: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> str:
    """The token. It is a secret.

    Args:
        book: The site's rights at this moment.
        user: Whose.
        ttl_s: How long it is valid, in s; at most until the user's rights change by themselves.
        shared: True for a broker that others use, too.
        environ, now: Instead of the process's.

    Raises:
        NexusError: NX7049, there is no secret to sign with; NX7023, it can't sign, or the token is too long.
    """
    key = signing_secret(os.environ if environ is None else environ)
    accounts = Accounts(book.snapshot.enterprise, book.snapshot.site, shared)
    at = now or datetime.now(UTC)
    if (change_us := book.next_change(user)) is not None:  # no token outlives the rights in it
        ttl_s = min(ttl_s, max(1, change_us // 1_000_000 - int(at.timestamp())))
    return token(book.grants, accounts, user, secret=key, issued_s=int(at.timestamp()), ttl_s=ttl_s)


def signing_secret(environ: Mapping[str, str]) -> bytes:
    """The secret that EMQX checks with, or a PEM private key; from a variable, or the file that a variable names."""
    if value := environ.get(VARIABLE):
        return value.encode()
    file = environ.get(f"{VARIABLE}_FILE")
    if not file:
        raise NexusError(
            "There is no secret to sign a broker token with.",
            code="NX7049",
            hint=f"{VARIABLE}_FILE=FILE names a file with the secret that EMQX has, or with a private key in PEM",
        )
    try:
        found = Path(file).read_bytes()
    except OSError as error:
        raise NexusError(f"{VARIABLE}_FILE can't be read.", code="NX7049", cause=error.strerror or "") from None
    return found if found.startswith(_PEM) else found.strip()
