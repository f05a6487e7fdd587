"""Receipts stay small, whatever a gateway's past is, and name all that it can still be waiting for."""

from __future__ import annotations

import asyncio

from nexus_cli.database.committed import LIVING_EPOCHS, OutboxKey, RangeSet
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.historian.announcer import MOST_TOLD, MOST_TOLD_EARLIER, Announcer
from nexus_cli.wire.frame import Committed, decode_committed
from nexus_cli.wire.topic import Topics

TOPICS = Topics("acme", "chicago")


class Broker:
    """Keeps what is published; `connected` and `failing` are turned by the test."""

    def __init__(self) -> None:
        self.connected, self.failing = True, False
        self.said: list[tuple[str, Committed]] = []
        self.sizes: list[int] = []

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        assert (qos, retain) == (1, True)
        if self.failing:
            raise NexusError("away", code="NX6010", retriable=True)
        self.said.append((topic, decode_committed(payload)))
        self.sizes.append(len(payload))


async def published(announcer: Announcer, broker: Broker) -> list[tuple[str, Committed]]:
    """Everything that is due."""
    broker.said.clear()
    await announcer._publish_due()
    return list(broker.said)


def make() -> tuple[Announcer, Broker]:
    broker = Broker()
    return Announcer(client=broker, topics=TOPICS), broker  # type: ignore[arg-type]


async def test_a_gateway_that_restarted_hears_of_the_lives_before_in_one_message() -> None:
    announcer, broker = make()
    for number in range(1, 4):
        announcer.note(OutboxKey("gw-1", f"E{number}"), RangeSet([(number * 100, number * 100 + 50)]))
    announcer.note(OutboxKey("gw-2", "X"), RangeSet([(1, 2)]))
    await published(announcer, broker)
    announcer.say_again()
    said = await published(announcer, broker)
    assert [topic for topic, _ in said] == [TOPICS.committed("gw-1"), TOPICS.committed("gw-2")]
    newest = said[0][1]
    assert (newest.epoch, newest.ranges) == ("E3", [(300, 350)])
    assert [(each.epoch, each.ranges) for each in newest.earlier] == [("E1", [(100, 150)]), ("E2", [(200, 250)])]
    assert said[1][1].earlier == []


async def test_a_restart_every_minute_for_a_day_keeps_receipts_and_memory_small() -> None:
    announcer, broker = make()
    for minute in range(1440):
        announcer.note(OutboxKey("gw-1", f"{minute:026d}"), RangeSet([(minute * 60 + 1, minute * 60 + 60)]))
        await published(announcer, broker)
    assert len(announcer.known()) == LIVING_EPOCHS
    assert max(broker.sizes) < 1_000
    announcer.say_again()
    assert len(await published(announcer, broker)) == 1


async def test_a_life_that_was_forgotten_gets_its_receipt_when_its_frames_come_again() -> None:
    announcer, broker = make()
    for number in range(20):
        announcer.note(OutboxKey("gw-1", f"E{number}"), RangeSet([(1, 5)]))
    await published(announcer, broker)
    announcer.note(OutboxKey("gw-1", "E0"), RangeSet([(1, 5)]), [3])
    assert [(each.epoch, each.ranges) for _, each in await published(announcer, broker)] == [("E0", [(1, 5)])]


async def test_holes_make_no_receipt_large_and_what_was_just_stored_is_named() -> None:
    announcer, broker = make()
    ranges = RangeSet((seq, seq) for seq in range(1, 20_000, 2))
    announcer.note(OutboxKey("gw-1", "E"), ranges, [5, 777, 19_999])
    said = (await published(announcer, broker))[0][1]
    assert said.ranges[:2] == [(5, 5), (777, 777)]
    assert said.ranges[2:] == ranges.ranges[-MOST_TOLD:]
    assert max(broker.sizes) < 2_000
    announcer.note(OutboxKey("gw-1", "F"), RangeSet([(20_001, 20_001)]))
    later = (await published(announcer, broker))[0][1]
    assert later.earlier[0].ranges == ranges.ranges[-MOST_TOLD_EARLIER:]


async def test_what_could_not_be_published_is_said_with_the_next_one() -> None:
    announcer, broker = make()
    ranges = RangeSet((seq, seq) for seq in range(1, 1_000, 2))
    broker.failing = True
    announcer.note(OutboxKey("gw-1", "E"), ranges, [5])
    assert not await announcer._publish_due()
    broker.failing = False
    announcer.note(OutboxKey("gw-1", "E"), ranges, [9])
    said = (await published(announcer, broker))[-1][1]
    assert said.ranges[:2] == [(5, 5), (9, 9)]


async def test_a_stop_publishes_what_is_due() -> None:
    announcer, broker = make()
    stop = asyncio.Event()
    stop.set()
    announcer.note(OutboxKey("gw-1", "E"), RangeSet([(1, 1)]))
    await announcer.run(stop)
    assert [each.ranges for _, each in broker.said] == [[(1, 1)]]
