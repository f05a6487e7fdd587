"""A file is replaced as a whole, or is as it was."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from nexus_cli.atomic import create_file, replace_file


def test_a_file_keeps_its_permissions_and_a_link_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "real" / "site.yaml", tmp_path / "site.yaml"
    file.parent.mkdir()
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to(file)
    replace_file(link, b"new")
    assert link.is_symlink() and file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in file.parent.iterdir()] == ["site.yaml"]


def test_a_new_file_has_the_permissions_that_are_asked_for(tmp_path: Path) -> None:
    replace_file(tmp_path / "a", b"1")
    replace_file(tmp_path / "b", b"2", mode=0o600)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o644, 0o600]


def test_what_fails_leaves_the_file_and_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "site.yaml"
    folder.mkdir()
    with pytest.raises(IsADirectoryError) as failed:
        replace_file(folder, b"new")
    assert (failed.value.filename, failed.value.filename2) == (str(folder), None), "not the file beside it"
    missing = tmp_path / "not-there" / "x.plan"
    for write in (replace_file, create_file):
        with pytest.raises(FileNotFoundError) as gone:
            write(missing, b"new")
        assert str(gone.value) == f"[Errno 2] No such file or directory: '{missing}'"
    assert [one.name for one in tmp_path.iterdir()] == ["site.yaml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_stays_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "acl"
    file.write_bytes(b"old")
    os.chown(file, 4242, 4243)
    replace_file(file, b"new", mode=0o640)
    found = file.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777, file.read_bytes()) == (4242, 4243, 0o640, b"new")


def test_a_created_file_appears_with_its_content(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with ThreadPoolExecutor(2) as pool:
        for turn in range(50):
            target.unlink(missing_ok=True)
            reading = pool.submit(_first_seen, target)
            create_file(target, b"%d" % turn, mode=0o600)
            assert reading.result() == b"%d" % turn
    assert target.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_created_file_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_file_is_created_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    create_file(tmp_path / "a", b"new", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "a", b"newer")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def _first_seen(file: Path) -> bytes:
    while True:
        with suppress(FileNotFoundError):
            return file.read_bytes()
