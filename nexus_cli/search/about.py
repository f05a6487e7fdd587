"""What is said about the data of a tag or a place: owner, class, personal data, and where it comes from in short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nexus_cli.model.resources import PlaceConfig


class About(NamedTuple):
    """What is said about data; "" where nothing is."""

    description: str = ""
    owner: str = ""
    classification: str = ""
    pii: bool = False
    lineage: str = ""

    def words(self) -> tuple[str, str, str, str]:
        """As they are searched: owner, class, `pii` and lineage."""
        return self.owner, self.classification, "pii" if self.pii else "", self.lineage


NOTHING_SAID = About()


def about_place(place: PlaceConfig | None) -> About:
    """What an area or a line says."""
    if place is None:
        return NOTHING_SAID
    return About(place.description, place.owner, place.classification, place.pii)


def about_tag(attributes: Mapping[str, Any], *, external: bool) -> About:
    """What the recorded attributes of a tag (or a device) say."""
    get = attributes.get
    expr = str(get("expr") or "")
    lineage = f"= {expr}" if expr else "published by others" if external else ""
    owner, classification, pii = str(get("owner") or ""), str(get("classification") or ""), bool(get("pii"))
    if not (lineage or owner or classification or pii):
        return NOTHING_SAID
    return About("", owner, classification, pii, lineage)
