"""Which logs there are, and the exit code where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.logs import log_files


def test_no_runtime_and_a_wrong_part_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))
    for part in (None, "control"):
        with pytest.raises(NexusError) as failed:
            log_files(part)
        assert (failed.value.code, failed.value.exit_code) == ("NX6514", 6)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/control.log").touch()
    assert list(log_files(None)) == ["control"]
    with pytest.raises(NexusError) as failed:
        log_files("contrl")
    assert (failed.value.exit_code, failed.value.hint) == (1, "did you mean 'control'?")
