"""What a plan says will happen, read from its JSON as a person reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LINK = r"((?:tcp|opc\.tcp|s7|ads):[^\s,;]+)"
READ = re.compile(rf"reads it over {LINK}")
OPENS = re.compile(rf"(?:^|, ){LINK} opens")
CLOSES = re.compile(rf"{LINK} (?:closes|is closed)")
RESTARTS = re.compile(rf"{LINK} is set up again|reads it over {LINK}[^;]*; its session is set up again")
STAYS = re.compile(rf"{LINK} (?:stays|is open)\b")


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a plan predicts.

    Attributes:
        read: Links that new devices are read over.
        opened, closed, restarted, kept: Links whose session does so.
        cleared: Paths whose retained message goes.
        begun, forgotten, renamed: Series.
        gained, lost: User, right and path.
    """

    read: frozenset[str]
    opened: frozenset[str]
    closed: frozenset[str]
    restarted: frozenset[str]
    kept: frozenset[str]
    cleared: frozenset[str]
    begun: int
    forgotten: int
    renamed: int
    gained: frozenset[tuple[str, str, str]]
    lost: frozenset[tuple[str, str, str]]


def predicted(plan: dict[str, Any]) -> Predicted:
    """Of a plan as `nexus plan --format json` gives it."""
    texts = [each["text"] for each in plan["impact"] if each["plane"] == "devices"]
    topics = [each for each in plan["impact"] if each["plane"] == "topics" and "cleared" in each["text"]]
    for each in topics:
        assert int(each["text"].split()[0].replace(",", "")) == len(each["names"]), "a count and its names"
    return Predicted(
        read=frozenset(_found(READ, texts)),
        opened=frozenset(_found(OPENS, texts)),
        closed=frozenset(_found(CLOSES, texts)),
        restarted=frozenset(_found(RESTARTS, texts)),
        kept=frozenset(_found(STAYS, texts)),
        cleared=frozenset(name for each in topics for name in each["names"]),
        begun=_sum(plan, "begin"),
        forgotten=_sum(plan, "forgotten"),
        renamed=_sum(plan, "under a new name"),
        gained=frozenset(_rights(plan, "gained")),
        lost=frozenset(_rights(plan, "lost")),
    )


def changed(plan: dict[str, Any], action: str) -> set[str]:
    """Paths of tags with an action."""
    return {
        tag["address"].removeprefix("tag.")
        for each in plan["resource_changes"]
        for tag in each.get("tags", ())
        if tag["change"]["actions"] == [action]
    }


def _found(pattern: re.Pattern[str], texts: list[str]) -> Iterator[str]:
    for text in texts:
        for match in pattern.finditer(text):
            yield next(filter(None, match.groups()))


def _sum(plan: dict[str, Any], words: str) -> int:
    """Of the numbers at the beginning of lines about series."""
    texts = [each["text"] for each in plan["impact"] if each["plane"] == "series" and words in each["text"]]
    return sum(int(text.split()[0].replace(",", "")) for text in texts)


def _rights(plan: dict[str, Any], side: str) -> Iterator[tuple[str, str, str]]:
    for entry in plan.get("rights", ()):
        if entry["kind"] == "tag":
            for user in entry["principals"]:
                for path in entry[side]:
                    yield user, entry["action"], path
