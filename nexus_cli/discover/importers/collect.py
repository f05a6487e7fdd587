"""Collects one import: what was proposed, what was skipped and why. Everything is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from nexus_cli.discover.facts import Facts
from nexus_cli.discover.found import Discovery, Found, Skipped
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.validation import Validator
from nexus_cli.discover.site_keys import ConnectionKeys, TagKeys

LONGEST = 120
"""Characters of a name or a value in a skipped note."""

NAMELESS = "without a name"
TEXTS = ("description", "labels", "values", "unit")
"""Keys with another tool's texts for people."""


class Collector:
    """Gathers one `Discovery`.

    Attributes:
        connection: Connection keys of the file; those that do not fit are removed when the discovery is made.
        device: Suggested device of tags that name none; "" for the device being discovered.
        facts: Identity and counts, completed when the discovery is made.
    """

    def __init__(self, protocol: str, *, source: str, options: ImportOptions) -> None:
        self.protocol = protocol
        self.source = source
        self.options = options
        self.connection: ConnectionKeys = {}
        self.device = ""
        self.facts = Facts()
        self._proposed: list[Found] = []
        self._skipped: list[Skipped] = []
        self._entries = 0
        self._values = 0
        self._notes = 0
        self._promised = False

    @contextmanager
    def entry(self, what: str) -> Iterator[None]:
        """Around one entry of the file; it is skipped by name when nothing was taken from it."""
        self._entries += 1
        self._promised = False
        before = self._values
        yield
        if self._values == before and not self._promised:
            self.skip(what, "there is nothing in it")

    def promise(self) -> None:
        """The current entry is taken or skipped later."""
        self._promised = True

    def take(self, name: Sequence[str], tag: TagKeys, *, device: str = "") -> None:
        """Propose a tag; keys whose value is None are left out."""
        levels = tuple(level.replace("${", "$(") for level in name if level.strip()) or (NAMELESS,)
        full = "/".join(levels)
        if self.full:
            self.skip(full, f"the file has more than {self.options.max_tags} values")
            return
        self._values += 1
        kept = {key: plain(value) if key in TEXTS else value for key, value in tag.items() if value is not None}
        self._proposed.append(Found(device=device or self.device, name=levels, tag=cast("TagKeys", kept)))

    def skip(self, what: str, reason: str) -> None:
        """A value that does not become a tag."""
        self._values += 1
        self._skipped.append(Skipped(short(what) or NAMELESS, short(reason, 300)))

    def note(self, what: str, reason: str) -> None:
        """A setting, or a key of a tag, that is not taken over."""
        self._notes += 1
        self._skipped.append(Skipped(short(what) or NAMELESS, short(reason, 300)))

    @property
    def full(self) -> bool:
        """True when no more tags are taken, so that nothing more needs to be expanded."""
        return self._values >= self.options.max_tags

    def discovery(self) -> Discovery:
        """Check what was proposed against the site language; what does not fit moves to the skipped."""
        validator = Validator(self.protocol, self.connection)
        found = [valid for proposed in self._proposed if (valid := validator.validated(proposed)) is not None]
        self._notes += len(validator.notes)
        skipped = [*self._skipped, *validator.refused, *validator.notes]
        self.facts.update(
            {
                "in": self._values + self._notes,
                "entries": self._entries,
                "values": self._values,
                "left_out": self._notes,
            }
        )
        return Discovery(
            protocol=self.protocol,
            connection=validator.connection,
            found=found,
            skipped=[Skipped(short(what) or NAMELESS, short(reason, 300)) for what, reason in skipped],
            source=self.source,
            facts=self.facts,
        )


def short(text: str, longest: int = LONGEST) -> str:
    """On one line, and not longer than that."""
    plain = " ".join(text.split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def described(*texts: str, longest: int = 250) -> str | None:
    """A description of what is not blank among the texts, None when there is nothing."""
    joined = short(" · ".join(short(text, longest) for text in texts if text.strip()), longest)
    return "".join(sign for sign in joined if sign.isprintable()) or None


def plain(node: Any) -> Any:
    """Texts without `${`, which the site language would read as a reference."""
    if isinstance(node, str):
        return node.replace("${", "$(")
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items()}
    return node
