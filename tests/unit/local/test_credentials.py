"""Secrets are generated once, kept, and readable by their owner alone."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.credentials import (
    ensure_credentials,
    ensure_own,
    read_credentials,
    replace_own,
    write_private,
)


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


def test_own_principals_get_new_secrets_and_nobody_else(tmp_path: Path) -> None:
    before = ensure_credentials(tmp_path, broker=["nexus.cli", "nexus.control"], api=["nexus.cli"], database=["nexus"])
    before = {section: dict(names) for section, names in before.items()}
    assert replace_own(tmp_path, ["nexus.cli", "nexus.nobody"]) == ("nexus.cli",)
    after = read_credentials(tmp_path)
    assert after["broker"]["nexus.cli"] != before["broker"]["nexus.cli"]
    assert after["api"]["nexus.cli"] != before["api"]["nexus.cli"]
    assert after["broker"]["nexus.control"] == before["broker"]["nexus.control"]
    assert after["database"] == before["database"]
    assert replace_own(tmp_path, ["nexus.nobody"]) == () and read_credentials(tmp_path) == after


def test_a_declared_user_gets_no_password_here_and_keeps_an_earlier_one(tmp_path: Path) -> None:
    ensure_credentials(tmp_path, broker=["desk"])
    known = ensure_own(tmp_path, ["nexus.cli", "desk", "guest"])
    assert set(known) == {"nexus.cli", "desk"}


def test_two_processes_that_make_secrets_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nexus_cli.local.credentials import ensure_credentials\n"
        "for n in range(30): ensure_credentials(Path(sys.argv[1]), broker=[f'{sys.argv[2]}-{n}', f'both-{n}'])"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("one", "two")]
    assert [each.wait(60) for each in running] == [0, 0]
    assert len(read_credentials(tmp_path)["broker"]) == 90, "nobody's was overwritten by the other"
