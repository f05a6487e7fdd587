"""Following topics with a real broker: the end is quiet, conditions are counted, a broker that goes is one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.cli.commands import tail as tail_module
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project import live as live_module
from nexus_cli.project.live import Backlog, parse_where, tail
from nexus_cli.project.near import near_filters
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.children import hearing_signals
from tests.scripted_broker import ScriptedBroker
from tests.servers import TestBroker
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.needs_broker
PATH = "packaging/line-1/filler/temperature"


@pytest.fixture
def settings(broker: TestBroker) -> Settings:
    return dataclasses.replace(broker.settings(), site="acme/chicago")


async def published(settings: Settings, *values: str) -> None:
    client = BrokerClient(settings=settings, client_id="device")
    async with client.session():
        for quality in values:
            await client.publish(f"acme/chicago/{PATH}", b'{"value":1,"quality":"%s"}' % quality.encode(), retain=True)


async def test_ending_early_leaves_no_task_that_fails(settings: Settings) -> None:
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    for _ in range(3):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2), contextlib.aclosing(tail(["**"], settings=settings)) as messages:
                async for _live in messages:
                    pytest.fail("nothing is published")
        gc.collect()
        await loop.shutdown_asyncgens()
    assert complaints == []


async def test_what_a_condition_leaves_out_is_counted(settings: Settings) -> None:
    await published(settings, "GOOD")
    passed_over = asyncio.Event()

    async def then_bad() -> None:
        await passed_over.wait()
        await published(settings, "BAD")

    conditions = [parse_where("quality!=GOOD")]
    following = tail(["packaging/**"], conditions=conditions, settings=settings, passed_over=passed_over.set)
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(following) as messages, asyncio.TaskGroup() as group:
        group.create_task(then_bad(), name="publish")
        live = await anext(messages)
    assert (live.path, live.quality) == (PATH, "BAD")


async def test_a_device_means_its_tags_and_those_of_no_other(settings: Settings) -> None:
    client = BrokerClient(settings=settings, client_id="device")
    places = ("filler/temperature", "filler-2/temperature", "press/filler", "filler/level")
    async with client.session():
        for place in places:
            await client.publish(f"acme/chicago/packaging/line-1/{place}", b'{"value":1}', retain=True)
        await client.publish("acme/chicago/mixing/line-1/filler/temperature", b'{"value":1}', retain=True)
    for text in ("packaging/line-1/filler", "packaging/line-1/filler/"):
        following = tail([text], settings=settings)
        async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(following) as messages:
            found = {(await anext(messages)).path for _ in range(2)}
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    pytest.fail(f"{await anext(messages)} is not of the device")
        assert found == {"packaging/line-1/filler/temperature", "packaging/line-1/filler/level"}


async def test_a_mistyped_path_has_its_near_one_from_the_broker_where_control_is_away(settings: Settings) -> None:
    away = dataclasses.replace(settings, control_url="http://127.0.0.1:9", control_token="x")
    await published(settings, "GOOD")
    with pytest.raises(NexusError) as failed:
        await live_module.read("packaging/line-1/filler/temprature", settings=away)
    assert failed.value.hint == f"did you mean '{PATH}'?"
    assert await near_filters(["packing/**"], away) == "did you mean 'packaging/**'?"


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (["--for", "300ms"], [f"nothing came on 'packaging/line-1/filler/temprature': did you mean '{PATH}'?"]),
        (
            ["--count", "1"],
            [
                f"nothing came on 'packaging/line-1/filler/temprature': did you mean '{PATH}'?",
                "still waiting for the first message; Ctrl-C ends it",
            ],
        ),
    ],
)
async def test_a_mistyped_path_is_explained_however_the_end_is_given(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, limits: list[str], told: list[str]
) -> None:
    await published(settings, "GOOD")
    away = dataclasses.replace(settings, control_url="http://127.0.0.1:9", control_token="x")
    notes: list[str] = []
    monkeypatch.setattr(tail_module, "note", notes.append)
    monkeypatch.setattr(tail_module, "load_settings", lambda: away)
    monkeypatch.setattr(live_module, "load_settings", lambda: away)
    monkeypatch.setattr("nexus_cli.cli.options.notice_of_copy", lambda _address: "")
    monkeypatch.setattr("nexus_cli.cli.options.notice_of_other_folder", lambda _address: "")
    if "--for" in limits:
        arguments = ["packaging/line-1/filler/temprature", *limits]
        await asyncio.to_thread(tail_module.command.main, arguments, standalone_mode=False)
    else:
        follower = tail_module._Follower(
            ["packaging/line-1/filler/temprature"], as_json=False, count=1, skip_retained=False
        )
        following = asyncio.create_task(follower.run([], limit_s=None))
        await until(lambda: len(notes) == len(told))
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    assert notes == told


async def test_a_broker_that_goes_is_told_plainly(broker: TestBroker, settings: Settings) -> None:
    await published(settings, "GOOD")
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(tail([], settings=settings)) as messages:
        await anext(messages)
        broker.kill()
        with pytest.raises(NexusError) as failed:
            await anext(messages)
    assert failed.value.code == "NX6010"
    assert "Unspecified" not in failed.value.cause


async def test_watching_asks_for_no_queue_and_takes_what_comes_although_nobody_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the broker would queue for a slow reader, on disk too, waits at the reader instead, within bounds."""
    watchers: list[BrokerClient] = []

    class Watched(BrokerClient):
        def __init__(self, **keys: Any) -> None:
            super().__init__(**keys)
            watchers.append(self)

    monkeypatch.setattr(live_module, "BrokerClient", Watched)
    async with ScriptedBroker().running() as scripted:
        settings = scripted.settings()
        backlog = Backlog()
        following = tail(["packaging/**"], settings=settings, backlog=backlog)
        async with asyncio.timeout(60), contextlib.aclosing(following) as messages:
            device = BrokerClient(settings=settings, client_id="device")
            async with asyncio.TaskGroup() as group:
                first = group.create_task(anext(messages))  # type: ignore[arg-type]
                await until(lambda: any(one.filters for one in scripted._clients))
                (watcher,) = [one for one in scripted._clients if one.filters]
                async with device.session():
                    assert list(watcher.filters.values()) == [0]
                    for number in range(30_000):
                        device.post(f"acme/chicago/{PATH}-{number % 50}", b'{"value":%d}' % number)
                        if not number % 500:
                            await asyncio.sleep(0)
                    await until(lambda: len(scripted.received) == 30_000)
                    await until(lambda: watchers[0].waiting + watchers[0].dropped >= 29_999)
            assert first.done()
            newest: dict[str, Any] = {}
            while watchers[0].waiting:
                live = await anext(messages)
                newest[live.path] = live.value
        assert newest == {f"{PATH}-{number % 50}": number for number in range(29_950, 30_000)}
        assert 0 < backlog.dropped < 30_000


@pytest.mark.slow
async def test_a_tail_whose_output_nobody_reads_ends_with_the_newest_values(
    broker: TestBroker, settings: Settings, tmp_path: Path
) -> None:
    """The whole command on a pipe: JSON stays clean on stdout, and stderr says how far behind it is."""
    environment = {
        **os.environ,
        "NEXUS_SITE": "acme/chicago",
        "NEXUS_BROKER_URL": broker.url,
        "NEXUS_HOME": str(tmp_path),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nexus_cli", "tail", "--json", stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=environment, cwd=tmp_path, limit=1 << 16, **hearing_signals(),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    client = BrokerClient(settings=settings, client_id="device")
    try:
        async with asyncio.timeout(120), client.session():
            greeting = asyncio.ensure_future(process.stdout.readline())
            while not greeting.done():
                await client.publish(f"acme/chicago/{PATH}", b'{"value":-1,"quality":"GOOD"}')
                await asyncio.sleep(0.05)
            process.stdout._transport.pause_reading()  # type: ignore[attr-defined]
            last = None
            for number in range(60_000):
                payload = b'{"value":%d,"timestamp":%d}' % (number, time.time_ns() // 1_000_000)
                last = client.post(f"acme/chicago/{PATH}-{number % 20}", payload)
                if client.inflight > 500:
                    await last
            assert last is not None
            await last
            process.stdout._transport.resume_reading()  # type: ignore[attr-defined]
            newest: dict[str, int] = {}
            while any(newest.get(f"{PATH}-{number % 20}") != number for number in range(59_980, 60_000)):
                line = json.loads(await process.stdout.readline())
                newest[line["path"]] = line["value"]
            process.send_signal(signal.SIGINT)
            told = (await process.stderr.read()).decode()
        assert "behind by" in told or "left out" in told
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
