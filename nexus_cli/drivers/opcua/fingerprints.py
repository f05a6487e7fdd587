"""Fingerprints as people copy them. Pure, no library: the site language uses it."""

from __future__ import annotations

import re

SHA1_DIGITS, SHA256_DIGITS = 40, 64
_LABEL = re.compile(r"(?:sha-?(?:1|256)\s*)?(?:fingerprint|thumbprint)?\s*[=:]?\s*(?:0x)?", re.IGNORECASE)
_SEPARATORS = re.compile(r"[:\s.\-\u200e\u200f\u202a-\u202e\ufeff]")
"""As openssl (`AB:CD`), Windows (`ab cd`, with an invisible mark in front) and people write them."""
_HEX = re.compile(r"[0-9A-Fa-f]+\Z")


def fingerprint(text: str) -> str | None:
    """A fingerprint in lower-case hex, however it was copied; None when the text is none (perhaps a file's name).

    Raises:
        ValueError: It is one, but some of it is missing.
    """
    label = _LABEL.match(text.strip("\u200e\u200f\ufeff \t"))
    bare = text.strip("\u200e\u200f\ufeff \t")
    digits = _SEPARATORS.sub("", bare[label.end() :] if label else bare)
    if not _HEX.match(digits) or len(digits) < SHA1_DIGITS // 2:
        return None
    if len(digits) in (SHA1_DIGITS, SHA256_DIGITS):
        return digits.lower()
    raise ValueError(f"a fingerprint has {SHA1_DIGITS} or {SHA256_DIGITS} hex digits, and this has {len(digits)}")
