"""How principals of a site are called at a broker that others use, too.

Two plants never meet there, and what is ours can be distinguished from what is not.
"""

from __future__ import annotations

SECOND = ".b"
"""Behind the name of an account: the second one of the same user, while one password takes the place of another (no broker lets a
user have two)."""


def site_suffix(enterprise: str, site: str) -> str:
    """What the account of each principal ends with: `@acme.chicago`. A dot within a name is doubled, so that no two
    sites have the same."""
    return f"@{_doubled(enterprise)}.{_doubled(site)}"


def _doubled(name: str) -> str:
    return name.replace(".", "..")
