"""The files between a mock's gateways and its simulator: which links are wanted, and where each is served.

A gateway writes the devices of a link before it connects, the simulator answers with the keys of `connection:` that lead
to its server. Both survive the other's restart, and neither needs the broker, control or the database.

See docs/decisions/0086.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import DeviceConfig, digest

FOLDER = "mock"
OWN_KEYS = frozenset(
    {
        *(
            "security",
            "user",
            "password",
            "certificate",
            "private_key",
            "user_certificate",
            "user_private_key",
            "trust",
        ),
        "router",
    }
)
"""Keys of `connection:` about the plant's own identity, secrets and routers: a simulator asks for none of them."""


class WantedLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that a gateway connects to.

    Attributes:
        link: Its id in the site.
        devices: Behind it.
    """

    link: str
    devices: list[DeviceConfig]

    @property
    def digest(self) -> str:
        """Equal for equal devices."""
        return digest(msgspec.to_builtins(self.devices))


class ServedLink(msgspec.Struct, frozen=True, kw_only=True):
    """The simulator's answer.

    Attributes:
        link: Its id in the site.
        digest: Of the devices that are served.
        connection: Keys of `connection:` that lead to the server.
        port: Of the server, for its next start; 0 when it has none.
        problem: Why it is not served; "" when it is.
    """

    link: str
    digest: str
    connection: JsonObject = {}
    port: int = 0
    problem: str = ""


class MockFolder:
    """`.nexus/mock`."""

    def __init__(self, home: Path) -> None:
        """Nothing is made yet."""
        self.path = home / FOLDER

    @property
    def ready_file(self) -> Path:
        """The process id of the simulator that serves."""
        return self.path / "simulator.pid"

    def want(self, wanted: WantedLink) -> None:
        """Ask for a link. Raises OSError."""
        _write(self._file("wanted", wanted.link), msgspec.json.encode(wanted))

    def wanted(self) -> Iterator[tuple[Path, int]]:
        """Files of the links that are asked for, and when each was written (ns)."""
        folder = self.path / "wanted"
        for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            try:
                yield file, file.stat().st_mtime_ns
            except OSError:
                continue

    def serve(self, served: ServedLink) -> None:
        """Say where a link is served. Raises OSError."""
        _write(self._file("served", served.link), msgspec.json.encode(served))

    def served(self, link: str) -> ServedLink | None:
        """Where a link is served; None before, or when the file can't be read."""
        try:
            return msgspec.json.decode(self._file("served", link).read_bytes(), type=ServedLink)
        except (OSError, msgspec.MsgspecError):
            return None

    def _file(self, folder: str, link: str) -> Path:
        return self.path / folder / f"{hashlib.sha256(link.encode()).hexdigest()[:24]}.json"


def read_wanted(file: Path) -> WantedLink | None:
    """What a file asks for; None when it can't be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=WantedLink)
    except (OSError, msgspec.MsgspecError):
        return None


def without_own(devices: Sequence[DeviceConfig]) -> list[DeviceConfig]:
    """The devices without what only the plant's own can ask for."""
    return [
        msgspec.structs.replace(
            device, connection={key: value for key, value in device.connection.items() if key not in OWN_KEYS}
        )
        for device in devices
    ]


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_suffix(f".{os.getpid()}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(data)
    beside.replace(file)
