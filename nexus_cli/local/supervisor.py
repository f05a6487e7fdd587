"""The supervisor: keeps all services of `runtime.json` running, applies its changes, and stops them in order.

See docs/decisions/0053.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from nexus_cli.access.grants import HISTORIAN, principals
from nexus_cli.access.grants_file import Wanted, in_force, mark_applied
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.local.broker_altered import AlteredWatch
from nexus_cli.local.broker_amqtt import AccessWatch
from nexus_cli.local.broker_mosquitto import LocalMosquitto
from nexus_cli.local.credentials import ensure_own
from nexus_cli.local.layout import AMQTT, EXTERNAL, MOSQUITTO, SUPERVISOR, Home, Runtime
from nexus_cli.local.listener_renewal import CertificateWatch
from nexus_cli.local.lock import Holder, held, keep_fresh, lock_folder
from nexus_cli.local.processes import PidFile, Running, identify, rotate
from nexus_cli.local.service_process import LOOK_S, ServiceProcess
from nexus_cli.local.service_state import encode_states
from nexus_cli.local.services import BROKER, services_of
from nexus_cli.settings import CREDENTIALS_FILE, RUNTIME_FILE

ROTATE_EVERY_S = 5.0
REMOVED_FOR_S = 1.0
"""A folder counts as removed when both files are missing for this long, in seconds: each may be replaced or restored
from a backup."""
RELOAD_S = 0.1
"""Longest time for Mosquitto to reload its files after SIGHUP, in seconds (measured: a few milliseconds)."""

HANDOVER_S = 5.0
"""How long the historian has to change to its second account, in seconds, before its old password ends (measured: under one)."""

_log = logging.getLogger("nexus.supervisor")


class Supervisor:
    """All services of one runtime."""

    def __init__(self, home: Home, *, locks: Path) -> None:
        self._home, self._locks = home, locks
        self._runtime: Runtime = home.read_runtime()
        self._services: dict[str, ServiceProcess] = {}
        self._access = AccessWatch(home)
        self._altered = AlteredWatch(home.path)
        self._certificates = CertificateWatch(home)
        self._folder = os.open(home.path, os.O_RDONLY | os.O_DIRECTORY)
        self._runtime_stamp = 0
        self._unread = self._unwritten = ""
        self._missed_since = 0.0
        self._rotated = self._handover_until_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Keep everything running until stopped; then gateways stop first and the database last."""
        self._access.changed()
        async with Group() as group:
            while not stop.is_set() and not self._folder_removed():
                self._follow_runtime(group)
                self._name_all_again()
                await self._follow_access()
                await self._follow_certificates()
                self._rotate_logs()
                try:
                    async with asyncio.timeout(LOOK_S):
                        await stop.wait()
                except TimeoutError:
                    pass
            await self._end()
        os.close(self._folder)
        (self._home.path / "access.applied").unlink(missing_ok=True)

    def _folder_removed(self) -> bool:
        """True once the files of this supervisor's folder are removed: no command could find it there again.

        The check uses the open folder, so a moved one still counts as present.
        """
        for name in (RUNTIME_FILE, CREDENTIALS_FILE):
            try:
                os.stat(name, dir_fd=self._folder)
            except OSError:
                continue
            self._missed_since = 0.0
            return False
        self._missed_since = self._missed_since or time.monotonic()
        if time.monotonic() - self._missed_since < REMOVED_FOR_S:
            return False
        _log.error("the folder %s was removed: everything that runs for it ends", self._home.path)
        return True

    def _name_all_again(self) -> None:
        """Write removed pid files of `run/` again, which `up` and `logs` read first."""
        if not self._services or self._home.state_file.exists() or not (self._in_place() and self._home.there()):
            return
        try:
            self._home.make()
            PidFile(self._home.pid_file(SUPERVISOR)).write(myself())
        except OSError:
            return  # `_write_state` logs it
        for process in self._services.values():
            process.name_again()
        self._write_state()

    def _in_place(self) -> bool:
        """False if the folder was moved: another one may be created at its path, and that is not this runtime's."""
        try:
            return self._home.path.stat().st_ino == os.fstat(self._folder).st_ino
        except OSError:
            return False

    def _follow_runtime(self, group: asyncio.TaskGroup) -> None:
        """Start the services that `nexus up` added to `runtime.json`, stop those that it removed."""
        try:
            stamp = self._home.runtime_file.stat().st_mtime_ns
            if stamp == self._runtime_stamp:
                return
            self._runtime = self._home.read_runtime()
        except (OSError, NexusError) as error:
            if str(error) != self._unread:
                self._unread = str(error)
                _log.error("runtime.json can't be read: %s", error)
            return
        self._runtime_stamp, self._unread = stamp, ""
        if self._runtime.broker_kind in ("", EXTERNAL):
            (self._home.path / "access.applied").unlink(missing_ok=True)
        services = services_of(self._home, self._runtime)
        for name in set(self._services) - set(services):
            self._services.pop(name).stop()
        added = {name: service for name, service in services.items() if name not in self._services}
        control = self._services.get("control")
        if control is not None and any(name.startswith("gateway-") for name in added):
            # Control reads its callers' tokens at its start, and an added gateway has a new token.
            _log.info("control: starts again, to know the new gateways")
            control.restart()
        for name, service in added.items():
            self._services[name] = ServiceProcess(service, home=self._home, changed=self._write_state)
        for name, service in added.items():
            needs = [self._services[need] for need in service.needs]
            group.create_task(self._services[name].run(needs), name=f"keep {name}")
        self._write_state()

    async def _follow_access(self) -> None:
        """Apply the grants that control or `nexus up` wrote to Mosquitto (amqtt reads them itself)."""
        over = 0.0 < self._handover_until_s <= time.monotonic()
        if not (self._access.changed() or over) or self._runtime.broker_kind not in (MOSQUITTO, AMQTT):
            await self._look_for_altered()
            return
        found = self._access.read()
        if found is None:
            return
        wanted, _ = found
        passwords = await asyncio.to_thread(self._passwords, principals(wanted.grants))
        if self._runtime.broker_kind == AMQTT:
            return
        try:
            changed = await asyncio.to_thread(self._write_access, wanted, passwords)
        except (NexusError, OSError) as error:
            _log.error("the rights stay as they are: %s", error)
            return
        process = self._services.get(BROKER)
        if process is None or not process.ready.is_set():
            return
        if changed and process.signal(signal.SIGHUP):
            await asyncio.sleep(RELOAD_S)
            _log.info("broker: %d rules are in force", len(wanted.grants))
        if in_force(self._home.path) != wanted.digest:
            mark_applied(self._home.path, wanted.digest)

    async def _look_for_altered(self) -> None:
        """Note whether another hand changed the rules or passwords of Mosquitto; not while its own are handed over."""
        process = self._services.get(BROKER)
        if process is None or not process.ready.is_set() or self._handover_until_s:
            return
        if self._runtime.broker_kind != MOSQUITTO or not self._altered.touched():
            return
        found = self._access.read()
        if found is not None:
            await asyncio.to_thread(self._altered.look, *found, reload=lambda: process.signal(signal.SIGHUP))

    def _write_access(self, wanted: Wanted, passwords: Mapping[str, str]) -> bool:
        """Write rules and passwords; a new one of the historian's first for its second account, where it goes meanwhile."""
        broker, until_s = LocalMosquitto(self._home.path), self._handover_until_s
        if not broker.outdated(HISTORIAN, passwords.get(HISTORIAN, "")):
            until_s = 0.0
        elif not until_s:
            until_s = time.monotonic() + HANDOVER_S
        self._handover_until_s = until_s if time.monotonic() < until_s else 0.0
        return broker.write_access(wanted, passwords, handing_over=self._handover_until_s > 0)

    async def _follow_certificates(self) -> None:
        """Let broker and database read renewed certificates and revocations; roles follow their own files."""
        for name in await asyncio.to_thread(self._certificates.renewed, self._runtime):
            process = self._services.get(name)
            if process is not None and process.signal(signal.SIGHUP):
                _log.info("%s: reads its certificate and the revocation list again", name)

    def _passwords(self, names: tuple[str, ...]) -> dict[str, str]:
        passwords = dict(ensure_own(self._home.path, names))
        self._access.changed()
        return passwords

    def _rotate_logs(self) -> None:
        now = time.monotonic()
        if now - self._rotated < ROTATE_EVERY_S:
            return
        self._rotated = now
        for name in (*self._services, SUPERVISOR):
            rotate(self._home.log_file(name))
        keep_fresh(self._home, self._locks)

    async def _end(self) -> None:
        """Stop the tiers in reverse order: producers first, so that everything in transit is still stored."""
        for tier in sorted({process.service.tier for process in self._services.values()}, reverse=True):
            ending = [process for process in self._services.values() if process.service.tier == tier]
            for process in ending:
                process.stop()
            for process in ending:
                await process.ended.wait()

    def _write_state(self) -> None:
        data = encode_states({name: process.status for name, process in self._services.items()}, pid=os.getpid())
        beside = self._home.state_file.with_suffix(".new")
        try:
            beside.write_bytes(data)
            beside.replace(self._home.state_file)
        except OSError as error:  # a full disk, or a removed or moved folder, is no reason to stop supervising
            if str(error) != self._unwritten:
                self._unwritten = str(error)
                _log.warning("%s can't be written: %s", self._home.state_file, error)


async def run_supervisor(home: Home, *, stop: asyncio.Event) -> None:
    """Run the supervisor of a runtime until stopped.

    Raises:
        NexusError: NX6515, another supervisor of this folder runs.
    """
    home.make()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    me, runtime, locks = myself(), home.read_runtime(), lock_folder()
    with held(home, holder_for(home, runtime, me), locks):
        pid_file = PidFile(home.pid_file(SUPERVISOR))
        pid_file.write(me)
        try:
            await Supervisor(home, locks=locks).run(stop)
        finally:
            pid_file.remove(me)
            if not home.path.is_dir() or pid_file.read() is None:  # a successor may run by now
                home.state_file.unlink(missing_ok=True)


def myself() -> Running:
    """This process."""
    return identify(os.getpid()) or Running(pid=os.getpid(), started=0.0)


def holder_for(home: Home, runtime: Runtime, process: Running) -> Holder:
    """The content of a supervisor's lock file."""
    return Holder(
        pid=process.pid,
        started=process.started,
        site=runtime.site,
        home=str(home.path),
        instance=runtime.instance,
        beside=runtime.beside,
    )
