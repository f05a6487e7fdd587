"""Keeps one service running: starts or adopts it, waits until it works, detects its end, restarts it with back-off."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable

from msgspec.structs import replace

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.instances import marks, own, parts_of
from nexus_cli.local.layout import Home
from nexus_cli.local.processes import PidFile, Running, identify, is_alive, last_line, send, spawn
from nexus_cli.local.service_state import ServiceState
from nexus_cli.local.services import Service
from nexus_cli.local.startup_deadline import StartupDeadline, run_delays

LOOK_S = 0.1
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
ADOPTED_S = 15.0
"""An adopted process that does not work after this time, in seconds, is restarted; see `local.startup_deadline`."""
STEADY_S = 30.0
"""A process that ran this long, in seconds, resets its back-off."""

_log = logging.getLogger("nexus.supervisor")


class ServiceProcess:
    """One service.

    Attributes:
        service: The service.
        status: Its status.
        ready: Set while it works.
        ended: Set when it has stopped for good.
    """

    def __init__(self, service: Service, *, home: Home, changed: Callable[[], None]) -> None:
        self.service = service
        self.status = ServiceState(since=time.time())
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self._home = home
        self._changed = changed
        self._stop = asyncio.Event()
        self._again = False
        self._ended = ""
        self._pid_file = PidFile(home.pid_file(service.name))
        self._process: Running | None = None
        self._child: subprocess.Popen[bytes] | None = None

    async def run(self, needs: list[ServiceProcess]) -> None:
        """Keep it running until `stop`, once all services that it needs are ready."""
        for need in needs:
            if not need.ready.is_set() and not self._stop.is_set():
                self._show("waiting", detail=f"waits for {need.service.name}")
            await self._unless_stopped(need.ready)
        if not self._stop.is_set():
            await self._keep()
        await self._end()
        self._show("stopped")
        self.ended.set()

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                await self._start()
                if await self._until_ready():
                    await self.service.after()
                    self.status, self._ended = replace(self.status, failed=0), ""
                    self._show("running", pid=self._pid())
                    self.ready.set()
                    await self._until_gone()
                detail = "" if self._stop.is_set() else self._how_it_ended()
            except NexusError as error:
                detail = f"{error.message} {error.cause}".strip()
            self.ready.clear()
            if self._stop.is_set():
                break
            if self._again:
                self._again = False
                continue
            if time.monotonic() - started > STEADY_S:
                pause_s = FIRST_PAUSE_S
            self.status = replace(self.status, restarts=self.status.restarts + 1, failed=self.status.failed + 1)
            self._ended = detail
            self._show("backoff", detail=detail)
            _log.warning("%s: %s; again in %.1f s", self.service.name, detail, pause_s)
            await self._sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def stop(self) -> None:
        """Request its end; `run` returns once the process has ended."""
        self._stop.set()

    def restart(self) -> None:
        """Stop the process and start it again at once; not ready meanwhile."""
        if self._process is not None and self.ready.is_set():
            self._again = True
            self.ready.clear()
            self._show("starting", pid=self._pid())
            send(self._process, self.service.signals[0][0])

    def name_again(self) -> None:
        """Write the pid file again after it was removed."""
        if self._process is not None and not self._gone():
            self._name(self._process)

    def signal(self, number: int) -> bool:
        """Send a signal to the process; False when there is none."""
        return self._process is not None and send(self._process, signal.Signals(number))

    async def _start(self) -> None:
        self._process, self._child = await asyncio.to_thread(self._adopted), None
        if self._process is not None:
            self._show("starting", pid=self._process.pid)
            _log.info("%s: adopted process %d", self.service.name, self._process.pid)
            return
        self._show("starting", detail=self._ended)
        if not self._home.path.is_dir():  # starting a process would create it again
            raise NexusError(f"The folder {self._home.path} was removed or moved.", code="NX6501")
        launch = await asyncio.to_thread(self.service.prepare)
        self._child = spawn(
            launch.command,
            log=self._home.log_file(self.service.name),
            environment={**launch.environment, **marks(self._home, self._home.instance(), self.service.name)},
            folder=launch.folder,
            identity=launch.identity,
        )
        self._process = identify(self._child.pid)
        if self._process is not None:
            self._name(self._process)
            self._show("starting", pid=self._process.pid, detail=self._ended)
            _log.info("%s: started as process %d", self.service.name, self._process.pid)

    def _adopted(self) -> Running | None:
        """A running process of this service: by its pid file, by the server's own file, or by its environment."""
        running = own(self._home, self._pid_file.read())
        if running is None and (pid := self.service.find()) is not None:
            running = own(self._home, identify(pid))
        if running is None:
            instance = self._home.instance()
            named = (part for part in parts_of(self._home) if part.name == self.service.name)
            running = next((part.process for part in named if part.instance == instance), None)
        if running is not None:
            self._name(running)
        return running

    def _name(self, process: Running) -> None:
        """Write the pid file; it is a convenience, so a full disk or a removed folder ends no process."""
        try:
            if self._home.path.is_dir():
                self._pid_file.write(process)
        except OSError as error:
            _log.warning("%s: its pid file can't be written: %s", self.service.name, error)

    async def _until_ready(self) -> bool:
        """Wait until it works; False when it ended, or a stop came first."""
        deadline = StartupDeadline(limit_s=ADOPTED_S, now_s=time.monotonic())
        while not self._stop.is_set():
            detail = await self.service.probe()
            if not detail:
                return True
            if self._gone():
                return False
            if self._child is None and await asyncio.to_thread(self._waited_enough, deadline):
                _log.warning("%s: the adopted process %d does not work", self.service.name, self._pid())
                await self._end()
                return False
            shown = self._ended or detail
            if shown != self.status.detail:
                self.status = replace(self.status, detail=shown)
                self._changed()
            await self._sleep(LOOK_S)
        return False

    def _waited_enough(self, deadline: StartupDeadline) -> bool:
        """Whether the time for an adopted process is over, not counting time in which it or this process waited for a
        processor. Blocking."""
        delays = run_delays([os.getpid(), self._pid()], children=False)
        return deadline.ended(now_s=time.monotonic(), delays_s=delays, stepped=False)

    async def _until_gone(self) -> None:
        while not self._stop.is_set() and not self._gone():
            await self._sleep(LOOK_S)

    def _gone(self) -> bool:
        if self._child is not None:
            return self._child.poll() is not None
        return self._process is None or not is_alive(self._process)

    def _how_it_ended(self) -> str:
        code = self._child.poll() if self._child is not None else None
        if code is None:
            return "the process is gone"
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        last = last_line(self._home.log_file(self.service.name))
        return f"ended ({how})" + (f": {last}" if last and code > 0 else "")

    async def _end(self) -> None:
        if self._process is None:
            # Stopped before it began: a process of a killed supervisor may still run, and must be ended too.
            self._process = await asyncio.to_thread(self._adopted)
        for number, patience_s in self.service.signals:
            if self._process is None or self._gone():
                break
            send(self._process, number)
            until = time.monotonic() + patience_s
            while time.monotonic() < until and not self._gone():  # noqa: ASYNC110 - the end of a process that is not a child is no event
                await asyncio.sleep(0.02)
        if self._gone():
            self._pid_file.remove(self._process)
        else:
            _log.error("%s: process %d does not end", self.service.name, self._pid())

    def _pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def _show(self, state: str, *, pid: int = 0, detail: str = "") -> None:
        self.status = replace(self.status, state=state, pid=pid, detail=detail, since=time.time())
        self._changed()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _unless_stopped(self, event: asyncio.Event) -> None:
        while not event.is_set() and not self._stop.is_set():
            await self._sleep(LOOK_S)
