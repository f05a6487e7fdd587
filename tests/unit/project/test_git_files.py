"""How a side of a comparison names a revision."""

from __future__ import annotations

import pytest

from nexus_cli.project.git_files import split_revision


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("git:main", ("main", "")),
        ("git:main:sites/demo", ("main", "sites/demo")),
        ("v1.2:site.yaml", ("v1.2", "site.yaml")),
        ("HEAD~2:site.yaml", ("HEAD~2", "site.yaml")),
        ("site.yaml", None),
        ("git:", None),
        ("main:", None),
        (":site.yaml", None),
    ],
)
def test_split(text: str, found: tuple[str, str] | None) -> None:
    assert split_revision(text) == found
