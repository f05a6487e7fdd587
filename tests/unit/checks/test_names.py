"""Names and globs."""

from __future__ import annotations

import pytest

from nexus_cli.checks.names import is_glob, slugify
from nexus_cli.wire.topic import is_slug


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Boiler #1", "boiler-1"),
        ("MotorSpeed", "motor-speed"),
        ("Füllstand 50%", "fullstand-50-percent"),
        ("_hidden", "hidden"),
        ("a//b", "a-b"),
        ("Straße", "strasse"),
        ("日本", ""),
    ],
)
def test_slugify(name: str, slug: str) -> None:
    assert slugify(name) == slug
    assert not slug or is_slug(slug)


@pytest.mark.parametrize(
    ("glob", "good"),
    [
        ("a/b/c", True),
        ("a/*/c", True),
        ("a/**", True),
        ("**", True),
        ("**/a", False),
        ("a/#", False),
        ("a/+", False),
        ("a*", True),
        ("*a/line-*/b*c", True),
        ("a**", False),
        ("A*", False),
        ("a//b", False),
        ("", False),
        ("A/b", False),
    ],
)
def test_is_glob(glob: str, good: bool) -> None:
    assert is_glob(glob) is good
