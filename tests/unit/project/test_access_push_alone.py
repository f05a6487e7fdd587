"""Of two pushes from one folder the second one is refused, and a folder that is not there is not made."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project import access_push_site as module


def test_the_second_push_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    other = os.open(tmp_path / ".emqx.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(NexusError) as caught, module._alone(tmp_path):
        raise AssertionError("it was let in")
    assert caught.value.code == "NX7038"
    os.close(other)
    with module._alone(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with module._alone(tmp_path / ".nexus"):
        assert not (tmp_path / ".nexus").exists()
