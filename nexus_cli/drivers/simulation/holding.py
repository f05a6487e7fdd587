"""Values that the simulator of a mock holds: what a test says that the devices have, and whether they have it.

Two files in the folder of the mock, beside the links: one asks, the other answers with the same number. Values are
MessagePack, because JSON has neither NaN nor whole numbers of 64 bits.

See docs/decisions/0086 and 0107.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nexus_cli.drivers.plugin import Simulator


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What the devices hold.

    Attributes:
        number: Counts the questions; the answer has the same one.
        values: Raw values by `area/line/device/tag`; all of them, not only the new ones.
        steady: Signals stop at the value that they have when a link is served, so that nothing moves by itself.
    """

    number: int = 0
    values: dict[str, Any] = {}
    steady: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The simulator's answer: values that a device can't hold, with the reason, by path."""

    number: int
    problems: dict[str, str] = {}


class HoldFiles:
    """`held.msgpack` and `holds.msgpack` in a folder of a mock."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made yet."""
        self._asked, self._answered = folder / "held.msgpack", folder / "holds.msgpack"

    def ask(self, held: Held) -> None:
        """Say what the devices have to hold. Raises OSError."""
        _write(self._asked, msgspec.msgpack.encode(held))

    def asked(self) -> Held | None:
        """What they have to hold; None without a question, or when the file can't be read."""
        try:
            return msgspec.msgpack.decode(self._asked.read_bytes(), type=Held)
        except (OSError, msgspec.MsgspecError):
            return None

    def written_ns(self) -> int:
        """When it was asked; 0 is never."""
        try:
            return self._asked.stat().st_mtime_ns
        except OSError:
            return 0

    def answer(self, answer: Answer) -> None:
        """Say that they hold it. Raises OSError."""
        _write(self._answered, msgspec.msgpack.encode(answer))

    def answered(self) -> Answer | None:
        """The newest answer; None before it."""
        try:
            return msgspec.msgpack.decode(self._answered.read_bytes(), type=Answer)
        except (OSError, msgspec.MsgspecError):
            return None


class Holder:
    """Puts what was asked into the servers. A value of a device that is not served yet waits for it."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self._files = HoldFiles(folder)
        self._seen_ns = 0
        self._held = Held()
        self._problems: dict[str, str] = {}
        self._open: set[str] = set()

    def look(self, servers: Mapping[str, Simulator]) -> None:
        """Hold what was asked since the last look; `servers` by path of the device."""
        written = self._files.written_ns()
        if written != self._seen_ns:
            held = self._files.asked()
            if held is None:
                return
            self._seen_ns = written
            before, self._held, self._problems = self._held, held, {}
            self._open = {
                path for path, value in held.values.items() if path not in before.values or before.values[path] != value
            } | {path for path in self._open if path in held.values}
            if not self._open:
                self._answer()
        self._put(servers)

    def served(self, devices: Mapping[str, Simulator]) -> None:
        """Devices are served again, from the begin of their signals: what they held is held again."""
        if self._held.steady or ((held := self._files.asked()) is not None and held.steady):
            for path, server in devices.items():
                for tag, value in server.values(path).items():
                    _hold(server, path, tag, value)
        self._open |= {path for path in self._held.values if path.rpartition("/")[0] in devices}

    def _put(self, servers: Mapping[str, Simulator]) -> None:
        if not self._open:
            return
        for path in sorted(self._open):
            device, _, tag = path.rpartition("/")
            if device in servers:
                self._open.discard(path)
                if problem := _hold(servers[device], device, tag, self._held.values[path]):
                    self._problems[path] = problem
        if not self._open:
            self._answer()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):  # asked again at the next number; who waits has a deadline
            self._files.answer(Answer(number=self._held.number, problems=self._problems))


def _hold(server: Simulator, device: str, tag: str, value: Any) -> str:
    """Hold one value; gives why it can't be, "" when it is."""
    put = getattr(server, "set", None)
    if put is None:
        return "the simulator of this protocol holds no given values"
    try:
        put(device, tag, value)
    except KeyError:
        return "the simulator does not serve this tag"
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        return str(error) or type(error).__name__
    return ""


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_suffix(f".{os.getpid()}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(data)
    beside.replace(file)
