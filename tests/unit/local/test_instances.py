"""What runs is what the processes say, wherever their folder is by now."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ulid import ULID

from nexus_cli.cli.views.status import render_status
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local import status
from nexus_cli.local.instances import marks, original_of, parts_of
from nexus_cli.local.layout import Home, Runtime
from nexus_cli.local.lock import Holder, announce, held, holder_of, holders, lock_folder
from nexus_cli.local.processes import PidFile, Running, identify, spawn
from nexus_cli.local.running import supervisor_of
from nexus_cli.local.start import end_foreign_processes, refuse_second
from nexus_cli.local.stop import left_behind, stop_runtime, supervisors_of
from nexus_cli.project.copied import BROKER, CONTROL, notice_of_copy, refuse_copy
from nexus_cli.settings import Settings
from tests.waiting import PATIENCE_S, wait_until

SLEEPER = "import time; print('up', flush=True); time.sleep(300)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPER!r}])"
Start = Callable[..., Running]
ONE, TWO = str(ULID()), str(ULID())
"""Instances of nobody else: what is looked for are processes of the whole machine, also those of another worker."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes that say whose they are; what is left of them is killed."""
    children = []

    def begin(home: Home, name: str, instance: str, code: str = SLEEPER) -> Running:
        log = tmp_path / f"{name}.log"
        said = log.stat().st_size if log.exists() else 0
        command = [sys.executable, "-c", code]
        child = spawn(command, log=log, environment=marks(home, instance, name))
        children.append(child)
        wait_until(lambda: b"up" in log.read_bytes()[said:], "its environment, which is there once it has begun")
        found = identify(child.pid)
        assert found is not None
        return found

    yield begin
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # with what it started
        child.wait(PATIENCE_S)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return _made(tmp_path / "plant" / ".nexus", ONE)


def _made(path: Path, instance: str, site: str = "acme/chicago") -> Home:
    home = Home(path)
    home.make()
    home.write_runtime(Runtime(site=site, instance=instance))
    return home


def _found(home: Home) -> dict[str, int]:
    return {part.name: part.process.pid for part in parts_of(home)}


def test_a_process_is_found_without_any_file(home: Home, start: Start) -> None:
    control = start(home, "control", ONE)
    shutil.rmtree(home.path)
    assert _found(home) == {"control": control.pid}
    assert left_behind(home) == [("control", control)]
    assert stop_runtime(home, progress=lambda _: None)
    assert identify(control.pid) is None and not _found(home)
    assert not stop_runtime(home, progress=lambda _: None)


def test_what_a_part_starts_is_no_part(home: Home, start: Start) -> None:
    parent = start(home, "control", ONE, PARENT)
    assert _found(home) == {"control": parent.pid}


def test_a_folder_that_was_moved_has_its_processes_and_a_copy_has_none(home: Home, start: Start) -> None:
    control = start(home, "control", ONE)
    copy = Home(home.path.with_name("copy"))
    shutil.copytree(home.path, copy.path)
    assert not _found(copy)
    shutil.rmtree(copy.path)
    moved = Home(home.path.with_name("moved"))
    home.path.rename(moved.path)
    assert _found(moved) == _found(home) == {"control": control.pid}, "the old place is where it still writes"


def test_the_files_of_a_copy_name_processes_of_the_original_and_end_none(home: Home, start: Start) -> None:
    supervisor, control = start(home, "supervisor", ONE), start(home, "control", ONE)
    PidFile(home.pid_file("supervisor")).write(supervisor)
    PidFile(home.pid_file("control")).write(control)
    copy = Home(home.path.parent.parent / "copy" / ".nexus")
    shutil.copytree(home.path, copy.path)
    assert supervisor_of(copy) is None and not supervisors_of(copy) and not left_behind(copy)
    assert not stop_runtime(copy, progress=lambda _: None)
    assert identify(control.pid) == control and identify(supervisor.pid) == supervisor
    assert supervisor_of(home) == supervisor and left_behind(home) == [("control", control)]


def test_what_runs_for_a_folder_that_was_removed_ends_before_another_takes_its_place(home: Home, start: Start) -> None:
    old = start(home, "gateway-a", ONE)
    shutil.rmtree(home.path)
    told: list[tuple[str, str, str]] = []
    home = _made(home.path, TWO)
    own = start(home, "control", TWO)
    end_foreign_processes(home, progress=lambda *each: told.append(each))
    assert identify(old.pid) is None and identify(own.pid) == own
    assert [each[:2] for each in told] == [("gateway-a", "stopping")]


def test_what_a_moved_folder_left_without_a_supervisor_ends_before_a_start(home: Home, start: Start) -> None:
    old = start(home, "historian", ONE)
    moved = Home(home.path.with_name("moved"))
    home.path.rename(moved.path)
    end_foreign_processes(moved, progress=lambda *_: None)
    assert identify(old.pid) is None


def test_a_process_of_another_user_is_nobodys_part(home: Home, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    control = start(home, "control", ONE)
    assert _found(home) == {"control": control.pid}
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 4711)
    assert not _found(home), "whoever may look at it"


def test_every_supervisor_is_found(home: Home, start: Start) -> None:
    first, second = start(home, "supervisor", ONE), start(home, "supervisor", ONE)
    PidFile(home.pid_file("supervisor")).write(first)
    assert set(supervisors_of(home)) == {first, second}
    shutil.rmtree(home.run)
    assert supervisor_of(home) in (first, second)


def test_a_pid_file_is_removed_by_its_owner_alone(home: Home, start: Start) -> None:
    successor = start(home, "supervisor", ONE)
    file = PidFile(home.pid_file("supervisor"))
    file.write(successor)
    file.remove(Running(pid=1, started=2.0))
    assert file.read() == successor
    file.remove(successor)
    assert file.read() is None


def _holder(home: Home, process: Running, **keys: object) -> Holder:
    facts = {"site": "acme/chicago", "home": str(home.path), "instance": home.instance(), **keys}
    return Holder(pid=process.pid, started=process.started, **facts)  # type: ignore[arg-type]


def test_a_lock_names_its_process_and_is_held_once(home: Home, start: Start, tmp_path: Path) -> None:
    me, locks = start(home, "supervisor", ONE), tmp_path
    with held(home, _holder(home, me), locks):
        shutil.rmtree(home.path)
        assert holders(locks) == [_holder(home, me, instance=ONE)]
        with pytest.raises(NexusError) as caught, held(home, _holder(home, me), locks):
            pass
        assert caught.value.code == "NX6515" and str(me.pid) in caught.value.message
        announce(home, _holder(home, Running(pid=1, started=0.0)), locks)
        assert holder_of(home, locks) == _holder(home, me, instance=ONE), "who holds it is not overwritten"
    assert not holders(locks)


def test_a_second_runtime_of_a_site_is_refused_by_name(
    home: Home, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_LOCKS", str(tmp_path / "locks"))
    first = start(home, "supervisor", ONE)
    other = _made(tmp_path / "other" / ".nexus", TWO)
    announce(home, _holder(home, first), lock_folder())
    with pytest.raises(NexusError) as caught:
        refuse_second(other, other.read_runtime())
    said = caught.value
    assert said.code == "NX6517" and str(home.path) in said.message and str(first.pid) in said.message
    refuse_second(other, Runtime(site="acme/springfield", instance=TWO))
    refuse_second(other, Runtime(site="acme/chicago", instance=TWO, beside=True))
    refuse_second(home, home.read_runtime())
    moved = Home(home.path.with_name("moved"))
    home.path.rename(moved.path)
    with pytest.raises(NexusError) as caught:
        refuse_second(moved, moved.read_runtime())
    assert caught.value.code == "NX6512" and "nexus down" in caught.value.hint
    stop_runtime(moved, progress=lambda _: None)
    refuse_second(moved, moved.read_runtime())


def test_a_place_for_locks_that_others_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEXUS_LOCKS")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = lock_folder()
    assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(NexusError) as caught:
        lock_folder()
    assert caught.value.code == "NX6516"


def test_signals_reach_the_database_politely(home: Home, start: Start) -> None:
    """SIGTERM would have PostgreSQL wait for its clients."""
    code = "import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(300)"
    database = start(home, "database", ONE, code)
    assert stop_runtime(home, progress=lambda _: None)
    assert identify(database.pid) is None


def test_a_copy_of_a_running_folder_is_no_runtime(home: Home, start: Start, tmp_path: Path) -> None:
    start(home, "supervisor", ONE)
    copy = Home(tmp_path / "copy" / ".nexus")
    shutil.copytree(home.path, copy.path)
    assert original_of(copy) == home.path and original_of(home) is None
    found = asyncio.run(status.collect(copy, Settings(home=copy.path, broker_url="mqtt://127.0.0.1:1")))
    assert found.state == "down" and found.original == str(home.path) and not found.roles
    text = render_status(found, colour=False)
    assert text.startswith(f"no runtime of this folder: it is a copy of {home.path}")
    assert f"nexus --home {home.path} status" in text


def test_nothing_of_the_original_is_changed_from_a_copy(
    home: Home, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(home, "control", ONE)
    copy = Home(tmp_path / "copy" / ".nexus")
    shutil.copytree(home.path, copy.path)
    for given in (copy.path, home.path, tmp_path / "none"):
        monkeypatch.setenv("NEXUS_HOME", str(given))
        if given != copy.path:
            refuse_copy(CONTROL)
            assert not notice_of_copy(CONTROL)
            continue
        with pytest.raises(NexusError, match=f"copy of {home.path.parent}, whose runtime runs") as refused:
            refuse_copy(CONTROL)
        assert (refused.value.code, refused.value.exit_code) == ("NX6518", 6)
        assert str(home.path.parent) in notice_of_copy(BROKER)
        monkeypatch.setenv(CONTROL, "http://127.0.0.1:1")
        refuse_copy(CONTROL)  # an address by hand is meant
        monkeypatch.delenv(CONTROL)
    link = tmp_path / "link"
    link.symlink_to(home.path.parent)
    assert original_of(Home(link / ".nexus")) is None, "another name of the folder is no copy"
