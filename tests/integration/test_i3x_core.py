"""i3X at the transport: the capabilities, compression, who is let in, and how a refusal looks."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from nexus_cli.settings import I3xWrites, Settings
from tests.integration.i3x_world import BASE, I3xWorld, i3x_world

pytestmark = [pytest.mark.needs_database]


@pytest_asyncio.fixture
async def i3x(database: Settings, tmp_path: Path) -> AsyncIterator[I3xWorld]:
    async with i3x_world(database, tmp_path) as world:
        yield world


async def test_core_01_info_answers_in_json(i3x: I3xWorld) -> None:
    answer = await i3x.ask("GET", "/info", token="")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["result"]["serverName"] == "NEXUS acme/chicago"


async def test_core_02_info_needs_no_token(i3x: I3xWorld) -> None:
    for token in ("", "rubbish"):
        assert (await i3x.ask("GET", "/info", token=token)).status_code == 200


async def test_core_03_info_has_every_capability(i3x: I3xWorld) -> None:
    found = await i3x.get("/info")
    assert found["specVersion"] == "1.0"
    assert found["capabilities"] == {
        "query": {"history": True},
        "update": {"current": True, "history": True},
        "subscribe": {"stream": True},
    }


async def test_writing_is_off_unless_it_is_switched_on(database: Settings, tmp_path: Path) -> None:
    assert Settings().i3x_writes is I3xWrites.OFF
    async with i3x_world(database, tmp_path, writes=I3xWrites.ON) as world:
        assert (await world.get("/info"))["capabilities"]["update"] == {"current": True, "history": False}


async def test_core_04_gzip_for_who_asks(i3x: I3xWorld) -> None:
    plain = await i3x.ask("GET", "/namespaces", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    async with i3x.http.stream(
        "GET",
        f"{BASE}/namespaces",
        headers={"authorization": f"Bearer {i3x.token}", "accept-encoding": "gzip"},
    ) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        raw = b"".join([part async for part in packed.aiter_raw()])
    assert packed.headers["content-length"] == str(len(raw))
    assert orjson.loads(gzip.decompress(raw)) == plain.json()


@pytest.mark.parametrize(
    ("accept", "packed"), [("gzip;q=0", False), ("br, gzip;q=0.5", True), ("*", True), ("deflate", False), ("", False)]
)
async def test_gzip_goes_by_the_weight(i3x: I3xWorld, accept: str, packed: bool) -> None:
    for path in ("/objects", "/objecttypes"):
        answer = await i3x.ask("GET", path, headers={"accept-encoding": accept})
        assert (answer.headers.get("content-encoding") == "gzip") is packed
        assert answer.json()["success"] is True


async def test_a_refusal_is_compressed_too(i3x: I3xWorld) -> None:
    answer = await i3x.ask("GET", "/objects", token="", headers={"accept-encoding": "gzip"})
    assert (answer.status_code, answer.headers["content-encoding"]) == (401, "gzip")
    assert answer.json()["responseDetail"]["status"] == 401


async def test_core_05_other_paths_of_web_stay_as_they_are(i3x: I3xWorld) -> None:
    # TLS is the same listener's as of every role (tests/integration/test_http_tls.py); i3X changes nothing beside its paths.
    answer = await i3x.http.get("/health/live", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    refused = await i3x.http.get("/v1/sites/acme/chicago/values/a")
    assert refused.json()["code"] == "NX6401"


async def test_core_06_everything_but_info_needs_a_token(i3x: I3xWorld) -> None:
    for method, path in (
        ("GET", "/namespaces"),
        ("GET", "/objects"),
        ("POST", "/objects/value"),
        ("PUT", "/objects/value"),
        ("POST", "/subscriptions"),
        ("POST", "/subscriptions/stream"),
    ):
        answer = await i3x.ask(method, path, {} if method != "GET" else None, token="")
        assert answer.status_code == 401, path
        detail = answer.json()["responseDetail"]
        assert (detail["title"], detail["status"]) == ("Unauthorized", 401)
        assert answer.json()["success"] is False


async def test_an_unknown_path_is_a_problem_in_the_words_of_i3x(i3x: I3xWorld) -> None:
    for method, path in (("GET", "/nothing"), ("DELETE", "/objects"), ("GET", "/objects/value")):
        answer = await i3x.ask(method, path)
        assert answer.status_code == 404, path
        assert answer.json()["responseDetail"]["title"] == "Not Found"
