"""A JSON Web Token for EMQX: who its holder is, and the rules of the site file for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.jwt import token
from nexus_cli.access.people import next_change_us
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
        ttl_s: How long it is valid, in s; it ends before, when a period or an hour of the user changes its rights.
        shared: True for a broker that others use, too.
        environ, now: Instead of the process's.

    Raises:
        NexusError: NX7049, there is no secret to sign with; NX7023, it can't sign, or the token is too long.
    """
    key = signing_secret(os.environ if environ is None else environ)
    accounts = Accounts(book.snapshot.enterprise, book.snapshot.site, shared)
    at = now or datetime.now(UTC)
    issued_s = int(at.timestamp())
    change_us = _next_change_us(book, user)
    if change_us is not None:
        ttl_s = min(ttl_s, change_us // 1_000_000 - issued_s)
    return token(book.grants, accounts, user, secret=key, issued_s=issued_s, ttl_s=ttl_s)


def _next_change_us(book: Book, user: str) -> int | None:
    """When the rights of one user begin or end next: EMQX takes a token's rules for good."""
    own = {
        address: value
        for address, value in book.snapshot.resources.items()
        if not address.startswith("user.") or address == f"user.{user}"
    }
    return next_change_us(replace(book.snapshot, resources=own), book.when)


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
