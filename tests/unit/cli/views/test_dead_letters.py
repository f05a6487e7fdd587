"""The list of `nexus dead-letters`."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from nexus_cli.cli.views.dead_letters import LONGEST_PAYLOAD, letters_text
from nexus_cli.database.records import StoredLetter


def plain(text: str, _role: str) -> str:
    return text


def letter(**keys: Any) -> StoredLetter:
    facts = {"id": 7, "topic": "acme/x/press", "reason": "bad_time", "detail": "", "payload": "", "count": 1}
    return StoredLetter(**{**facts, "time_us": 1_767_225_600_000_000, **keys})


def test_a_letter_has_its_reason_topic_and_payload() -> None:
    text = letters_text(
        [letter(detail="9999 is not a time", payload='{"value": 1}', count=1200)], style=plain, zone=UTC
    )
    head, detail, payload = text.splitlines()
    assert "2026-01-01 00:00:00" in head and head.endswith("bad_time  acme/x/press  1,200 alike")
    assert (detail, payload) == ("    9999 is not a time", '    {"value": 1}')


def test_a_long_or_hostile_payload_stays_on_its_line() -> None:
    text = letters_text([letter(payload="a\n" * 200, topic="x\x1b[2J")], style=plain, zone=UTC)
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text and len(text.splitlines()[1]) == LONGEST_PAYLOAD + 5


def test_without_any_it_says_so() -> None:
    assert letters_text([], style=plain) == "no message was refused"
