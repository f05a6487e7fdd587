"""Keys that hold secrets, and the form of a reference to one: one definition for checks, plans and excerpts."""

from __future__ import annotations

import re

NAMES = r"(?:password|passwort|passwd|pass|pwd|pw|passphrase|passcode|psk|secret|token|api[-_]?key|private[-_]?key)"
"""How the name of such a key ends, case aside; `plc-password` and `ua_token` do, `password_file` does not."""
_SECRET_KEY = re.compile(rf"(?:^|.*[-_]){NAMES}\Z", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{(?:env|file):[^{}]+\}")
_IN_URL = re.compile(r"(://[^/\s:@'\"]*:)([^\s'\"]*)(?=@)")
_IN_QUERY = re.compile(rf"([?&;][\w-]*{NAMES}=)([^&;#\s'\"]*)", re.IGNORECASE)
_BESIDE_HOST = re.compile(r"((?<=['\"\s])[^/\s:@'\"]+:)((?!//)[^\s'\"@]+)(?=@)")
"""`user:password@host`: a host written like a part of a URL."""


def is_secret_key(key: str) -> bool:
    """True when a connection key of this name holds a secret (`private_key` names a file and holds none)."""
    return _SECRET_KEY.match(key) is not None and not re.fullmatch(r"private[-_]?key", key, re.IGNORECASE)


def is_reference(value: object) -> bool:
    """True when the whole value is one `${env:NAME}` or `${file:PATH}`."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def references(text: str) -> list[str]:
    """Every `${env:…}` and `${file:…}` in a text."""
    return _REFERENCE.findall(text)


def password_in_url(text: str) -> bool:
    """True when a URL in the text has a password that is not one whole reference."""
    found = (match for pattern in (_IN_URL, _IN_QUERY) for match in pattern.finditer(text))
    return any(match[2] and not is_reference(match[2]) for match in found)


def without_passwords(text: str, *, mask: str = "*") -> str:
    """The text with the passwords of URLs masked, each character by `mask`, so that columns stay."""
    for pattern in (_IN_URL, _IN_QUERY, _BESIDE_HOST):
        text = pattern.sub(
            lambda match: match[1] + (match[2] if is_reference(match[2]) else mask * len(match[2])), text
        )
    return text
