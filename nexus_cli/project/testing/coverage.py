"""Which tags, alarms and rights no test touches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nexus_cli.access.globs import matches_glob
from nexus_cli.access.questions import Book
from nexus_cli.json_value import JsonObject
from nexus_cli.project.testing.declared import Case
from nexus_cli.project.testing.names import SiteNames


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of one kind is touched.

    Attributes:
        kind: `tags`, `alarms` or `rights`.
        total: How many there are.
        untouched: Those that no test touches, in the site's order.
    """

    kind: str
    total: int
    untouched: tuple[str, ...]

    @property
    def touched(self) -> int:
        """How many a test touches."""
        return self.total - len(self.untouched)

    @property
    def percent(self) -> float:
        """The same of a hundred; 100 of nothing."""
        return 100.0 if not self.total else 100.0 * self.touched / self.total

    def to_json(self) -> JsonObject:
        """As plain JSON."""
        return {
            "total": self.total,
            "touched": self.touched,
            "percent": round(self.percent, 1),
            "untouched": list(self.untouched),
        }


def coverage(names: SiteNames, book: Book, cases: Iterable[Case]) -> tuple[Share, ...]:
    """Tags (given, or expected as sample, topic or row), alarms (expected), and rights (`role right glob`: a line that a
    test's user has, and whose glob takes the path that it asks about)."""
    tags: set[str] = set()
    alarms: set[str] = set()
    asked: list[tuple[str, str, str]] = []
    for case in cases:
        tags.update(one.path for one in case.given)
        for one in case.expected:
            if one.kind in ("sample", "row"):
                tags.add(one.subject)
            elif one.kind == "topic":
                tags.add(one.subject.removeprefix(names.prefix))
            elif one.kind == "alarm":
                alarms.add(one.subject)
            elif one.kind == "right":
                asked.append((str(one.wanted["user"]), str(one.wanted["action"]), one.subject))
    lines, touched = _lines(names, book, asked)
    return (
        _share("tags", list(names.tags), tags),
        _share("alarms", list(names.alarms), alarms),
        _share("rights", lines, touched),
    )


def _lines(names: SiteNames, book: Book, asked: list[tuple[str, str, str]]) -> tuple[list[str], set[str]]:
    """Every right that a user's role gives (shipped roles that no user has are left out), and those that are asked."""
    found: dict[str, None] = {}
    touched: set[str] = set()
    for holder in book.holders:
        if holder.kind == "nexus":
            continue
        for has in holder.has:
            for line in book.lines.get(has.role, ()):
                text = f"{line.role}: {line.text}"
                found[text] = None
                for user, action, path in asked:
                    if user == holder.name and action == line.right and _takes(line.scope.path, path):
                        touched.add(text)
    return list(found), touched


def _takes(glob: str, path: str) -> bool:
    return glob in ("", path) or matches_glob(glob, path)


def _share(kind: str, every: list[str], touched: set[str]) -> Share:
    return Share(kind=kind, total=len(every), untouched=tuple(one for one in every if one not in touched))
