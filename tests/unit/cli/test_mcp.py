"""`nexus mcp` without its package, and what its help says."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from nexus_cli.cli.commands import mcp
from nexus_cli.diagnostics.errors import NexusError


def test_without_the_package_it_says_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp, "find_spec", lambda _name: None)
    found = CliRunner().invoke(mcp.command, [])
    assert isinstance(found.exception, NexusError)
    assert (found.exception.code, found.exception.hint) == ("NX6940", "pip install 'nexus-cli[mcp]'")


def test_the_help_has_a_clients_configuration() -> None:
    text = CliRunner().invoke(mcp.command, ["--help"]).output
    assert '"mcpServers"' in text and "--allow-write GLOB" in text
    assert "NEXUS_CONTROL_TOKEN_FILE" in text
