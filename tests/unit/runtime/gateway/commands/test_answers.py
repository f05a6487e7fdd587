"""Answers and reports that are too large, or that the disk refuses: neither is lost, and neither stops the others."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.commands.journal import Journal
from nexus_cli.runtime.gateway.commands.replies import MOST_TRIES, Replies, Reports
from nexus_cli.runtime.gateway.outbox import disklog
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.wire.command import LARGEST_REPORT_BYTES, Report, Response, State, decode_report, decode_response
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.waiting import PATIENCE_S

TOPICS = Topics("acme", "chicago")
NOW_US = 1_800_000_000_000_000


def report(name: str, *, value: str = "") -> Report:
    """How a command ended, with what the tag holds now."""
    response = Response(id=name, state=State.DONE, path="a/l/d/t", time=NOW_US, read_back=value or None, detail="done")
    return Report(epoch="", seq=0, gateway="gw-1", principal="desk", received=NOW_US, response=response, asked=value)


class Broker:
    """A client whose broker ends the connection at payloads above a limit."""

    def __init__(self, limit_bytes: int) -> None:
        self.connected = True
        self.limit_bytes = limit_bytes
        self.sent: list[Response] = []
        self.losses = 0

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish."""
        await asyncio.sleep(0)
        if len(payload) > self.limit_bytes:
            self.losses += 1
            raise NexusError("lost", code="NX6010")
        self.sent.append(decode_response(payload))


@pytest.mark.parametrize(("limit", "names"), [(2_000, ["large", "small"]), (200, ["small"])])
async def test_an_answer_that_ends_the_connection_is_shortened_and_at_last_dropped(
    limit: int, names: list[str]
) -> None:
    broker = Broker(limit)
    answers = Replies(broker, TOPICS)  # type: ignore[arg-type]
    large = report("large", value="x" * 5_000)
    if limit == 200:
        detail = "y" * 1_000
        large = Report(
            **{
                **{name: getattr(large, name) for name in large.__struct_fields__},
                "response": Response(id="large", state=State.FAILED, detail=detail),
            }
        )
    answers.put(large)
    answers.put(report("small"))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
        group.create_task(answers.run(stop))
        while not broker.sent or broker.sent[-1].id != "small":
            answers.wake()
            await asyncio.sleep(0)
        stop.set()
    assert [one.id for one in broker.sent] == names
    assert answers.dropped == 2 - len(names)
    assert broker.losses == (MOST_TRIES if limit == 2_000 else 2 * MOST_TRIES)
    if limit == 2_000:
        assert broker.sent[0].read_back is None
        assert broker.sent[0].detail == "done; values are left out: the message was too large"


async def test_a_large_read_back_is_left_out_of_answer_and_report(tmp_path: Path) -> None:
    broker = Broker(LARGEST_REPORT_BYTES)
    answers = Replies(broker, TOPICS)  # type: ignore[arg-type]
    large = report("large", value="x" * 100_000)
    answers.put(large)
    stop = asyncio.Event()
    stop.set()
    await answers.run(stop)
    assert [(one.id, one.read_back) for one in broker.sent] == [("large", None)]
    box = Outbox(tmp_path / "outbox", clock=FakeClock(), gap_topic="gap")
    box.open()
    journal = Journal(tmp_path / "journal")
    journal.open(now_us=NOW_US)
    Reports(box, journal, "audit").put(("desk", "large"), large)
    assert await box._flush()
    found = decode_report((await box.read(after=0, limit=10, limit_bytes=1 << 20))[0].payload)
    assert (found.response.id, found.asked, found.response.read_back) == ("large", None, None)
    box._disk.close(True)
    journal.close()


async def test_a_report_that_the_disk_refuses_is_told_later_although_its_number_is_another_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(tmp_path / "outbox", clock=FakeClock(), gap_topic="gap")
    box.open()
    journal = Journal(tmp_path / "journal")
    journal.open(now_us=NOW_US)
    reports = Reports(box, journal, "audit")
    journal.end(("desk", "one"), "f", report("one"))
    with monkeypatch.context() as patch:

        def full(fd: int, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(disklog, "_write_all", full)
        reports.put(("desk", "one"), report("one"))
        reports.put(("desk", ""), report(""))
        box.add_gap(device="a/l/d", start_us=1, end_us=2, frames=1, reason="gateway_stalled")
        assert not await box._flush()
    assert await box._flush()
    assert [key for key, _ in journal.without_custody()] == [("desk", "one")], (
        "not told by the gap that has its number now"
    )
    assert await box._flush()
    assert not list(journal.without_custody())
    records = await box.read(after=0, limit=10, limit_bytes=1 << 20)
    assert [one.topic for one in records] == ["gap", "audit", "audit"]
    assert [one.seq for one in records] == [1, 2, 3]
    box._disk.close(True)
    journal.close()


@pytest.mark.parametrize("damage", ["none", "cut", "older", "deleted"])
async def test_reports_that_the_disk_log_lost_are_handed_over_again_once(tmp_path: Path, damage: str) -> None:
    folder, older = tmp_path / "outbox", tmp_path / "older"

    def life() -> tuple[Outbox, Journal, Reports]:
        box = Outbox(folder, clock=FakeClock(), gap_topic="gap")
        opened = box.open()
        journal = Journal(tmp_path / "journal")
        journal.open(now_us=NOW_US, lost_us=opened.lost_us)
        reports = Reports(box, journal, "audit")
        reports.again()
        return box, journal, reports

    async def kill(box: Outbox, journal: Journal) -> None:
        assert await box._flush()
        journal.close()
        box._disk.close(False)

    box, journal, reports = life()
    for number, name in enumerate(("one", "two", "three")):
        if name == "two":
            assert await box._flush()
            shutil.copytree(folder, older, ignore=shutil.ignore_patterns("lock"))
        made = report(name)
        made = msgspec.structs.replace(made, response=msgspec.structs.replace(made.response, time=NOW_US + number))
        journal.end(("desk", name), "f", made)
        reports.put(("desk", name), made)
        assert await box._flush()
    assert not list(journal.without_custody())
    await kill(box, journal)
    segments = sorted(folder.glob("*.log"))
    if damage == "cut":
        data = segments[-1].read_bytes()
        os.truncate(segments[-1], data.rindex(b"three"))
    elif damage != "none":
        shutil.rmtree(folder)
        if damage == "older":
            shutil.copytree(older, folder)
    lost = {"none": [], "cut": ["three"], "older": ["two", "three"], "deleted": ["one", "two", "three"]}[damage]
    box, journal, _ = life()
    assert [name for (_, name), _ in journal.without_custody()] == lost
    await kill(box, journal)
    box, journal, _ = life()
    assert not list(journal.without_custody()), "they are in custody again"
    records: list[Record] = []
    while found := await box.read(after=records[-1].seq if records else 0, limit=10, limit_bytes=1 << 20):
        records += found
    audit = [decode_report(one.payload).response.id for one in records if one.topic == "audit"]
    assert audit == ["one", "two", "three"]
    await kill(box, journal)
