"""i3X and bodies that nobody should send: each is answered, none with 500."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.runtime.web.i3x.routes import I3X_ROUTES
from nexus_cli.settings import Settings
from tests.examples import examples
from tests.integration.i3x_world import BASE, DRIVE, SPEED, I3xWorld, i3x_world

pytestmark = [pytest.mark.needs_database]
LEAVES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 2**63, 2**64 - 1, -(2**63), 1.5, 1e308, "", "a", SPEED, DRIVE, "site:acme/chicago", "a\x00b", "ä\u2028𝄞",
    " a ", "x" * 5000, "2026-09-01T12:00:00Z", "2026-13-01T12:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z",
    "1970-01-01T00:00:00+23:59", "Good", "Bad", "GoodNoData", [], {}, [[]], [SPEED], [SPEED, SPEED, None], {"value": 1},
    {"value": None, "quality": "Bad", "timestamp": "2026-09-01T12:00:00Z"},
)  # fmt: skip
KEYS = (
    "elementIds", "subscriptionIds", "clientId", "subscriptionId", "displayName", "maxDepth", "lastSequenceNumber", "startTime",
    "endTime", "updates", "includeMetadata", "relationshipType", "value", "elementId",
)  # fmt: skip
RAW = (
    b"", b"{", b"[]", b"null", b"1", b'"a"', b"\xff\xfe", b'{"elementIds": ["\\ud800"]}', b"[" * 5000, b'{"a":' * 3000,
    b'{"elementIds": [1e999]}', b'{"clientId": "a", "clientId": 5}', b'{"elementIds": null}', b'{"elementIds": ["a"], "maxDepth": 1e3}',
    b'{"clientId":"c","subscriptionId":"s","lastSequenceNumber":99999999999999999999999}',
)  # fmt: skip
PATHS = tuple((each.method, each.path.removeprefix(BASE)) for each in I3X_ROUTES)


def body(rng: random.Random, made: str) -> Any:
    """A body with the right names and anything below them, most often half right."""
    likely = {
        "elementIds": [SPEED, DRIVE],
        "subscriptionIds": [made],
        "clientId": "a-client",
        "subscriptionId": made,
        "startTime": "2026-09-01T12:00:00Z",
        "endTime": "2026-09-01T13:00:00Z",
        "updates": [
            {"elementId": SPEED, "value": {"value": 1.0, "quality": "Good", "timestamp": "2026-11-30T12:00:00Z"}}
        ],
    }
    found: dict[str, Any] = {key: value for key, value in likely.items() if rng.random() < 0.85}
    for _ in range(rng.randint(0, 3)):
        found[rng.choice(KEYS)] = rng.choice(LEAVES)
    if rng.random() < 0.3:
        found["updates"] = [{"elementId": rng.choice(LEAVES), "value": {"value": rng.choice(LEAVES)}} for _ in range(2)]
    return found


async def answered(world: I3xWorld, method: str, path: str, **keys: Any) -> None:
    answer = await world.http.request(
        method,
        BASE + path,
        headers={"authorization": f"Bearer {world.token}", "content-type": "application/json"},
        **keys,
    )
    told = answer.json()
    where = (method, path, keys)
    assert answer.status_code in (200, 206, 400, 404), (where, answer.text[:500])
    assert isinstance(told["success"], bool), where
    if answer.status_code >= 400:
        assert told["success"] is False
        assert told["responseDetail"]["status"] == answer.status_code, where
        assert len(told["responseDetail"]["detail"]) <= 600, where


async def test_no_body_makes_it_fail(database: Settings, tmp_path: Path) -> None:
    rng = random.Random(5)
    async with i3x_world(database, tmp_path) as world:
        made = await world.subscribed(SPEED)
        for method, path in PATHS:
            if path == "/subscriptions/stream":
                continue  # one that is opened does not end by itself
            for raw in RAW:
                if method != "GET":
                    await answered(world, method, path, content=raw)
            for _ in range(examples(12)):
                if method == "GET":
                    query = {
                        rng.choice(("namespaceUri", "typeElementId", "root", "includeMetadata")): str(
                            rng.choice(LEAVES)
                        )
                    }
                    await answered(world, method, path, params=query)
                else:
                    await answered(
                        world, method, path, content=orjson.dumps(body(rng, made), option=orjson.OPT_NON_STR_KEYS)
                    )


async def test_a_body_that_is_too_large_is_not_read(database: Settings, tmp_path: Path) -> None:
    async with i3x_world(database, tmp_path) as world:
        content = b'{"elementIds": ["' + b"x" * (3 * 2**20) + b'"]}'
        answer = await world.http.post(
            f"{BASE}/objects/value", content=content, headers={"authorization": f"Bearer {world.token}"}
        )
        assert answer.status_code == 400
        assert "2 MiB" in answer.json()["responseDetail"]["detail"]


async def test_every_route_is_in_the_description(database: Settings, tmp_path: Path) -> None:
    async with i3x_world(database, tmp_path) as world:
        paths = (await world.http.get("/openapi.json")).json()["paths"]
        described = {
            (method.upper(), path) for path, methods in paths.items() for method in methods if path.startswith(BASE)
        }
        assert described == {(each.method, each.path) for each in I3X_ROUTES}
