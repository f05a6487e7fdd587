"""The site's signing keys, ready to check with: secrets are resolved in the environment of this process, and only here.

See docs/decisions/0097.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.secrets import resolve
from nexus_cli.runtime.logging import event
from nexus_cli.wire.signature import HMAC, KeyRules, SignatureError, SignatureRules, checker

_log = logging.getLogger("nexus.signatures")
Check = Callable[[bytes, bytes], bool]


class SigningKey(NamedTuple):
    """A key.

    Attributes:
        rules: As recorded.
        check: Is a signature (second) that of bytes (first)? None where the key can't be used here.
        problem: Why not.
    """

    rules: KeyRules
    check: Check | None
    problem: str

    def invalid(self, name: str, *, signed_us: int, now_us: int) -> str:
        """Why it may not have signed at that moment, or not be believed now (µs since 1970 UTC); "" when it may."""
        if self.rules.from_us is not None and min(now_us, signed_us) < self.rules.from_us:
            return f"the key '{name}' is not valid yet"
        if self.rules.until_us is not None and max(now_us, signed_us) >= self.rules.until_us:
            return f"the key '{name}' has ended"
        return ""


def signing_keys(rules: SignatureRules) -> Mapping[str, SigningKey]:
    """The keys by id; one that can't be used is in the log."""
    return {name: _key(name, each) for name, each in rules.keys.items()}


def _key(name: str, rules: KeyRules) -> SigningKey:
    try:
        secret = resolve(rules.secret) if rules.algorithm == HMAC else ""
        return SigningKey(rules, checker(rules, secret=secret), "")
    except (DriverError, SignatureError) as error:
        event(_log, "a signing key can't be used", level=logging.WARNING, key=name, cause=str(error))
        return SigningKey(rules, None, str(error))
