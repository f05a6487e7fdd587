"""Quality, reason and age in words."""

from __future__ import annotations

import pytest

from nexus_cli.project.mcp.words import NO_VALUE, REASONS, age_words, reason_words, time_text
from nexus_cli.wire.sample import Reason


def test_every_reason_has_words() -> None:
    assert set(REASONS) == {each.value for each in Reason} | {NO_VALUE}
    assert reason_words("link_lost") == "the link to the device is lost"
    assert reason_words("of_a_newer_version") == "of a newer version"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (10, "10 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7_800, "2 h 10 min"),
        (86_400, "1 d"),
        (356_400, "4 d 3 h"),
    ],
)
def test_an_age_has_two_units_at_most(seconds: float, words: str) -> None:
    assert age_words(seconds) == words


def test_a_time_is_iso_8601() -> None:
    assert time_text(1_767_225_600_123_456) == "2026-01-01T00:00:00.123Z"
    assert [time_text(each) for each in (None, 0, 2**62)] == ["", "", ""]
