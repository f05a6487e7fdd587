"""The mark beside the disk log: what the next process learns from it, and what it does without one."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.runtime.gateway.devices.handover import Mark
from nexus_cli.runtime.gateway.mark import load_mark, past_of, save_mark, sign
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.wire.frame import GapReason
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.frames import columns

TOPICS = Topics("acme", "chicago")
ONE, TWO = "a/l/one", "a/l/two"


def opened_outbox(folder: Path) -> Outbox:
    return Outbox(folder, clock=FakeClock(now_us=9_000), gap_topic=TOPICS.gap("gw"))


async def life(folder: Path, *rows: tuple[str, int], clean: bool) -> None:
    """A process that wrote these rows (device, time)."""
    box = opened_outbox(folder)
    box.open()
    for path, time_us in rows:
        assert box.add_frame(columns(path, time_us=time_us, samples={"v": 1}))
    assert await box._flush()
    box._disk.close(clean)


def past(folder: Path, *paths: str) -> object:
    box = opened_outbox(folder)
    opened = box.open()
    found = past_of(load_mark(folder), opened, box, gateway="gw", topics=TOPICS, paths=paths)
    box._disk.close(True)
    return found


async def test_rows_behind_the_mark_are_looked_up_in_the_log(tmp_path: Path) -> None:
    await life(tmp_path, (ONE, 1000), (TWO, 2000), (ONE, 3000), clean=False)
    save_mark(tmp_path, Mark(time_us=1500, seq=1, unread=["x"]))
    found = past(tmp_path, ONE, TWO)
    assert found.rows_us == {ONE: 3000, TWO: 2000}  # type: ignore[attr-defined]
    assert found.reason is GapReason.GATEWAY_KILLED  # type: ignore[attr-defined]
    assert found.mark.time_us == 1500  # type: ignore[attr-defined]


async def test_a_stop_is_no_kill(tmp_path: Path) -> None:
    await life(tmp_path, (ONE, 1000), clean=True)
    save_mark(tmp_path, Mark(time_us=1500, seq=1))
    assert past(tmp_path, ONE).reason is GapReason.GATEWAY_STOPPED  # type: ignore[attr-defined]


async def test_a_log_without_a_mark_has_its_end_as_one(tmp_path: Path) -> None:
    await life(tmp_path, (ONE, 1000), (ONE, 2000), clean=True)
    for content in (None, b"", b"{", b'{"time_us": "x"}', b"\xff"):
        (tmp_path / "mark.json").unlink(missing_ok=True)
        if content is not None:
            (tmp_path / "mark.json").write_bytes(content)
        found = past(tmp_path, ONE)
        assert found.mark.time_us >= 1999  # type: ignore[attr-defined]
        assert found.mark.since_us == 0, "an older version accounted for nothing less"  # type: ignore[attr-defined]


async def test_a_log_that_lost_its_end_is_not_believed_beyond_it(tmp_path: Path) -> None:
    await life(tmp_path, (ONE, 1000), clean=True)
    save_mark(tmp_path, Mark(time_us=50_000, seq=99, since_us=7, away=[ONE]))
    found = past(tmp_path, ONE)
    assert found.mark.time_us < 50_000  # type: ignore[attr-defined]
    assert found.mark.away == []  # type: ignore[attr-defined]
    assert found.mark.since_us == 7  # type: ignore[attr-defined]


def test_nothing_is_known_of_a_new_folder_or_without_a_configuration(tmp_path: Path) -> None:
    assert past(tmp_path, ONE) is None
    save_mark(tmp_path, Mark(time_us=5, seq=0))
    assert past(tmp_path) is None


def test_each_process_signs_at_once_and_the_list_is_bounded(tmp_path: Path) -> None:
    for number in range(40):
        instances = sign(tmp_path, load_mark(tmp_path), f"I{number}", since_us=3)
    kept = load_mark(tmp_path)
    assert kept is not None
    assert kept.instances == instances == [f"I{number}" for number in range(24, 40)]
    assert (kept.time_us, kept.since_us) == (0, 3)
