"""The second reader says no when a layout changed a value, and has no opinion on what it can't read."""

from __future__ import annotations

import pytest

from nexus_cli.source.second_reader import LARGEST, agrees


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a: {b: 1,   c: x}\n", "a: {b: 1, c: x}\n", True),
        ("a:\n    b: 1\n", "a:\n  b: 1\n", True),
        ("a: |\n  x\n  y\n", "a: |\n  x\n   y\n", False),
        ("a: 1\nb: 2\n", "b: 2\na: 1\n", False),
        ("a: 'x  y'\n", "a: 'x y'\n", False),
        ("a: 1\n", "a: [1\n", False),
        ("a: [1\n", "a: 1\n", True),
        ("a: 1\n" + "# " + "x" * LARGEST + "\n", "a: 2\n", True),
    ],
)
def test_what_it_says(before: str, after: str, expected: bool) -> None:
    assert agrees(before, after) is expected
