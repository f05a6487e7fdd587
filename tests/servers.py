"""Real brokers for tests, on free ports of 127.0.0.1: mosquitto, or amqtt where there is none. Killed by process id."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nexus_cli.local import ports
from nexus_cli.settings import ClockTrust, Settings
from tests.waiting import wait_until

_AMQTT = """
import asyncio, sys
from nexus_cli.local.amqtt_plugin import NexusBroker, Rules
class Everyone(Rules):
    def authentic(self, user, password): return True
    def allowed(self, user, action, topic): return True
async def main():
    broker = NexusBroker(host="127.0.0.1", port=int(sys.argv[1]), rules=Everyone())
    await broker.start()
    await asyncio.Event().wait()
asyncio.run(main())
"""

_PLAIN_AMQTT = """
import asyncio, sys
from amqtt.broker import Broker
async def main():
    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1]}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}})
    await broker.start()
    await asyncio.Event().wait()
asyncio.run(main())
"""


_given: set[int] = set()


def free_port() -> int:
    """A TCP port that nobody listens on right now, that no outgoing connection is given meanwhile, and no other caller
    in this process, nor in another worker: two that choose the same one at once would both find it free."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    first = ports.FIRST + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    own = range(first, ports.LAST + 1, count)
    for _ in range(ports.TRIES):
        port = random.choice(own)
        if port not in _given and ports.port_is_free(port):
            break
    else:
        port = ports.free_port(taken=_given)
    _given.add(port)
    return port


def answers(port: int) -> bool:
    """True when something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def mosquitto_program() -> str | None:
    """Where mosquitto is, or None."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


@dataclass
class TestBroker:
    """A broker process that a test may stop, kill and start again on the same port.

    Attributes:
        folder: Its files.
        port: Where it listens.
        kind: `mosquitto`; `amqtt`, as `nexus up` starts it; or `plain amqtt`, as its makers give it out.
        options: Further lines of mosquitto.conf.
        users: Password by user; empty lets everyone in.
        acl: Lines of the ACL file.
    """

    __test__ = False

    folder: Path
    port: int = field(default_factory=free_port)
    kind: str = "mosquitto"
    options: Sequence[str] = ()
    users: Mapping[str, str] = field(default_factory=dict)
    acl: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for `Settings.broker_url`."""
        return f"mqtt://127.0.0.1:{self.port}"

    def settings(
        self, *, principal: str = "nexus.cli", home: Path | None = None, site: str = "acme/chicago"
    ) -> Settings:
        """Settings that reach this broker. The clock is vouched for: a virtual machine that is held up steps it."""
        return Settings(
            clock_synchronised=ClockTrust.YES,
            home=home or self.folder,
            site=site,
            principal=principal,
            broker_url=self.url,
            broker_user=principal if self.users else "",
            broker_password=self.users.get(principal, ""),
        )

    def start(self) -> TestBroker:
        """Start and wait until it accepts connections."""
        if self.kind in ("amqtt", "plain amqtt"):
            program = _AMQTT if self.kind == "amqtt" else _PLAIN_AMQTT
            command = [sys.executable, "-c", program, str(self.port)]
        else:
            found = mosquitto_program()
            assert found is not None
            command = [found, "-c", str(self._write_config())]
        log = (self.folder / "broker.log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        wait_until(lambda: answers(self.port), f"{self.kind} on port {self.port}")
        return self

    def kill(self) -> None:
        """End it without a word (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it politely."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it keep its sockets and do nothing (SIGSTOP)."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        # Taken out first: a test may start the next one from another thread while this one is still dying.
        process, self.process = self.process, None
        if process is not None:
            if process.poll() is None:
                process.send_signal(number)
            process.wait(timeout=10)

    def _write_config(self) -> Path:
        # `user root` keeps mosquitto from dropping to a user that can't read the test's folder.
        lines = [f"listener {self.port} 127.0.0.1", "user root", "max_queued_messages 1000", "set_tcp_nodelay true"]
        if self.users:
            passwords = self.folder / "passwords"
            passwords.write_text("".join(f"{user}:{password}\n" for user, password in self.users.items()))
            program = shutil.which("mosquitto_passwd")
            assert program is not None
            subprocess.run([program, "-U", str(passwords)], check=True)
            lines += ["allow_anonymous false", f"password_file {passwords}"]
        else:
            lines += ["allow_anonymous true"]
        if self.acl:
            (self.folder / "acl").write_text("\n".join(self.acl) + "\n")
            lines += [f"acl_file {self.folder / 'acl'}"]
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join([*lines, *self.options]) + "\n")
        return path


def new_broker(folder: Path, **keys: object) -> TestBroker:
    """A broker that is not started yet: mosquitto where there is one, else amqtt (which has no users here)."""
    keys.setdefault("kind", "mosquitto" if mosquitto_program() else "amqtt")
    return TestBroker(folder=folder, **keys)  # type: ignore[arg-type]
