"""When certificates in files end, and what to say about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

SOON = timedelta(days=30)
"""So long before its end a certificate is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When a certificate ends.

    Attributes:
        name: What it is to the reader: `server`, `ca`, `broker`.
        file: Where it is; "" for one that a server shows.
        not_after: UTC.
        hint: What renews it.
    """

    name: str
    file: str
    not_after: datetime
    hint: str = ""

    def seconds(self, now: datetime) -> float:
        """Seconds until its end, negative after it."""
        return (self.not_after - now).total_seconds()

    def doubt(self, now: datetime) -> str:
        """ "" while it is valid for longer than `SOON`, else a sentence."""
        left, day = self.not_after - now, f"{self.not_after:%Y-%m-%d}"
        if left <= timedelta(0):
            text = f"the certificate {self.name} expired on {day}"
        elif left < SOON:
            when = "within a day" if left < timedelta(days=1) else f"in {left.days} day" + "s" * (left.days != 1)
            text = f"the certificate {self.name} expires {when}, on {day}"
        else:
            return ""
        return f"{text}: {self.hint}" if self.hint else text


def expiry_of(path: str | Path, name: str, *, hint: str = "") -> Expiry | None:
    """The end of a PEM file's first certificate; None when it can't be read."""
    try:
        loaded = x509.load_pem_x509_certificates(Path(path).read_bytes())[0]
    except (OSError, ValueError, IndexError):
        return None
    return Expiry(name=name, file=str(path), not_after=loaded.not_valid_after_utc, hint=hint)


def expiry_of_der(der: bytes, name: str, *, hint: str = "") -> Expiry | None:
    """The end of a certificate that a server shows; None when it can't be read."""
    try:
        loaded = x509.load_der_x509_certificate(der)
    except ValueError:
        return None
    return Expiry(name=name, file="", not_after=loaded.not_valid_after_utc, hint=hint)


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)
