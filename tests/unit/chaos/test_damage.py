"""What faults do to a disk: damage is by the seed, a folder set back is the older one, a full disk is full."""

from __future__ import annotations

import random
from pathlib import Path

from tests.chaos.faults import copy_files, damage, set_back


def outbox(folder: Path) -> bytes:
    """A folder with a segment whose end is not written yet."""
    folder.mkdir()
    data = bytes(random.Random(3).randrange(1, 256) for _ in range(8000)) + bytes(4000)
    (folder / "1.log").write_bytes(data)
    (folder / "lock").write_bytes(b"")
    return data


def test_flipped_bits(tmp_path: Path) -> None:
    before = outbox(tmp_path / "outbox")
    assert "flipped" in damage(tmp_path / "outbox", "flip", random.Random(1))
    after = (tmp_path / "outbox" / "1.log").read_bytes()
    assert len(after) == len(before)
    assert 1 <= sum(one != two for one, two in zip(before, after, strict=True)) <= 3
    assert after[8000:] == bytes(4000), "only what was written is damaged"


def test_a_cut_end(tmp_path: Path) -> None:
    before = outbox(tmp_path / "outbox")
    damage(tmp_path / "outbox", "truncate", random.Random(1))
    after = (tmp_path / "outbox" / "1.log").read_bytes()
    assert 4000 <= len(after) < 8000
    assert before.startswith(after)


def test_nothing_to_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir()
    assert damage(tmp_path / "outbox", "flip", random.Random(1)) == "nothing to damage"


def test_a_folder_set_back(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    outbox(folder)
    copy_files(folder, tmp_path / "older")
    (folder / "1.log").write_bytes(b"newer")
    (folder / "2.log").write_bytes(b"newest")
    set_back(folder, tmp_path / "older")
    assert sorted(file.name for file in folder.iterdir()) == ["1.log", "lock"]
    assert (folder / "1.log").read_bytes() == (tmp_path / "older" / "1.log").read_bytes()
