"""amqtt as the local broker, where mosquitto is not installed: one Python process with NEXUS's users and grants.

See docs/decisions/0010.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_cli.access.grants_file import NOTHING, Wanted, mark_applied, read_wanted
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.credentials import read_credentials
from nexus_cli.local.layout import Home, port_of
from nexus_cli.local.ports import LOOPBACK
from nexus_cli.settings import CREDENTIALS_FILE

if TYPE_CHECKING:
    from nexus_cli.local.amqtt_plugin import NexusBroker, Rules

NAME = "amqtt"
LIMITS = "for trying: 4,000 messages/s, keeps nothing; install mosquitto"
FOLLOW_S = 0.1

_log = logging.getLogger("nexus.broker")


def available() -> bool:
    """True when amqtt is installed (`nexus-cli[local]`)."""
    return importlib.util.find_spec("amqtt") is not None


async def run_amqtt(home: Home, *, stop: asyncio.Event) -> None:
    """Serve on the port of `runtime.json` until stopped, and apply the grants that control writes.

    Raises:
        NexusError: NX6505, amqtt is not installed or the port can't be opened.
    """
    if not available():
        raise NexusError("amqtt is not installed.", code="NX6505", hint="pip install 'nexus-cli[local]'")
    from amqtt.errors import AMQTTError  # noqa: PLC0415 - amqtt: only in the process of this broker

    from nexus_cli.local.amqtt_plugin import NexusBroker, Rules  # noqa: PLC0415 - amqtt: only in the process of this broker

    for library in ("amqtt", "transitions"):
        logging.getLogger(library).setLevel(logging.WARNING)
    rules = Rules()
    port = port_of(home.read_runtime().broker_url)
    wanted, passwords = read_wanted(home.path) or NOTHING, read_credentials(home.path)["broker"]
    rules.replace(wanted, passwords)
    broker = NexusBroker(host=LOOPBACK, port=port, rules=rules)
    try:
        await broker.start()
    except AMQTTError as error:
        raise NexusError(
            f"The broker can't open port {port}.", code="NX6505", cause=str(error), hint="`nexus up` picks another port"
        ) from None
    mark_applied(home.path, wanted.digest)
    _log.info("amqtt listens on %s:%s with %d rules", LOOPBACK, port, len(wanted.grants))
    await _follow(home, broker, rules, stop)
    await broker.shutdown()


async def _follow(home: Home, broker: NexusBroker, rules: Rules, stop: asyncio.Event) -> None:
    watch = AccessWatch(home)
    watch.changed()
    while not stop.is_set():
        try:
            async with asyncio.timeout(FOLLOW_S):
                await stop.wait()
        except TimeoutError:
            pass
        if watch.changed():
            found = watch.read()
            if found is not None:
                broker.end_refused(rules.replace(*found))
                mark_applied(home.path, found[0].digest)
                _log.info("%d rules are in force", len(found[0].grants))


class AccessWatch:
    """Detects that control or `nexus up` has written grants or passwords."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._files = (home.path / "access.json", home.path / CREDENTIALS_FILE)
        self._seen: tuple[tuple[int, int], ...] = ()

    def changed(self) -> bool:
        """True when a file has changed since the last call."""
        now = tuple(_stamp(path) for path in self._files)
        changed, self._seen = now != self._seen, now
        return changed

    def read(self) -> tuple[Wanted, Mapping[str, str]] | None:
        """What control wants, and the passwords in clear text; None (and a log line) when they can't be read: the current ones stay in force."""
        try:
            wanted = read_wanted(self._home.path)
            passwords = read_credentials(self._home.path)["broker"]
        except NexusError as error:
            _log.error("%s %s", error.message, error.cause)
            return None
        return None if wanted is None else (wanted, passwords)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_ino)
