"""The result of a discovery, for online browsing and the importers of files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from nexus_cli.discover.facts import Facts
from nexus_cli.discover.site_keys import ConnectionKeys, TagKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One value that could become a tag.

    Attributes:
        device: Suggested device slug, "" for the device being discovered.
        name: Original names, outermost first; kept in the description or a label when slugged.
        tag: As it would be written; never `writable`.
    """

    device: str
    name: tuple[str, ...]
    tag: TagKeys


class Skipped(NamedTuple):
    """One thing that did not become a tag, or one key of a tag that was left out, with the reason."""

    what: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Discovery:
    """Everything found at one place. Every input is in `found` or `skipped`.

    Attributes:
        protocol: As in `protocol:`.
        connection: Keys of `connection:` as far as they are known.
        found: In the order of the source.
        skipped: In the order of the source.
        source: What was discovered, for people: an address or the name of a file.
        facts: What else is known.
    """

    protocol: str
    connection: ConnectionKeys = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    source: str = ""
    facts: Facts = field(default_factory=Facts)
