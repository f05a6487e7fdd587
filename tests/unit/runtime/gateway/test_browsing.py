"""A walk through a gateway's link goes between its polls: simulated time, so that every wait is exact."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from nexus_cli.drivers.base import Browsed, BrowseOptions
from nexus_cli.runtime.gateway.browsing import STARVED_S, Browsing
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock

TOPICS = Topics("acme", "chicago")
INTERVAL_S = 0.1
POLL_S = 0.01


class PolledLink(FakeClock):
    """A link that is polled every 100 ms, and the clock that its work turns.

    Attributes:
        waited_s: How long each poll stood behind a step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.due_s = self.monotonic_s() + INTERVAL_S
        self.waited_s: list[float] = []
        self.link, self.devices, self.connected = "link", {"a/l/plc": SimpleNamespace(config=None)}, True
        self.state = SimpleNamespace(state="connected", detail="")
        self.browse: Callable[[BrowseOptions], AsyncIterator[Browsed]]

    async def sleep(self, delay_s: float) -> None:
        """Time passes at once, and the polls that fall due are done."""
        self.advance(delay_s)
        while self.due_s <= self.monotonic_s() + 1e-9:
            self.waited_s.append(0.0)
            self.due_s += INTERVAL_S
            self.advance(POLL_S)
        await asyncio.sleep(0)

    def free_s(self) -> float:
        """Until the next poll; 0 while the link is down."""
        return max(0.0, self.due_s - self.monotonic_s()) if self.connected else 0.0

    def lose(self) -> None:
        """The link goes down, as one does that is reset."""
        self.connected, self.state = False, SimpleNamespace(state="backoff", detail="connection reset")

    def submit(self, work: Any, *, dropped: Any = None) -> bool:
        """Do it, and then the polls that fell due meanwhile."""

        async def do() -> None:
            await work(self)
            while self.due_s <= self.monotonic_s():
                self.waited_s.append(self.monotonic_s() - self.due_s)
                self.due_s += INTERVAL_S
                self.advance(POLL_S)

        self.doing = asyncio.get_running_loop().create_task(do())
        return True


async def walked(steps_s: Sequence[float], *, lost_after: int | None = None) -> tuple[PolledLink, list[dict[str, Any]]]:
    """Browse with steps that take so long each, and lose the link after one of them; the link afterwards, and the
    pages."""
    link, pages, done = PolledLink(), list[dict[str, Any]](), asyncio.Event()

    async def browse(_options: BrowseOptions) -> AsyncIterator[Browsed]:
        for number, took_s in enumerate(steps_s):
            link.advance(took_s)
            yield Browsed((f"v{number}",), f"n{number}", "float64")
            if number == lost_after:
                link.lose()
            yield Browsed((), "", "", detail={"beat": True})

    async def publish(_topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        pages.append(orjson.loads(payload))
        if pages[-1]["done"]:
            done.set()

    link.browse = browse
    owner = SimpleNamespace(links=SimpleNamespace(supervisors={"link": link}))
    one = Browsing(SimpleNamespace(publish=publish), topics=TOPICS, gateway="gw", clock=link, owner=owner)  # type: ignore[arg-type]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(one.run(stop))
        request = orjson.dumps({"id": "x", "device": "a/l/plc"})
        one.receive(Message(topic=TOPICS.browse("gw", "desk"), payload=request, retain=False, qos=1))
        await done.wait()
        stop.set()
    return link, pages


def names(pages: list[dict[str, Any]]) -> Iterator[str]:
    """What was found, in order."""
    return (item[0][0] for page in pages for item in page["items"] if item[0])


async def test_no_poll_waits_for_a_step_that_takes_what_the_last_one_took() -> None:
    link, pages = await walked([0.012] * 60)
    assert list(names(pages)) == [f"v{number}" for number in range(60)]
    assert len(link.waited_s) >= 60 * 0.012 / INTERVAL_S
    assert max(link.waited_s) == 0.0


async def test_steps_that_grow_make_one_poll_wait_once() -> None:
    link, _ = await walked([0.01] * 10 + [0.06] * 20)
    late = [waited for waited in link.waited_s if waited]
    assert len(late) <= 1
    assert max(link.waited_s) < 0.06


async def test_a_walk_that_finds_no_room_takes_a_step_after_seconds_all_the_same() -> None:
    link, pages = await walked([0.15] * 4)
    assert list(names(pages)) == ["v0", "v1", "v2", "v3"]
    late = [waited for waited in link.waited_s if waited]
    assert len(late) <= 2 * 4, "a step of one and a half intervals meets two polls"
    assert len(link.waited_s) - len(late) >= 3 * (STARVED_S / INTERVAL_S) * 0.8, "the polls between went undisturbed"


async def test_a_link_that_is_lost_between_two_steps_is_reported_at_once() -> None:
    """With signs of life instead, whoever asks would wait and never ask again."""
    _, pages = await walked([0.012] * 5, lost_after=2)
    assert [(page["error"], page["again"]) for page in pages] == [("the link is backoff: connection reset", True)]


async def asked(request: Any, browse: Callable[[BrowseOptions], AsyncIterator[Browsed]]) -> list[dict[str, Any]]:
    """The pages of a good request that comes right after this one."""
    link, pages, done = PolledLink(), list[dict[str, Any]](), asyncio.Event()
    link.browse = browse

    async def publish(topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        assert topic.isprintable()
        pages.append(orjson.loads(payload))
        if pages[-1]["done"] and pages[-1]["id"] == "good":
            done.set()

    owner = SimpleNamespace(links=SimpleNamespace(supervisors={"link": link}))
    one = Browsing(SimpleNamespace(publish=publish), topics=TOPICS, gateway="gw", clock=link, owner=owner)  # type: ignore[arg-type]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(one.run(stop))
        for each in (request, {"id": "good", "device": "a/l/plc"}):
            payload = orjson.dumps(each)
            one.receive(Message(topic=TOPICS.browse("gw", "desk"), payload=payload, retain=False, qos=1))
        await done.wait()
        stop.set()
    with contextlib.suppress(Exception):
        await link.doing
    return pages


async def one_tag(_options: BrowseOptions) -> AsyncIterator[Browsed]:
    yield Browsed(("v",), "n", "float64")


@pytest.mark.parametrize(
    "request_",
    [
        None,
        [],
        "x",
        {"id": "a\u0001b", "device": "a/l/plc"},
        {"id": "a/b", "device": "a/l/plc"},
        {"id": [["deep"]], "device": "a/l/plc"},
        {"id": "x", "connection": [1]},
        {"id": "x", "link": "other", "connection": "host"},
        {"id": "x", "device": "a/l/plc", "depth": {"a": 1}},
        {"id": "x", "device": "a/l/plc", "nodes": 5},
        {"id": "x", "device": "a/l/plc", "expires_at": "soon"},
    ],
    ids=str,
)
async def test_after_any_request_the_next_one_is_answered(request_: Any) -> None:
    pages = await asked(request_, one_tag)
    assert {page["id"] for page in pages} <= {"good", "x"}
    assert list(names([page for page in pages if page["id"] == "good"])) == ["v"]


async def test_a_walk_that_ends_by_a_bug_is_told_and_the_next_one_is_answered() -> None:
    calls = 0

    async def breaks(options: BrowseOptions) -> AsyncIterator[Browsed]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise IndexError("a bug of the driver")
        yield Browsed(("v",), "n", "float64")

    pages = await asked({"id": "first", "device": "a/l/plc"}, breaks)
    assert [page.get("error") for page in pages if page["id"] == "first"] == ["the walk broke off"]
    assert list(names([page for page in pages if page["id"] == "good"])) == ["v"]
