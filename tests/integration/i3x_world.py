"""A site behind i3X, without sockets: devices of several kinds, their series, values, and a gateway that does what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson

from nexus_cli.database.series import sync_series
from nexus_cli.model.calendar import moment_of
from nexus_cli.model.config import device_from_json
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.health import health_routes, serve_http
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.lifecycle import tasks
from nexus_cli.runtime.web.i3x.subscriptions.keeper import SubscriptionKeeper
from nexus_cli.runtime.web.routes.api import make_api
from nexus_cli.runtime.web.web import Web
from nexus_cli.settings import I3xWrites, Settings
from nexus_cli.wire.command import Response, State
from nexus_cli.wire.message import Message
from nexus_cli.wire.sample import Value
from tests.integration.identity_world import SITE, write
from tests.integration.web_world import TOPICS, WebWorld, web_world

BASE = "/i3x/v1"
NOBODY = "an-element-that-never-was"
ENERGY, VOLTAGE, SPEED, STATE, POWER = (
    "a/l/one/energy",
    "a/l/one/voltage",
    "a/l/drive/speed",
    "a/l/drive/state",
    "a/m/two/power",
)
DRIVE = "a/l/drive"


def tag(type_: str = "float64", **keys: Any) -> dict[str, Any]:
    return {"type": type_, "published_type": type_, "address": "holding:0", **keys}


def device(path: str, tags: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    return {
        "path": path,
        "protocol": "modbus",
        "link": "tcp:10.0.0.9:502",
        "gateway": "gw-1",
        "connection": {"host": "10.0.0.9", "port": 502},
        "tags": tags,
        **keys,
    }


PLANT = (
    device("a/l/one", {"energy": tag(unit="kWh"), "voltage": tag(unit="V")}, description="The main meter"),
    device(
        DRIVE,
        {
            "speed": tag(
                unit="Hz", writable=True, read_back="a/l/drive/actual", range=[0, 50], owner="maintenance", pii=True
            ),
            "actual": tag(unit="Hz"),
            "state": tag("int16", values={"0": "stopped", "1": "running"}),
            "jammed": tag("bool"),
            "recipe": tag("string[20]"),
            "total": tag("uint64"),
            "curve": tag("float32[3]"),
            "ratio": tag(expr="speed / actual", inputs={"speed": SPEED, "actual": "a/l/drive/actual"}),
        },
    ),
    device("a/m/two", {"energy": tag(unit="kWh"), "voltage": tag(unit="V"), "power": tag(unit="kW")}),
    device("a/m/three", {"energy": tag(unit="kWh"), "voltage": tag(unit="V")}),
)
VALUES: dict[str, Any] = {
    SPEED: 45.0,
    "a/l/drive/actual": 44.9,
    STATE: 1,
    "a/l/drive/jammed": False,
    "a/l/drive/recipe": "cola-033",
    "a/l/drive/total": "18446744073709551615",
    "a/l/drive/curve": [1.0, 2.5, 3.0],
    "a/l/drive/ratio": 1.002,
    ENERGY: 1200.5,
    VOLTAGE: 230.1,
    POWER: 3.3,
}


@dataclasses.dataclass
class I3xWorld:
    """The application, and who asks.

    Attributes:
        web: What is behind it.
        keeper: Its subscriptions.
        token: Of the user that asks.
        sent: Commands that were sent: who, path, value.
        answer: How the gateway answers them.
    """

    web: WebWorld
    keeper: SubscriptionKeeper
    token: str
    http: httpx.AsyncClient
    sent: list[tuple[str, str, Value]]
    app: Any = None
    state: State = State.DONE
    client: str = "a-client"

    async def ask(self, method: str, path: str, body: Any = None, **keys: Any) -> httpx.Response:
        """One request below `/i3x/v1`."""
        token = keys.pop("token", self.token)
        head = {"authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            keys["json"] = body
        return await self.http.request(method, BASE + path, headers=head | keys.pop("headers", {}), **keys)

    async def get(self, path: str, **query: Any) -> Any:
        """The result of a GET that succeeds."""
        answer = await self.ask("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["success"] is True
        return body["result"]

    async def post(self, path: str, status: int = 200, **body: Any) -> Any:
        """The body of a POST."""
        answer = await self.ask("POST", path, body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def results(self, path: str, ids: Sequence[str], key: str = "elementId", **body: Any) -> list[Any]:
        """Bulk results, held to be of the size and in the order of the request."""
        name = "elementIds" if key == "elementId" else "subscriptionIds"
        found = await self.post(path, **{name: list(ids)}, **body)
        return checked(found, ids, key=key)

    async def value(self, element: str, **body: Any) -> Any:
        """The newest value of one object."""
        (item,) = await self.results("/objects/value", [element], **body)
        assert item["success"], item
        return item["result"]

    async def subscribed(self, *elements: str, depth: int = 1) -> str:
        """A subscription of these elements."""
        made = (await self.post("/subscriptions", clientId=self.client))["result"]["subscriptionId"]
        await self.results(
            "/subscriptions/register", elements, clientId=self.client, subscriptionId=made, maxDepth=depth
        )
        return str(made)

    async def sync(self, subscription: str, last: int | None = None, status: int = 200) -> Any:
        """What waits."""
        body = {"clientId": self.client, "subscriptionId": subscription}
        if last is not None:
            body["lastSequenceNumber"] = last  # type: ignore[assignment]
        found = await self.post("/subscriptions/sync", status, **body)
        return found["result"] if status == 200 else found

    def say(self, path: str, value: Any, *, at_ms: int | None = None, **more: Any) -> None:
        """A live value."""
        moment = int(time.time() * 1000) if at_ms is None else at_ms
        body = orjson.dumps({"value": value, "timestamp": moment, "quality": "GOOD", **more})
        self.web.web.parts.cache.take(Message(TOPICS.tag(path), body, 0, False))

    async def store(self, path: str, *samples: tuple[int, Any, int]) -> None:
        """Store samples: time in µs, number, quality. They lie in the rest table, which takes any time."""
        pool = self.web.people.pool
        series = await pool.fetchval("SELECT id FROM nexus.series WHERE site = $1 AND path = $2", SITE, path)
        table = await pool.fetchval("SELECT table_name FROM nexus.retention_class WHERE site = $1 LIMIT 1", SITE)
        await pool.executemany(
            f'INSERT INTO nexus."{table}_rest" ("time", series_id, value, quality) VALUES ($1, $2, $3, $4)',
            [(moment_of(time_us), series, value, quality) for time_us, value, quality in samples],
        )


def checked(found: Any, ids: Sequence[str], *, key: str = "elementId") -> list[Any]:
    """The items of a bulk answer, held to its rules."""
    items: list[Any] = found["results"]
    assert [item[key] for item in items] == list(ids)
    assert found["success"] is all(item["success"] for item in items)
    for item in items:
        if not item["success"]:
            detail = item["responseDetail"]
            assert set(detail) == {"title", "status", "detail"}
            assert isinstance(detail["status"], int)
    return items


@contextlib.asynccontextmanager
async def i3x_world(
    database: Settings,
    home: Path,
    *,
    user: str = "isa",
    writes: I3xWrites = I3xWrites.HISTORY,
    plant: Sequence[Mapping[str, Any]] = PLANT,
    series: bool = True,
    **more: Any,
) -> AsyncIterator[I3xWorld]:
    """The plant above, with values, as a user that may read and write everything."""
    settings = dataclasses.replace(database, i3x_writes=writes)
    devices: dict[str, Any] = {f"device__{each['path']}": each for each in plant}
    people = {"role__whole": {"read": ["**"], "write": ["**"]}, "user__isa": {"roles": ["whole"]}}
    async with web_world(settings, home, **(people | devices | more)) as web:
        if series:
            async with web.people.pool.acquire() as conn:
                found = {each["path"]: device_from_json(dict(each)) for each in plant}
                await sync_series(conn, site=SITE, devices=found)
        world = await _served(web, user)
        for path, value in VALUES.items():
            world.say(path, value)
        yield world


async def _served(web: WebWorld, user: str) -> I3xWorld:
    token = await web.people.token(user)
    http, sent = web.http, list[tuple[str, str, Value]]()
    world = I3xWorld(web, None, token, http, sent)  # type: ignore[arg-type]

    async def send(caller: Caller, path: str, value: Value, *, reason: str) -> Response:
        await asyncio.sleep(0)
        assert reason
        sent.append((caller.principal, path, value))
        if world.state is State.DONE:
            world.say(path, value)
        return Response(id="1", state=world.state, path=path, value=value, code="NX6805", detail="As it was told.")

    parts = web.web.parts
    app = make_api(parts, health=list(health_routes(web.web)), send=send)
    world.app, keeper = app, parts.jobs["i3x"].__self__  # type: ignore[attr-defined]
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True, client=("192.0.2.1", 4711))
    world.http, world.keeper = httpx.AsyncClient(transport=transport, base_url="http://web"), keeper
    return world


@contextlib.asynccontextmanager
async def served(world: I3xWorld) -> AsyncIterator[str]:
    """The application on a port, with its subscriptions looked after; gives the URL of i3X."""
    stop = asyncio.Event()
    async with serve_http(world.web.web, host="127.0.0.1", port=0, app=world.app) as port, tasks("i3x") as group:
        group.create_task(world.keeper.run(stop), name="subscriptions")
        try:
            yield f"http://127.0.0.1:{port}{BASE}"
        finally:
            world.web.web._stopping = True
            stop.set()


async def another(world: I3xWorld) -> I3xWorld:
    """A second web on the same database; its cache begins empty."""
    web = Web(world.web.web.parts.settings, pool=world.web.people.pool, clock=SystemClock())
    await web.parts.keeper.look()
    other = dataclasses.replace(world.web, web=web)
    found = await _served(other, "isa")
    found.token, found.client = world.token, world.client
    return found


__all__ = ["NOBODY", "PLANT", "I3xWorld", "another", "checked", "i3x_world", "served", "write"]
