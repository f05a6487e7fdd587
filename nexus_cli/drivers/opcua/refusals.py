"""Why a server refuses a session, in sentences that name the file, the thumbprint and what to do. Pure but for the files' names.

Source: OPC 10000-4 §6.1.3 (certificates), §5.7.3 (ActivateSession), §7.41 (identity tokens).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.opcua.certificates import Facts, facts_of
from nexus_cli.drivers.opcua.status import name_of
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.wire.sample import Reason

REST_S = 300.0
"""How long a refused login is not repeated: servers and domains lock accounts after a few."""
UNTRUSTED = frozenset({0x80130000, 0x801A0000})
"""Bad_SecurityChecksFailed (how servers hide the reason from strangers), Bad_CertificateUntrusted."""
CERTIFICATE = frozenset({*range(0x80120000, 0x801E0001, 0x10000), 0x810D0000, 0x81140000})
"""Bad_CertificateInvalid to Bad_CertificateIssuerRevoked, _CertificateChainIncomplete, _CertificatePolicyCheckFailed."""
NOT_OFFERED = frozenset({0x80540000, 0x80550000})
"""Bad_SecurityModeRejected, _SecurityPolicyRejected."""
IDENTITY = frozenset({0x801F0000, 0x80200000, 0x80210000})
"""Bad_UserAccessDenied, _IdentityTokenInvalid, _IdentityTokenRejected."""
OF_USER = frozenset({*IDENTITY, 0x80130000, 0x80570000})
"""What says no to the user while a session is activated: _SecurityChecksFailed and _UserSignatureInvalid as well. A server
that starts, stops or is busy answers with other codes, which say nothing of the password."""
APPLICATION_SIGNATURE = 0x80580000
"""Bad_ApplicationSignatureInvalid: our private key is not that of our certificate, to the server."""
TOO_MANY_SESSIONS, NO_ENDPOINT = 0x80560000, 0x80830000
KINDS = {0: "anonymous sessions", 1: "user names", 2: "user certificates", 3: "issued tokens"}
"""By UserTokenType. Source: OPC 10000-4 §7.42."""
_ANSWERS = {
    0: "leave out `user` and `user_certificate`",
    1: "set `user` and `password`",
    2: "set `user_certificate` and `user_private_key`",
}


@dataclass(slots=True)
class Attempt:
    """What is being tried.

    Attributes:
        endpoint: As in the file.
        security: Policy and mode, `None` without.
        user: User name, "" when there is none.
        user_certificate: File of an X.509 user, "" when it is none.
        certificate: Our own certificate's file; None without security.
        announced: `host:port` that the server says it has, "" when that is not followed.
        identifying: The session is open; the user is refused.
    """

    endpoint: str
    security: str = "None"
    user: str = ""
    user_certificate: str = ""
    certificate: Path | None = None
    announced: str = ""
    identifying: bool = False

    @property
    def kind(self) -> int:
        """The UserTokenType of the identity."""
        return 2 if self.user_certificate else 1 if self.user else 0


def refused(attempt: Attempt, code: int) -> DriverError:
    """The server's answer to an attempt, by its status code."""
    masked = code & 0xFFFF0000
    of_user = masked in OF_USER or (attempt.kind == 2 and masked in CERTIFICATE)
    if masked in IDENTITY or (attempt.identifying and of_user):
        return _identity(attempt, code)
    if (masked in CERTIFICATE or masked == APPLICATION_SIGNATURE) and attempt.certificate is not None:
        return _final(_certificate(attempt, masked, code), code, retriable=True, kind=FailureKind.CERTIFICATE)
    if masked in NOT_OFFERED or (masked in CERTIFICATE and attempt.certificate is None):
        return _final(
            f"{attempt.endpoint} refuses security {attempt.security} ({name_of(code)})",
            code,
            kind=FailureKind.SECURITY_NOT_OFFERED,
        )
    text = f"{attempt.endpoint} refused the connection ({name_of(code)})"
    if masked == TOO_MANY_SESSIONS:
        text = (
            f"{attempt.endpoint} has no session left for us ({name_of(code)}); it may still hold our last one, "
            "for at most its session_timeout"
        )
    elif masked == NO_ENDPOINT:
        text = (
            f"{attempt.endpoint} knows no endpoint of this name ({name_of(code)}): look at host and path of `endpoint`"
        )
    return DriverError(text, scope=Scope.SESSION, reason=Reason.LINK_LOST, code=code)


def not_offered(attempt: Attempt, offered: Sequence[str]) -> DriverError:
    """Policy and mode are not among those of the server."""
    known = sorted(set(offered))
    first = next((name for name in reversed(known) if name != "None"), known[0] if known else "")
    hint = f": set `security: {first}`" if attempt.security == "None" and first else ""
    return _final(
        f"{attempt.endpoint} does not offer {attempt.security}; it offers {', '.join(known) or 'nothing that we know'}{hint}",
        kind=FailureKind.SECURITY_NOT_OFFERED,
    )


def no_such_identity(attempt: Attempt, offered: Collection[int]) -> DriverError | None:
    """The server takes no identity of our kind; None when it does, or says nothing."""
    if not offered or attempt.kind in offered:
        return None
    known = [kind for kind in sorted(offered) if kind in KINDS]
    answer = next((_ANSWERS[kind] for kind in (1, 2, 0) if kind in offered), "")
    takes = " and ".join(KINDS[kind] for kind in known) or "none that we know"
    return _final(
        f"{attempt.endpoint} takes no {KINDS[attempt.kind]} with security {attempt.security}; it takes {takes}"
        + (f": {answer}" if answer else "")
    )


def password_too_long(attempt: Attempt, *, size_bytes: int, key: x509.Certificate | None, hashed: int) -> DriverError:
    """The password does not fit the one block that the server's key encrypts.

    Args:
        attempt: What is being tried.
        size_bytes: Of the password in UTF-8.
        key: The server's certificate.
        hashed: Bytes of the padding's hash: 20 or 32.
    """
    size = getattr(key.public_key(), "key_size", 0) // 8 if key is not None else 0
    # Source: RFC 8017 §7.1.1 (OAEP); OPC 10000-4 §7.41.2.2: length (4) + password + server nonce (32)
    most = f"; at most {size - 2 * hashed - 2 - 36} fit its key" if size else ""
    return _final(f"the password for {attempt.endpoint} has {size_bytes} bytes, too many to be encrypted{most}")


def unreachable(attempt: Attempt, why: str, *, kind: FailureKind = FailureKind.OTHER) -> DriverError:
    """There is no answer at the address, or at the one that the server announced."""
    text = f"{attempt.endpoint} can't be reached ({why})"
    if attempt.announced and f"//{attempt.announced}" not in attempt.endpoint:
        text = (
            f"{attempt.endpoint} announces itself as {attempt.announced}, which can't be reached ({why}); "
            "leave out `override_host: false` to stay on the host of `endpoint`"
        )
    return DriverError(text, scope=Scope.SESSION, reason=Reason.LINK_LOST, kind=kind)


def _identity(attempt: Attempt, code: int) -> DriverError:
    name, kind = name_of(code), FailureKind.OTHER
    if attempt.kind == 2:
        thumbprint = _named(Path(attempt.user_certificate))
        text = f"{attempt.endpoint} refused the user certificate {thumbprint} ({name})"
        kind = FailureKind.CERTIFICATE
    elif attempt.kind == 1:
        kind = FailureKind.LOGIN_REFUSED
        text = f"{attempt.endpoint} refused the user name or password of '{attempt.user}' ({name})"
    else:
        text = f"{attempt.endpoint} takes no anonymous sessions ({name}): {_ANSWERS[1]}, or {_ANSWERS[2]}"
    rest_s = REST_S if attempt.kind else 0.0
    return _final(text, code, rest_s=rest_s, kind=kind)


def _certificate(attempt: Attempt, masked: int, code: int) -> str:
    ours = attempt.certificate
    assert ours is not None
    facts = facts_of(ours)
    name, named = name_of(code), _named(ours)
    renew = "`nexus certs renew` makes a new one, which the server must trust again"
    if masked == 0x80140000:
        span = f", valid from {facts.valid_from:%Y-%m-%d} to {facts.valid_until:%Y-%m-%d}" if facts else ""
        return f"{attempt.endpoint} finds our certificate outside its validity ({name}): {named}{span}; {renew}, or a clock is wrong"
    if masked in (0x80160000, 0x80170000):
        what = "host name" if masked == 0x80160000 else "application URI"
        held = f" {', '.join(facts.hosts) if masked == 0x80160000 else facts.uri}" if facts else ""
        return f"{attempt.endpoint} refuses the {what}{held} of our certificate ({name}): {named}; {renew}"
    if masked in UNTRUSTED:
        return (
            f"{attempt.endpoint} does not trust our certificate ({name}): trust {named} on the server "
            "(`nexus certs export` copies it)"
        )
    return f"{attempt.endpoint} can't use our certificate ({name}): {named}; {renew}"


def _named(path: Path) -> str:
    facts: Facts | None = facts_of(path)
    return f"{path}, thumbprint {facts.thumbprint}" if facts else str(path)


def _final(
    message: str,
    code: int = 0,
    *,
    retriable: bool = False,
    rest_s: float = 0.0,
    kind: FailureKind = FailureKind.OTHER,
) -> DriverError:
    return DriverError(
        message,
        scope=Scope.SESSION,
        retriable=retriable,
        reason=Reason.ACCESS_DENIED,
        code=code,
        rest_s=rest_s,
        kind=kind,
    )
