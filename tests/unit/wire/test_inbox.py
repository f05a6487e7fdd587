"""The inbox of a session: bounded, and what goes first when it is full."""

from __future__ import annotations

import asyncio

from nexus_cli.wire.inbox import Inbox
from nexus_cli.wire.message import Message


def message(topic: str, number: int) -> Message:
    return Message(topic, b"%d" % number, 0, False)


async def taken(inbox: Inbox) -> list[tuple[str, int]]:
    inbox.close()
    found = []
    while (one := await inbox.get()) is not None:
        found.append((one.topic, int(one.payload)))
    return found


async def test_everything_in_order_while_there_is_room() -> None:
    inbox = Inbox(newest=True, most=10)
    for number in range(10):
        inbox.put(message("a", number))
    assert len(inbox) == 10
    assert await taken(inbox) == [("a", number) for number in range(10)]
    assert inbox.dropped == 0


async def test_an_answer_that_came_first_is_kept() -> None:
    inbox = Inbox(most=3)
    for number in range(5):
        inbox.put(message("a", number))
    assert inbox.dropped == 2
    assert await taken(inbox) == [("a", 0), ("a", 1), ("a", 2)]


async def test_of_the_live_view_what_was_overtaken_goes_first() -> None:
    inbox = Inbox(newest=True, most=10)
    inbox.put(message("seldom", 1))
    for number in range(1, 1001):
        inbox.put(message("busy", number))
    assert len(inbox) <= 10
    found = await taken(inbox)
    assert found[0] == ("seldom", 1)
    assert found[-1] == ("busy", 1000)
    numbers = [number for topic, number in found if topic == "busy"]
    assert numbers == sorted(numbers)
    assert inbox.dropped == 1001 - len(found)


async def test_of_more_topics_than_room_the_oldest_go() -> None:
    inbox = Inbox(newest=True, most=10)
    for number in range(100):
        inbox.put(message(f"t{number}", number))
    found = await taken(inbox)
    assert found[-1] == ("t99", 99)
    assert 9 <= len(found) <= 10
    assert inbox.dropped == 100 - len(found)


async def test_who_waits_is_woken_by_a_message_and_by_the_end() -> None:
    inbox = Inbox()
    asyncio.get_running_loop().call_soon(inbox.put, message("a", 7))
    first = await inbox.get()
    assert first is not None
    assert first.payload == b"7"
    asyncio.get_running_loop().call_soon(inbox.close)
    assert await inbox.get() is None
