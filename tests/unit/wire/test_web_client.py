"""The door to web: whose token is tried, and what becomes of answers that are none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import httpx
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.web_client import WebClient, WebDoor, in_path

URL = "http://web.example"


async def asked(
    settings: Settings, answer: httpx.Response, seen: list[str] | None = None, path: str = "/tree"
) -> dict[str, object]:
    """One question to a web that gives this answer."""
    door = WebDoor(URL, settings)

    def give(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request.headers["authorization"])
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    door._http = httpx.AsyncClient(transport=httpx.MockTransport(give))
    async with door:
        return await WebClient(door, settings).get(path, path="a", limit=None)


def kept(home: Path, token: str) -> None:
    """The token of this folder's command line."""
    (home / "credentials.json").write_text(json.dumps({"api": {"nexus.cli": token}}))


async def test_a_callers_refused_token_is_never_replaced_by_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_CONTROL_TOKEN", "of-the-operator")
    kept(tmp_path, "of-the-folder")
    refused = httpx.Response(401, json={"code": "NX6401", "message": "The token has ended."})
    caller = Settings(home=tmp_path, site="acme/chicago", principal="", control_token="of-a-caller")
    seen: list[str] = []
    with pytest.raises(NexusError, match="The token has ended") as raised:
        await asked(caller, refused, seen)
    assert (raised.value.code, seen) == ("NX6401", ["Bearer of-a-caller"])


async def test_our_own_is_tried_as_it_is_kept_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEXUS_CONTROL_TOKEN", raising=False)
    kept(tmp_path, "new")
    own = Settings(home=tmp_path, site="acme/chicago", control_token="old")
    seen: list[str] = []
    with pytest.raises(NexusError):
        await asked(own, httpx.Response(401, json={"code": "NX6401", "message": "no"}), seen)
    assert seen == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize(
    ("answer", "retriable"),
    [
        (httpx.Response(200, content=b"<html>"), False),
        (httpx.Response(200, content=b"[1]"), False),
        (httpx.Response(302, headers={"location": "http://elsewhere.example"}), False),
        (httpx.Response(502, content=b"bad gateway"), True),
    ],
)
async def test_what_is_no_web_is_said(tmp_path: Path, answer: httpx.Response, retriable: bool) -> None:
    settings = Settings(home=tmp_path, site="acme/chicago", principal="", control_token="t")
    with pytest.raises(NexusError, match="gave no answer of a NEXUS web") as raised:
        await asked(settings, answer)
    assert (raised.value.code, raised.value.retriable) == ("NX6941", retriable)


async def test_an_answer_is_read(tmp_path: Path) -> None:
    settings = dataclasses.replace(Settings(), home=tmp_path, site="acme/chicago", control_token="t")
    assert await asked(settings, httpx.Response(200, json={"children": []})) == {"children": []}


def test_a_path_stands_in_a_url_as_one() -> None:
    assert in_path("/a/l/d/t x?y#z") == "/a/l/d/t%20x%3Fy%23z"
