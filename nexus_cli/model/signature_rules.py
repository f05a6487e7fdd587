"""`signatures:` in normal form: durations in ms, moments in µs since 1970 UTC."""

from __future__ import annotations

from nexus_cli.model.calendar import EPOCH, microseconds, parse_moment, zone_named
from nexus_cli.model.signatures import Signatures
from nexus_cli.wire.signature import KeyRules, SignatureRules


def signature_rules(declared: Signatures, *, zone: str | None) -> SignatureRules | None:
    """The rules; None where nothing is declared. A day begins where the site is (`zone`)."""
    if not declared.require and not declared.keys:
        return None
    return SignatureRules(
        require=list(declared.require),
        window_ms=declared.window,
        keys={
            name: KeyRules(
                algorithm=key.algorithm,
                principals=list(key.principals),
                secret=key.secret or "",
                public=key.public or "",
                topics=list(key.topics),
                from_us=moment_us(key.from_, zone=zone),
                until_us=moment_us(key.until, zone=zone),
            )
            for name, key in declared.keys.items()
        },
    )


def moment_us(text: str | None, *, zone: str | None) -> int | None:
    """A declared moment in µs since 1970 UTC; None for none."""
    if text is None:
        return None
    return microseconds(parse_moment(text, now=EPOCH, zone=zone_named(zone or "UTC")))
