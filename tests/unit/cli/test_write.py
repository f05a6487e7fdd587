"""Under whose name `nexus write` writes is said before anything is asked."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from nexus_cli.cli.commands import write
from nexus_cli.settings import Settings


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"NEXUS_CONTROL_TOKEN": "t"}, True),
        ({"NEXUS_CONTROL_TOKEN_FILE": "/t"}, True),
        ({}, False),
    ],
)
def test_a_token_does_not_change_who_writes(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], says: bool
) -> None:
    monkeypatch.delenv("NEXUS_CONTROL_TOKEN", raising=False)
    monkeypatch.setattr(write, "load_settings", lambda: Settings(principal="nexus.cli"))
    found = CliRunner().invoke(write.command, ["a/l/d/t", "1", "--yes"], env=environment)
    assert getattr(found.exception, "code", "") == "NX6510", "nothing runs here"
    assert ("recorded as nexus.cli, not as the owner of the control token; --as USER" in found.output) == says
