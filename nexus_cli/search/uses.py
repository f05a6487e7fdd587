"""Who uses a tag: calculated tags, alerts and sequences by its path, and who may read it by the access rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nexus_cli.access.questions import Book, ask
from nexus_cli.access.subjects import Subject
from nexus_cli.model.expression_text import names_in
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.model.resources import AlertConfig, decode
from nexus_cli.model.snapshot import Attributes

TAG, ALERT, SEQUENCE = "tag ", "alert ", "sequence "
"""What a use begins with, before its path or name."""
Uses = dict[str, list[str]]


def uses_of(resources: Mapping[str, Attributes]) -> Uses:
    """Alerts and sequences that use tags, by the path of the tag."""
    found: Uses = {}
    for address, attributes in sorted(resources.items()):
        kind, _, name = address.partition(".")
        if kind == "alert":
            for path in decode(attributes, AlertConfig).paths():
                found.setdefault(path, []).append(ALERT + name)
        elif kind == "sequence":
            sequence = decode(attributes, SequenceConfig)
            read = [path for text in sequence.conditions() for path in names_in(text)]
            for path in dict.fromkeys((*read, *sorted(sequence.written()))):
                found.setdefault(path, []).append(SEQUENCE + name)
    return found


def readers(book: Book, paths: Iterable[str]) -> dict[str, list[str]]:
    """Who may read each of some declared tags at the moment of the book: users and applications by name."""
    found: dict[str, list[str]] = {}
    for path in paths:
        facts = book.facts.get(path)
        if facts is not None:
            subject = Subject(kind="tags", text=path, tags=(facts,))
            found[path] = [
                holder.name
                for holder in book.holders
                if holder.kind != "nexus" and any(one.allowed for one in ask(book, holder, "read", subject))
            ]
    return found
