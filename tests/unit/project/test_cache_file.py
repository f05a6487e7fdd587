"""Files of the cache: whole, ours alone, bounded; anything else is none, and nothing is raised."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_cli.project import cache_file
from nexus_cli.project.cache_file import CacheFile, cache_folder, trim

PAYLOAD = b"what was found out" * 50


def file_in(folder: Path, name: str = "one") -> CacheFile:
    return CacheFile(folder / "nexus", name)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    assert file.read() is None
    file.write(PAYLOAD)
    assert file.read() == PAYLOAD
    file.write(b"")
    assert file.read() == b""
    file.remove()
    assert file.read() is None


def test_nobody_else_may_read_or_write_it(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    file.write(PAYLOAD)
    assert stat.S_IMODE(file.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("place", [0, 5, 20, 45, 60, -1])
def test_a_damaged_file_is_none(tmp_path: Path, place: int) -> None:
    file = file_in(tmp_path)
    file.write(PAYLOAD)
    data = bytearray(file.path.read_bytes())
    data[place] ^= 1
    file.path.write_bytes(data)
    assert file.read() is None
    file.path.write_bytes(data[: len(data) // 2])
    assert file.read() is None
    file.write(PAYLOAD)
    assert file.read() == PAYLOAD


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_none(tmp_path: Path, mode: int) -> None:
    file = file_in(tmp_path)
    file.write(PAYLOAD)
    file.path.chmod(mode)
    assert file.read() is None
    file.write(b"mine")
    assert file.read() == b"mine"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    file.write(PAYLOAD)
    file.folder.chmod(0o777)
    assert file.read() is None
    file.write(b"later")
    file.folder.chmod(0o700)
    assert file.read() == PAYLOAD


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_what_another_user_wrote_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_in(tmp_path)
    file.write(PAYLOAD)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert file.read() is None
    file.write(b"later")
    monkeypatch.undo()
    assert file.read() == PAYLOAD


def test_a_link_is_none(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    file.write(PAYLOAD)
    elsewhere = tmp_path / "elsewhere"
    file.path.rename(elsewhere)
    file.path.symlink_to(elsewhere)
    assert file.read() is None
    file.write(b"mine")
    assert file.read() == b"mine"
    assert elsewhere.read_bytes().endswith(PAYLOAD)


def test_a_cache_without_a_place_is_none(tmp_path: Path) -> None:
    (tmp_path / "nexus").write_text("a file")
    file = file_in(tmp_path)
    file.write(PAYLOAD)
    assert file.read() is None


def test_the_least_used_files_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [file_in(tmp_path, f"{number}") for number in range(5)]
    for age, file in enumerate(files):
        file.write(PAYLOAD)
        os.utime(file.path, (1000 - age, 1000 - age))
    monkeypatch.setattr(cache_file, "MAX_FILES", 3)
    trim(tmp_path / "nexus")
    assert [file.read() is not None for file in files] == [True, True, True, False, False]
    for age, file in enumerate(files[:3]):
        os.utime(file.path, (1000 - age, 1000 - age))
    monkeypatch.setattr(cache_file, "MAX_FOLDER_BYTES", 2 * files[0].path.stat().st_size)
    trim(tmp_path / "nexus")
    assert [file.read() is not None for file in files[:3]] == [True, True, False]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    file.write(PAYLOAD)
    left, new = file.folder / "old.part", file.folder / "new.part"
    for path in (left, new):
        path.write_bytes(b"half")
    os.utime(left, (1000, 1000))
    file.write(PAYLOAD)
    assert not left.exists()
    assert new.exists()


def test_too_large_a_content_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_in(tmp_path)
    file.write(PAYLOAD)
    monkeypatch.setattr(cache_file, "MAX_FILE_BYTES", len(PAYLOAD))
    file.write(PAYLOAD)
    assert not file.path.exists()


def test_many_write_and_read_at_once(tmp_path: Path) -> None:
    contents = {bytes([number]) * 5000 for number in range(8)}

    def work(content: bytes) -> list[bytes | None]:
        seen = []
        for _ in range(20):
            file_in(tmp_path).write(content)
            seen.append(file_in(tmp_path).read())
        return seen

    with ThreadPoolExecutor(8) as pool:
        seen = [one for each in pool.map(work, contents) for one in each]
    assert len(seen) == 160
    assert set(seen) <= contents
    assert [path.name for path in (tmp_path / "nexus").iterdir()] == ["one.cache"]


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "linux", "/c/nexus"),
        ({"XDG_CACHE_HOME": "here", "HOME": "/h"}, "linux", "/h/.cache/nexus"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Caches/nexus"),
        ({"LOCALAPPDATA": "/l"}, "win32", "/l/nexus/cache"),
        ({}, "linux", None),
        ({"HOME": "relative"}, "linux", None),
        ({"HOME": "/h"}, "win32", None),
    ],
)
def test_where_it_is(environ: dict[str, str], platform: str, expected: str | None) -> None:
    assert cache_folder(environ, platform=platform) == (Path(expected) if expected else None)
