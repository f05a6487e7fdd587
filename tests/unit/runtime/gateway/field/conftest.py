"""Every law of a link holds for sessions that wait in a task, and for those that are polled without one."""

from __future__ import annotations

import pytest

from tests.field import FakeDriver


@pytest.fixture(autouse=True, params=["task", "prompt"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the fake driver's sessions are polled."""
    found: str = request.param
    monkeypatch.setattr(FakeDriver, "prompt", found == "prompt")
    return found
