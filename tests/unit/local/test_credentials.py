"""Secrets are generated once, kept, and readable by their owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.credentials import ensure_credentials, read_credentials, write_private


def test_generated_once_and_kept(tmp_path: Path) -> None:
    home = tmp_path / ".nexus"
    first = ensure_credentials(home, broker=["nexus.cli"], api=["nexus.cli"], database=["nexus"])
    second = ensure_credentials(home, broker=["nexus.cli", "nexus.gateway.a"])
    assert second["broker"]["nexus.cli"] == first["broker"]["nexus.cli"]
    assert len(second["broker"]["nexus.gateway.a"]) >= 32
    assert len({*second["broker"].values(), *second["api"].values(), *second["database"].values()}) == 4
    mode = stat.S_IMODE((home / "credentials.json").stat().st_mode)
    assert mode == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_broken_file_is_said_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text('{"broker": {"a": "hunter2"', encoding="utf-8")
    with pytest.raises(NexusError) as caught:
        read_credentials(tmp_path)
    assert caught.value.code == "NX6501"
    assert "hunter2" not in f"{caught.value.message}{caught.value.cause}{caught.value.hint}"


def test_writing_leaves_nothing_beside(tmp_path: Path) -> None:
    write_private(tmp_path / "x", b"1")
    write_private(tmp_path / "x", b"2")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"2"
