"""A site's text as a tree, for tests that need no files for excerpts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nexus_cli.diagnostics import Outcome
from nexus_cli.source.load import load_files
from nexus_cli.source.tree import SourceTree


def load_site(
    path: Path,
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    inherited: frozenset[str] = frozenset(),
) -> Outcome[SourceTree]:
    """What `load_files` gives beside the files."""
    return load_files(path, env=env, variables=variables, inherited=inherited)[1]
