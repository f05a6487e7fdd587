"""What status says of a role that is up."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.cli.views.status import render_status
from nexus_cli.local import status


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ({"clock": {"doubt": "the clock of this machine says 2106-02-07, which can't be"}}, "2106-02-07"),
        ({"clock": {"doubt": ""}}, ""),
        ({"clock": None}, ""),
        ({}, ""),
    ],
)
async def test_a_doubtful_clock_is_told_of_a_gateway_that_is_up(
    said: dict[str, Any], detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def role_status(port: int) -> dict[str, Any]:
        return said

    async def role_ready(port: int) -> tuple[bool, str]:
        return True, ""

    monkeypatch.setattr(status, "role_status", role_status)
    monkeypatch.setattr(status, "role_ready", role_ready)
    found = await status._role("gateway-a", 5, {"state": "running"})
    assert found["state"] == "up"
    assert (detail in found["detail"] and "UNCERTAIN" in found["detail"]) if detail else found["detail"] == ""
    part = {"kind": "x", "url": "y", "state": "up"}
    whole = {
        "state": "up",
        "site": "acme/chicago",
        "broker": part,
        "database": part,
        "roles": [found],
        "links": [],
        "access": {"managed": False},
    }
    assert found["detail"] in render_status(whole, colour=False, now_s=0.0)
