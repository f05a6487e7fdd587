"""Amounts for people, and durations that the site language reads back."""

from __future__ import annotations

import pytest

from nexus_cli.diagnostics.wording import counted, duration
from nexus_cli.model.spelling import parse_duration


def test_one_has_no_plural() -> None:
    assert [counted(number, "tag") for number in (0, 1, 2, 41_000)] == ["0 tags", "1 tag", "2 tags", "41,000 tags"]


@pytest.mark.parametrize("text", ["0ms", "1ms", "1500ms", "1s", "90s", "90m", "36h", "400d", "7d"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert duration(parse_duration(text)) == text
