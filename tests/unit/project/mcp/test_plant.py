"""Alarms, devices and the audit trail as an agent gets them, from a web that answers what it is given."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
from mcp import Client
from mcp_types import CallToolResult, TextContent

from nexus_cli.project.mcp.asking import Asking, Views
from nexus_cli.project.mcp.server import make_server
from nexus_cli.settings import Settings
from nexus_cli.wire.web_client import WebDoor

NOW_US = int(time.time() * 1e6)
LONGEST_RUN_S = 4 * 3600
"""The tests of this file may begin so long after it was imported."""
ALERT = {"since": NOW_US, "value": 91.5, "description": "too hot", "acknowledged_by": None}
Answers = dict[str, dict[str, Any]]


@contextlib.asynccontextmanager
async def agent(answers: Answers, seen: list[httpx.Request] | None = None) -> AsyncIterator[Client]:
    """A client of the library, in this process; `answers` by the route below the site."""
    settings = Settings(site="acme/chicago", principal="", control_token="t")

    def give(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        found = answers.get(request.url.path.removeprefix("/v1/sites/acme/chicago"))
        missing = {"code": "NX6802", "message": "There is no tag of this name that you may read."}
        return httpx.Response(404, json=missing) if found is None else httpx.Response(200, json=found)

    door = WebDoor("http://web.example", settings)
    door._http = httpx.AsyncClient(transport=httpx.MockTransport(give))
    nothing: Callable[..., Any] = lambda *_: {}  # noqa: E731
    views = Views(findings=nothing, findings_text=nothing, plan_text=nothing)
    asking = Asking(settings=settings, door=door, site_path=None, env=None, variables={}, views=views)
    async with door, Client(make_server(asking)) as client:
        yield client


async def asked(client: Client, tool: str, **given: Any) -> tuple[dict[str, Any], str]:
    """The structure and the text of an answer."""
    found = await client.call_tool(tool, given)
    assert isinstance(found, CallToolResult)
    (content,) = found.content
    assert isinstance(content, TextContent)
    assert not found.is_error, content.text
    return found.structured_content or {}, content.text


def alert(name: str, state: str, severity: str) -> dict[str, Any]:
    return {**ALERT, "name": name, "state": state, "severity": severity, "tag": f"a/l/d/{name}"}


async def test_open_alarms_come_first_with_what_their_tag_holds_now() -> None:
    value = {"path": "a/l/d/fire", "value": 95.0, "quality": "GOOD", "time": NOW_US, "received": NOW_US, "unit": "degC"}
    alerts = [
        alert("door", "acknowledged", "info"),
        alert("warm", "active", "warning"),
        alert("gone", "cleared", "critical"),
        alert("smoke", "acknowledged", "critical"),
        alert("fire", "active", "critical"),
    ]
    answers: Answers = {
        "/alerts": {"alerts": alerts},
        "/values/a/l/d/fire": value,
        "/tags/a/l/d/fire": {"range": [0, None]},
    }
    async with agent(answers) as client:
        found, text = await asked(client, "alarms")
        assert [each["name"] for each in found["alarms"]] == ["fire", "smoke", "warm", "door"]
        now = found["alarms"][0]["now"]
        assert (now["value"], now["range"], now["unit"]) == (95.0, [0, None], "degC")
        assert 0 <= now["age_s"] < LONGEST_RUN_S
        assert found["alarms"][1]["now"]["problem"].startswith("NX6802"), "a tag that the caller may not read"
        assert text.startswith("critical fire: active since 20") and "range 0 to open degC" in text
        found, _ = await asked(client, "alarms", state="cleared")
        assert ([each["name"] for each in found["alarms"]], found["alarms"][0]["now"]) == (["gone"], None)
        found, text = await asked(client, "alarms", limit=1)
        assert (found["total"], found["cut"]) == (4, "3 of 4 alarms are left out; ask for one state")
        assert text.endswith("Left out: 3 of 4 alarms are left out; ask for one state.")


async def test_the_audit_trail_is_asked_since_a_time_ago() -> None:
    line = {"at": NOW_US, "kind": "command", "what": "write", "who": "otto", "subject": "a/l/d/t", "state": "done"}
    entries = [{**line, "at": NOW_US - 1_000_000 * each, "value": each} for each in (2, 1)]
    seen: list[httpx.Request] = []
    async with agent({"/audit": {"entries": entries, "truncated": True}}, seen) as client:
        found, text = await asked(client, "audit", since="8h", who="otto", limit=2)
        asked_for = dict(seen[-1].url.params)
        assert abs(int(asked_for["since"]) - (NOW_US - 8 * 3_600_000_000)) < LONGEST_RUN_S * 1_000_000
        assert (asked_for["who"], asked_for["limit"]) == ("otto", "2")
        assert [each["facts"] for each in found["lines"]] == [{"state": "done", "value": each} for each in (2, 1)]
        assert found["cut"].startswith("older lines, beyond the limit of 2")
        assert "otto: command write a/l/d/t (state done, value 1)" in text


async def test_a_device_says_why_it_does_not_answer() -> None:
    device = {
        "path": "a/l/d",
        "protocol": "s7",
        "gateway": "gw-1",
        "state": "link",
        "detail": "connection refused",
        "since": NOW_US,
        "link_state": "backoff",
        "link_detail": "connection refused",
        "reason": "link_lost",
        "tags": 4,
        "counts": {"GOOD": 0, "UNCERTAIN": 0, "BAD": 4},
        "polls": 10,
        "missed": 3,
        "errors": 2,
        "errors_by_kind": {"timeout": 2},
        "last_answer": None,
        "read_ms": None,
        "description": "",
    }
    async with agent({"/devices/a/l/d": device}) as client:
        found, text = await asked(client, "devices", path="a/l/d")
        (one,) = found["devices"]
        assert (one["reason_text"], one["errors_by_kind"]) == ("the link to the device is lost", {"timeout": 2})
        assert (one["missed"], one["last_answer"], found["states"]) == (3, "", {"link": 1})
        assert "a/l/d (s7) link: connection refused, link backoff, 0 of 4 tags GOOD" in text
