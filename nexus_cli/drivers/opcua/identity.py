"""The identity for a server: anonymous, a user name with its password, or an X.509 certificate with its key.

Source: OPC 10000-4 §7.41 (UserIdentityToken), §5.7.3 (the signature over certificate and nonce).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from cryptography import x509

from nexus_cli.drivers.opcua import security
from nexus_cli.drivers.opcua.refusals import Attempt, no_such_identity, password_too_long
from nexus_cli.drivers.secrets import resolve

PSS = "Aes256_Sha256_RsaPss"


@dataclass(frozen=True, slots=True)
class Identity:
    """Secrets are here and nowhere else."""

    attempt: Attempt
    password: str = ""
    certificate: x509.Certificate | None = None
    key: Any = None


def of(connection: Mapping[str, Any], attempt: Attempt, environ: Mapping[str, str]) -> Identity:
    """The identity that the file gives; what it is called is noted in the attempt.

    Raises:
        DriverError: A secret or a file is not there.
    """
    if connection.get("user_certificate"):
        path, key = Path(str(connection["user_certificate"])), Path(str(connection["user_private_key"]))
        attempt.user_certificate = str(path)
        certificate = security.load_certificate(path)
        return Identity(attempt, certificate=certificate, key=security.check_pair(path, certificate, key))
    if connection.get("user"):
        attempt.user = resolve(str(connection["user"]), environ=environ)
        return Identity(attempt, resolve(str(connection.get("password") or ""), environ=environ))
    return Identity(attempt)


async def activate(client: Client, identity: Identity, offered: set[int]) -> None:
    """Activate the session that was created; `offered` are the token types that the server takes.

    Raises:
        DriverError: The server takes no such identity, or the password is too long for its key.
        ua.UaStatusCodeError: The server refuses it.
    """
    attempt = identity.attempt
    refused = no_such_identity(attempt, offered)
    if refused is not None:
        raise refused
    attempt.identifying = True
    client.user_private_key = identity.key
    try:
        await client.activate_session(
            username=attempt.user or None, password=identity.password or None, certificate=identity.certificate
        )
    except ValueError as error:  # how cryptography says that a text is longer than the key
        if not identity.password:
            raise
        raise _too_long(client, identity) from error
    attempt.identifying = False


def _too_long(client: Client, identity: Identity) -> Exception:
    der = client.security_policy.peer_certificate
    try:
        server = x509.load_der_x509_certificate(der) if der else None
    except ValueError:
        server = None
    policy = str(client.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri)
    size = len(identity.password.encode())
    return password_too_long(identity.attempt, size_bytes=size, key=server, hashed=32 if policy.endswith(PSS) else 20)
