"""The supervisor's promise: what dies is started again, what lives is adopted, everything ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nexus_cli.local.layout import Home
from nexus_cli.local.postgres import Launch
from nexus_cli.local.processes import PidFile, identify, is_alive, spawn
from nexus_cli.local.service_process import ServiceProcess
from nexus_cli.local.services import Service
from tests.waiting import PATIENCE_S, until

SLEEPER = "import time; print('up', flush=True); time.sleep(300)"


async def _fine() -> str:
    return ""


def _service(name: str, folder: Path, code: str = SLEEPER, **more: object) -> Service:
    launch = Launch(command=(sys.executable, "-c", code), folder=folder, environment=dict(os.environ), identity=None)
    return Service(name=name, tier=0, prepare=lambda: launch, probe=_fine, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def _kept(home: Home, service: Service, *needs: ServiceProcess) -> AsyncIterator[ServiceProcess]:
    process = ServiceProcess(service, home=home, changed=lambda: None)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run(list(needs)), name="keep")
        try:
            yield process
        finally:
            process.stop()


async def test_what_is_killed_starts_again_and_ends_at_the_end(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    async with _kept(home, _service("x", tmp_path)) as process:
        await until(process.ready.is_set)
        first = process.status.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: process.status.pid not in (0, first) and process.status.state == "running")
        assert process.status.restarts == 1
        second = identify(process.status.pid)
        assert second is not None
    assert not is_alive(second)
    assert PidFile(home.pid_file("x")).read() is None
    assert process.status.state == "stopped"


async def test_what_lives_is_adopted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    async with asyncio.TaskGroup() as group:
        lost = ServiceProcess(_service("x", tmp_path), home=home, changed=lambda: None)
        task = group.create_task(lost.run([]), name="lost")
        await until(lost.ready.is_set)
        task.cancel()  # as a supervisor that is killed: its child lives on
    pid = lost.status.pid
    async with _kept(home, _service("x", tmp_path)) as process:
        await until(process.ready.is_set)
        assert process.status.pid == pid
        assert process.status.restarts == 0
    assert lost._child is not None
    lost._child.wait(PATIENCE_S)
    assert identify(pid) is None


async def test_what_a_killed_supervisor_left_ends_even_when_it_was_never_adopted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    launch = _service("x", tmp_path).prepare()
    orphan = spawn(launch.command, log=home.log_file("x"), environment=launch.environment, folder=tmp_path)
    running = identify(orphan.pid)
    assert running is not None
    PidFile(home.pid_file("x")).write(running)

    async def never() -> str:
        return "not yet"

    broken = Service(name="first", tier=0, prepare=_service("first", tmp_path).prepare, probe=never)
    async with _kept(home, broken) as need, _kept(home, _service("x", tmp_path), need) as process:
        await until(lambda: need.status.pid != 0)
        assert process.status.state == "waiting"
    orphan.wait(PATIENCE_S)
    assert not is_alive(running)


async def test_what_ends_at_once_is_tried_with_growing_pauses(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    code = "import sys; print('error[NX6001]: no such thing', file=sys.stderr); sys.exit(6)"

    async def never() -> str:
        return "no answer"

    launch = Launch(command=(sys.executable, "-c", code), folder=tmp_path, environment=dict(os.environ), identity=None)
    service = Service(name="x", tier=0, prepare=lambda: launch, probe=never)
    begun = time.monotonic()
    async with _kept(home, service) as process:
        await until(lambda: process.status.restarts >= 3)
        assert time.monotonic() - begun > 0.2 + 0.4
        assert not process.ready.is_set()
        assert "error[NX6001]: no such thing" in process.status.detail


async def test_nothing_starts_before_what_it_needs(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    answers = [False]

    async def asked() -> str:
        return "" if answers[0] else "not yet"

    first = Service(name="first", tier=0, prepare=_service("first", tmp_path).prepare, probe=asked)
    async with _kept(home, first) as need, _kept(home, _service("second", tmp_path), need) as process:
        await until(lambda: need.status.pid != 0)
        assert process.status.state == "waiting"
        answers[0] = True
        await until(process.ready.is_set)
    assert need.ended.is_set() and process.ended.is_set()


async def test_what_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
    )
    service = _service("x", tmp_path, deaf, signals=((signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0)))
    async with _kept(home, service) as process:
        await until(lambda: "deaf" in _text(home.log_file("x")))
        pid = process.status.pid
    assert identify(pid) is None


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8")
    return ""
