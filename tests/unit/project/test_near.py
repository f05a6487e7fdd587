"""A path that gave nothing is answered with the near one, whole, so that it can be copied."""

from __future__ import annotations

import pytest

from nexus_cli.project.near import NO_DEVICE, SILENT, hint_for, hint_for_filter

KNOWN = {"hall/l1/drive": frozenset({"speed", "state"}), "hall/l2/press": None}


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("hall/l1/drive/sped", "did you mean 'hall/l1/drive/speed'?"),
        ("hall/l1/drve/speed", "did you mean 'hall/l1/drive/speed'?"),
        ("hall/l2/pres/force", "did you mean 'hall/l2/press/force'?"),
        ("hall/l1/drve", "did you mean 'hall/l1/drive'?"),
        ("hall/l1/drive", "it is a device: name one of its tags (speed, state), or `nexus tail` it"),
        ("hall/l1/drive/xyz", "known here: speed, state"),
        ("hall/l1/drive/speed", SILENT),
        ("quite/an/other/thing", NO_DEVICE),
    ],
)
def test_the_hint_is_what_to_write(path: str, hint: str) -> None:
    assert hint_for(path, KNOWN) == hint


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("hal/**", "did you mean 'hall/**'?"),
        ("hall/l11/**", "did you mean 'hall/l1/**'?"),
        ("hall/l1/drve/*", "did you mean 'hall/l1/drive/*'?"),
        ("hall/**", ""),
        ("**/sped", ""),
    ],
)
def test_a_filter_is_mended_where_it_is_literal(written: str, hint: str) -> None:
    assert hint_for_filter(written, KNOWN) == hint
    assert hint_for_filter(written, {}) == "", "where nobody says what there is"
