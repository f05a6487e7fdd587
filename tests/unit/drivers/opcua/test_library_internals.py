"""asyncua's internals may change with each release: one file reaches into them (docs/decisions/0008)."""

from __future__ import annotations

import re
from pathlib import Path

import nexus_cli.drivers.opcua

FOLDER = Path(nexus_cli.drivers.opcua.__file__).parent
INTERNALS = re.compile(r"\bclient\._|\buaclient\b")
ALLOWED = {"channel.py", "opinion.py"}
"""`opinion.py` asks with the library's own client, whole."""


def test_only_the_channel_reaches_into_the_client() -> None:
    found = {path.name for path in FOLDER.glob("*.py") if INTERNALS.search(path.read_text(encoding="utf-8"))}
    assert found <= ALLOWED
    assert "channel.py" in found
