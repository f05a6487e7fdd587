"""Control with a real PostgreSQL and a real broker, and a gateway that only answers: what the tests of control share."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from ulid import ULID

from nexus_cli.apply.run import gateway_digest
from nexus_cli.apply.timing import Timing
from nexus_cli.database.connect import open_pool
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import digest
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.runtime.api.request_guard import PAUSE_S
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.control.control import Control
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.control import DeploymentProgress, DeploymentRequest, PlanSummary
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.http_access import AccessClient
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.forks import Fork
from tests.integration.control_process import control_process
from tests.servers import TestBroker, free_port, new_broker
from tests.waiting import patient, until, until_found

TOPICS = Topics("acme", "chicago")
API = {"nexus.cli": "cli-token", "nexus.gateway.gw-1": "gateway-token", "nexus.gateway.gw-2": "other-token"}
PEOPLE = {"anna": "anna-token", "ben": "ben-token"}
API |= PEOPLE
BRIEF = {"verify_s": 3.0, "retry_s": 0.1}
FAST = Timing(lease_ttl_s=2.0, observe_s=5.0, **BRIEF)


def tag(**keys: Any) -> dict[str, Any]:
    return {"type": "float64", "published_type": "float64", "address": "holding:0", **keys}


def device(path: str, *, gateway: str = "gw-1", host: str = "10.0.0.9", **keys: Any) -> dict[str, Any]:
    return {
        "path": path,
        "protocol": "modbus",
        "link": f"tcp:{host}:502",
        "gateway": gateway,
        "connection": {"host": host, "port": 502},
        "tags": {"energy": tag(), "voltage": tag(address="holding:2")},
        **keys,
    }


def snapshot(*devices: Mapping[str, Any], **others: Mapping[str, Any]) -> Snapshot:
    resources: dict[str, Any] = {
        "site": {"enterprise": "acme", "site": "chicago"},
        "gateway.gw-1": {},
        "retention.default": {"keep_ms": 86_400_000, "rollups": []},
        **{f"device.{each['path']}": dict(each) for each in devices},
        **{name.replace("__", "."): dict(value) for name, value in others.items()},
    }
    return Snapshot.of("acme", "chicago", resources)


async def plan_against(control: ControlClient, desired: Snapshot, *, moved: Any = ()) -> Plan:
    state = await control.state()
    resources = await control.resources(list(state.digests))
    base = Base(
        deployment=state.deployment,
        digest=state.digest,
        digests=state.digests,
        resources=resources,
        running=state.running,
    )
    return make_plan(base, desired, moved=moved).unwrap()


def body_of(plan: Plan, *, allow: tuple[str, ...] = (), reason: str = "") -> DeploymentRequest:
    return DeploymentRequest(
        base_digest=plan.base_digest,
        desired_digest=plan.desired_digest,
        changed=plan.desired,
        plan=PlanSummary(moved=list(plan.moved), summary=plan.counts()),
        allow=list(allow),
        reason=reason,
    )


async def ended(control: ControlClient, number: int) -> DeploymentProgress:
    """Follow a deployment to its end; its whole journal is in the answer."""
    await until_found(lambda: control.deployment(number, wait_s=1.0), lambda found: found.state == "ended")
    return await control.deployment(number)


async def applied(
    control: ControlClient, desired: Snapshot, *, allow: tuple[str, ...] = (), moved: Any = ()
) -> DeploymentProgress:
    plan = await plan_against(control, desired, moved=moved)
    return await ended(control, await control.deploy(body_of(plan, allow=allow)))


@dataclasses.dataclass
class FakeGateway:
    """Fetches its configuration when asked to and answers `observed`, as a gateway does; reads no device.

    Attributes:
        failing: Device paths that it can't configure.
        unreachable: Device paths whose verification finds nobody.
        mute: Device paths that gave nothing from the beginning, as its health says.
        spoilt: Tag paths that are GOOD after the first configuration, and BAD after each later one.
        silent: True: hears everything and answers nothing.
        held: True: answers when it is false again.
        instance: Of its process.
        epoch: Of its disk log.
        accounted_since: From when on it says what it did not read, µs since 1970 UTC; the default is a long past.
    """

    settings: Settings
    name: str = "gw-1"
    failing: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()
    spoilt: tuple[str, ...] = ()
    silent: bool = False
    held: bool = False
    instance: str = dataclasses.field(default_factory=lambda: str(ULID()))
    accounted_since: int = 1
    epoch: str = "E1"
    running: dict[str, str] = dataclasses.field(default_factory=dict)
    notices: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[FakeGateway]:
        stop = asyncio.Event()
        queue: asyncio.Queue[Message] = asyncio.Queue(1000)
        health = TOPICS.health("gateway", self.name)
        self.client = BrokerClient(
            settings=self.settings, client_id=f"fake-{self.name}", will=(health, self.said("lost"))
        )
        token = API[f"nexus.gateway.{self.name}"]
        self.control = AccessClient(dataclasses.replace(self.settings, control_token=token))

        def take(message: Message) -> None:
            # amqtt sends whoever connects what it retains for the filters of others.
            if message.topic == TOPICS.config(self.name):
                queue.put_nowait(message)

        async def greet() -> None:
            links = {"tcp:10.0.0.9:502": {"state": "connected", "since": 0}}
            mute = [{"path": path, "reason": "device_timeout"} for path in self.mute]
            await self.client.publish(health, self.said("running", links=links, silent=mute), retain=True)

        async with asyncio.TaskGroup() as group:
            group.create_task(
                self.client.run(
                    stop,
                    subscriptions=[(TOPICS.config(self.name), 1)],
                    on_message=take,
                    on_connected=greet,
                )
            )
            work = group.create_task(self._work(queue))
            await until(lambda: self.client.connected, "the gateway's connection")
            try:
                yield self
            finally:
                work.cancel()
                stop.set()
        await self.control.close()

    def said(self, state: str, **more: Any) -> bytes:
        """Its health."""
        facts = {"state": state, "instance": self.instance, "accounted_since": self.accounted_since, **more}
        if state == "running":
            facts |= {"time": time.time_ns() // 1000, "outbox": {"epoch": self.epoch}}
        return orjson.dumps(facts)

    async def _answered(self, ask: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
        """Ask as a gateway does: again while control is away."""
        while True:
            try:
                return await ask(*arguments)
            except NexusError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(0.1)

    async def _work(self, queue: asyncio.Queue[Message]) -> None:
        while True:
            notice = orjson.loads((await queue.get()).payload)
            self.notices.append(notice)
            index = await self._answered(self.control.gateway_index, self.name)
            assert index.digest == gateway_digest(index.devices) == digest(sorted(map(list, index.devices.items())))
            changed = [path for path, value in index.devices.items() if self.running.get(path) != value]
            configs = await self._answered(self.control.gateway_devices, self.name, changed)
            assert sorted(configs) == sorted(changed)
            removed = [path for path in self.running if path not in index.devices]
            self.running = dict(index.devices)
            if self.silent:
                continue
            await until(lambda: not self.held, "the answer being let go")
            answer = {
                "deployment": index.deployment,
                "digest": index.digest,
                "time": time.time_ns() // 1000,
                "devices": {
                    path: {
                        "digest": index.devices[path],
                        "state": "failed" if path in self.failing else "running",
                        "detail": "no such register" if path in self.failing else "",
                    }
                    for path in changed
                },
                "removed": removed,
            }
            quality, value = ("GOOD", 1) if len(self.notices) == 1 else ("BAD", None)
            for path in self.spoilt:
                payload = orjson.dumps({"value": value, "quality": quality})
                await self.client.publish(TOPICS.tag(path), payload, retain=True)
            await self.client.publish(TOPICS.observed(self.name), orjson.dumps(answer), retain=True)
            answer["verification"] = {
                path: {"good": 0, "bad": 2, "reachable": False}
                if path in self.unreachable
                else {"good": 2, "bad": 0, "reachable": True}
                for path in changed
            }
            await self.client.publish(TOPICS.observed(self.name), orjson.dumps(answer), retain=True)


@dataclasses.dataclass
class World:
    """A database, a broker, and control in this process or in another."""

    settings: Settings
    broker: TestBroker

    def client(self, principal: str = "nexus.cli", **keys: Any) -> AccessClient:
        return AccessClient(dataclasses.replace(self.settings, control_token=API[principal]), **keys)

    def twin(self) -> World:
        """The same plant with the address of a second control."""
        url = f"http://127.0.0.1:{free_port()}"
        return World(dataclasses.replace(self.settings, control_url=url), self.broker)

    async def status(self) -> dict[str, Any]:
        """What the control at this address says of itself; empty while it does not answer."""
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(base_url=self.settings.control_url) as http:
                found: dict[str, Any] = (await http.get("/status", timeout=5.0)).json()
                return found
        return {}

    async def until_leads(self, leads: bool = True, *, deadline_s: float = 120.0) -> None:
        """Wait until the control at this address leads, or says that it does not."""

        def wanted(found: dict[str, Any]) -> bool:
            return found.get("leads") is leads and (not leads or bool(found["ready"]))

        await until_found(self.status, wanted, deadline_s=deadline_s)

    @contextlib.asynccontextmanager
    async def control(
        self, timing: Timing = FAST, *, standby: bool = False, clock: SystemClock | None = None
    ) -> AsyncIterator[AccessClient]:
        """Control in this process; with `standby` another one leads."""
        pool = await open_pool(self.settings)
        stop = asyncio.Event()
        control = Control(self.settings, pool=pool, timing=timing, clock=clock or SystemClock())
        async with asyncio.TaskGroup() as group:
            running = group.create_task(control.run(stop))
            await until(
                lambda: running.done() or (control._leadership.seen is not None if standby else control.ready()[0]),
                "control being ready",
            )
            async with self.client() as client:
                try:
                    yield client
                finally:
                    stop.set()
        pool.terminate()

    def control_process(
        self,
        *,
        lease_ttl_s: float = 2.0,
        leader_ttl_s: float = 10.0,
        observe_s: float = 15.0,
        stop_at: str = "",
        pause_s: float = PAUSE_S,
    ) -> Fork:
        """Control in a process of its own, to be killed, or to stop itself.

        Args:
            lease_ttl_s: See `Timing`.
            leader_ttl_s: See `Timing`.
            observe_s: See `Timing`.
            stop_at: `WHEN STEP STATE`: the process stops (SIGSTOP) `before` or `inside` the transaction of this line
                of a journal; `STEP` may be `end` for the end of a deployment.
            pause_s: Longest pause of a client within a body.
        """
        names = ("site", "control_url", "broker_url", "database_url", "database_password", "home")
        return control_process(
            {each: str(getattr(self.settings, each)) for each in names},
            API,
            {"lease_ttl_s": lease_ttl_s, "leader_ttl_s": leader_ttl_s, "observe_s": observe_s} | BRIEF,
            stop_at.split(),
            pause_s=pause_s,
        )

    async def messages(self, filter_: str, *, count: int, deadline_s: float = 10.0) -> dict[str, bytes]:
        """The first `count` topics that come below a filter, with their newest payload."""
        found: dict[str, bytes] = {}
        client = BrokerClient(settings=self.settings, client_id=f"listener-{time.monotonic_ns()}")
        async with client.session() as messages, asyncio.timeout(patient(deadline_s)):
            await client.subscribe([(filter_, 1)])
            async for message in messages:
                found[message.topic] = message.payload
                if len(found) >= count:
                    break
        return found


@pytest.fixture
def world(database: Settings, tmp_path: Path) -> Iterator[World]:
    """A fresh database and broker; control is started by the test."""
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = new_broker(folder).start()
    settings = dataclasses.replace(
        database,
        site="acme/chicago",
        principal="nexus.control",
        broker_url=broker.url,
        control_url=f"http://127.0.0.1:{free_port()}",
        credentials={"api": API},
    )
    try:
        yield World(settings, broker)
    finally:
        broker.stop()


async def rows(world: World, query: str, *arguments: object) -> list[dict[str, Any]]:
    """What the database answers."""
    conn = await asyncpg.connect(world.settings.database_url, password=world.settings.database_password)
    try:
        return [dict(row) for row in await conn.fetch(query, *arguments)]
    finally:
        await conn.close()


async def journal_has(control: ControlClient, number: int, wanted: tuple[str, str]) -> None:
    """Wait until a step has come to a state."""
    await until_found(lambda: control.deployment(number), lambda found: wanted in steps(found))


def steps(found: DeploymentProgress) -> list[tuple[str, str]]:
    """Steps and states of a deployment's journal, in order."""
    return [(line.step, line.state) for line in found.journal]
