"""The record of commands: an id is known again after a kill, whatever the last line looks like."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.commands import journal as module
from nexus_cli.runtime.gateway.commands.journal import FILE, KEEP_US, Journal, unknown
from nexus_cli.wire.command import Report, Response, State

NOW_US = 1_800_000_000_000_000


def report(name: str, state: State = State.DONE, *, received: int = NOW_US) -> Report:
    response = Response(id=name, state=state, path="a/l/d/t", time=received)
    return Report(epoch="", seq=0, gateway="gw", principal="desk", received=received, response=response)


async def test_what_began_and_ended_is_known_in_the_next_life(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.open(now_us=NOW_US)
    for name in ("one", "two", "three"):
        await first.begin(("desk", name), "f", report(name, State.UNKNOWN))
    first.end(("desk", "one"), "f", report("one"))
    first.end(("desk", "two"), "f", report("two"))
    first.in_custody(("desk", "one"))
    first.close()
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"word": "begun", "principal": "desk", "id": "to')
    second = Journal(tmp_path)
    second.open(now_us=NOW_US)
    assert second.in_flight == [("desk", "three")]
    found = second.find(("desk", "one"))
    assert found is not None and found.ended and found.in_custody and found.report.response.state is State.DONE
    assert [key for key, _ in second.without_custody()] == [("desk", "two")]
    assert second.find(("desk", "to")) is None
    assert second.find(("other", "one")) is None, "an id belongs to who used it"
    second.close()


async def test_old_entries_go_and_untold_ones_stay(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.open(now_us=NOW_US)
    for name in ("told", "untold"):
        first.end(("desk", name), "f", report(name))
    first.in_custody(("desk", "told"))
    first.close()
    later = Journal(tmp_path)
    later.open(now_us=NOW_US + KEEP_US + 1)
    assert later.find(("desk", "told")) is None
    assert later.find(("desk", "untold")) is not None
    later.close()


async def test_commands_that_wait_together_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = os.fsync

    def fsync(fd: int) -> None:
        calls.append(fd)
        real(fd)

    journal = Journal(tmp_path)
    journal.open(now_us=NOW_US)
    monkeypatch.setattr(module.os, "fsync", fsync)
    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(journal.begin(("desk", f"n{n}"), "f", report(f"n{n}")))
    assert 1 <= len(calls) <= 3
    journal.close()


async def test_a_disk_that_refuses_means_the_command_is_not_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.open(now_us=NOW_US)
    real = module._write_all
    broken = [True]

    def write(fd: int, data: bytes) -> None:
        if broken[0]:
            real(fd, data[:10])
            raise OSError(28, "No space left on device")
        real(fd, data)

    monkeypatch.setattr(module, "_write_all", write)
    with pytest.raises(OSError, match="No space"):
        await journal.begin(("desk", "lost"), "f", report("lost"))
    assert journal.find(("desk", "lost")) is None
    assert "No space" in journal.failing
    broken[0] = False
    await journal.begin(("desk", "kept"), "f", report("kept"))
    assert journal.failing == ""
    journal.close()
    again = Journal(tmp_path)
    again.open(now_us=NOW_US)
    assert again.in_flight == [("desk", "kept")], "the line after the torn one is whole"
    again.close()


def test_a_folder_that_cannot_be_is_one_plain_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NexusError) as refused:
        Journal(tmp_path / "file" / "commands").open(now_us=NOW_US)
    assert refused.value.code == "NX6818"


async def test_room_is_made_from_what_was_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 10)
    journal = Journal(tmp_path)
    journal.open(now_us=NOW_US)
    for n in range(10):
        journal.end(("desk", f"r{n}"), "f", report(f"r{n}", State.REFUSED))
    assert not journal.full(NOW_US)
    for n in range(10):
        journal.end(("desk", f"d{n}"), "f", report(f"d{n}", State.DONE))
    assert journal.full(NOW_US), "what was carried out is never forgotten to make room"
    assert journal.find(("desk", "d0")) is not None
    journal.close()


def test_unknown_keeps_who_asked(tmp_path: Path) -> None:
    found = unknown(report("x", State.UNKNOWN), time_us=5)
    assert (found.principal, found.response.state, found.response.code) == ("desk", State.UNKNOWN, "NX6820")
