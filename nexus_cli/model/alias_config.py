"""Old paths under which live values are published for a while after a rename (`keep_old_for`), in normal form.

See docs/decisions/0105.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.wire.topic import is_slug

ALIAS = "alias."
"""How the address of the resource begins; the old path follows."""
TAG_LEVELS = 4
"""area/line/device/tag."""


class AliasConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `alias.OLD`: everything below `to` is published below OLD as well.

    Attributes:
        to: Where it is now: an area, a line, a device or a tag; as deep as the old path.
        for_ms: How long, from the deployment that records it on.
        gateways: Who publishes it, sorted.
    """

    to: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    for_ms: Annotated[int, msgspec.Meta(gt=0, lt=2**53)]
    gateways: list[str] = []


def is_old_path(path: str) -> bool:
    """Whether it is the path of an area, a line, a device or a tag."""
    levels = path.split("/")
    return len(levels) <= TAG_LEVELS and all(map(is_slug, levels))


def covered(prefix: str, path: str) -> bool:
    """Whether a path is a prefix or lies below it."""
    return path == prefix or path.startswith(f"{prefix}/")


def under(path: str, *, new: str, old: str) -> str:
    """The old path of what is at or below `new` now."""
    return old + path[len(new) :]
