"""`signatures:` as it is recorded, and as control reads it back."""

from __future__ import annotations

import msgspec

from nexus_cli.model.resources import SiteConfig
from nexus_cli.model.signature_rules import signature_rules
from nexus_cli.model.signatures import Signatures
from nexus_cli.wire.signature import KeyRules, SignatureRules


def test_days_begin_where_the_site_is_and_the_record_reads_back() -> None:
    declared = Signatures.model_validate(
        {
            "require": ["command"],
            "window": "10s",
            "keys": {
                "mes": {
                    "algorithm": "hmac-sha256",
                    "secret": "${env:MES}",
                    "principals": ["mes"],
                    "from": "2027-01-01",
                    "until": "2027-02-01T00:00:00+00:00",
                }
            },
        }
    )
    rules = signature_rules(declared, zone="Europe/Berlin")
    key = KeyRules(
        algorithm="hmac-sha256",
        secret="${env:MES}",
        principals=["mes"],
        from_us=1_798_758_000_000_000,
        until_us=1_801_440_000_000_000,
    )
    assert rules == SignatureRules(require=["command"], window_ms=10_000, keys={"mes": key})
    recorded = msgspec.to_builtins(SiteConfig(enterprise="acme", site="chicago", signatures=rules))
    assert msgspec.convert(recorded["signatures"], SignatureRules) == rules


def test_a_site_that_says_nothing_records_nothing() -> None:
    assert signature_rules(Signatures(), zone=None) is None
    assert "signatures" not in msgspec.to_builtins(SiteConfig(enterprise="acme", site="chicago"))
