"""How principals of a site are called at a broker that others use, too.

Two plants never meet there, and what belongs to a site is known by its name.
"""

from __future__ import annotations

import re

SECOND = ".b"
"""Behind the name of an account: the second one of the same user, while one password takes the place of another (no broker lets a
user have two)."""
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\Z", re.ASCII)


def site_suffix(enterprise: str, site: str) -> str:
    """What the account of each principal ends with: `@acme.chicago`. A dot within a name is doubled, so that no two
    sites have the same."""
    return f"@{_doubled(enterprise)}.{_doubled(site)}"


def _doubled(name: str) -> str:
    return name.replace(".", "..")


def is_user_name(text: str) -> bool:
    """True for what a user or application may be called: brokers read topic rules into other signs."""
    return _USER.match(text) is not None
