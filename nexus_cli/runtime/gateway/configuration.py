"""The configuration that a gateway runs: fetched from control, compared by digest, kept as a local copy to start while control is away."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from nexus_cli.json_value import JsonValue
from nexus_cli.model.config import DeviceConfig, GatewayConfig, device_from_json, digest
from nexus_cli.wire.control import GatewayIndex, ServicePause
from nexus_cli.wire.control_aliases import Alias
from nexus_cli.wire.gateway_health import MOST_NAMED, mark_of
from nexus_cli.wire.signature import SignatureRules

BATCH = 200
"""Devices in one request to control."""


class ConfigSource(Protocol):
    """Where the configuration comes from: `wire.http.ControlClient`, or a fake in tests."""

    async def gateway_index(self, gateway: str) -> GatewayIndex:
        """The configuration to run. Raises NexusError."""
        ...

    async def gateway_devices(self, gateway: str, paths: Sequence[str]) -> Mapping[str, JsonValue]:
        """A `DeviceConfig` in JSON by path. Raises NexusError."""
        ...


class Wanted(msgspec.Struct, frozen=True):
    """One device to run, and the digest that control knows it by."""

    config: DeviceConfig
    digest: str


@dataclass(slots=True)
class Difference:
    """The changes of a refresh.

    Attributes:
        changed: Paths that are new or differ.
        removed: Paths that are gone.
        failed: Detail by path of what control sent and cannot be read here.
    """

    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class Configuration:
    """The devices of one gateway.

    Attributes:
        deployment: Number of the deployment that made it so; 0 before the first.
        digest: Digest over all device digests, as control computes it.
        devices: By path.
        frames, compress: How the record is sent: `columns` or `json`; compressed `never`, `auto` or `always`.
        out_of_service: What control said last of devices that are left alone for a while.
        signatures: Which commands are taken only with a signature; in the local copy as well.
        aliases: What control said last of old paths under which values are published, too.
    """

    def __init__(self, path: Path, *, enterprise: str, site: str, gateway: str) -> None:
        """Name the file of the local copy; nothing is read yet."""
        self.deployment = 0
        self.digest = ""
        self.devices: dict[str, Wanted] = {}
        self.frames, self.compress = "columns", "never"
        self.out_of_service: Mapping[str, ServicePause] = {}
        self.signatures = SignatureRules()
        self.aliases: Sequence[Alias] = ()
        self._path = path
        self._enterprise, self._site, self._gateway = enterprise, site, gateway

    def load(self) -> bool:
        """Take the local copy; False when there is none, or it belongs to another site or can't be read."""
        try:
            copy = msgspec.json.decode(self._path.read_bytes(), type=GatewayConfig)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if (copy.enterprise, copy.site, copy.gateway) != (self._enterprise, self._site, self._gateway):
            return False
        self.devices = {
            path: Wanted(config, copy.digests[path]) for path, config in copy.devices.items() if path in copy.digests
        }
        self.deployment, self.frames, self.signatures = copy.deployment, copy.frames, copy.signatures
        self.compress = copy.compress
        self.digest = _digest_of(self.devices)
        return True

    def marks(self, *, without: Collection[str] = ()) -> dict[str, str]:
        """For health: which recorded document each device runs, of the first `MOST_NAMED` paths that are not in `without`."""
        paths = sorted(path for path in self.devices if path not in without)
        return {path: mark_of(self.devices[path].digest) for path in paths[:MOST_NAMED]}

    def save(self) -> None:
        """Write the local copy, whole or not at all. Raises OSError."""
        copy = GatewayConfig(
            enterprise=self._enterprise,
            site=self._site,
            gateway=self._gateway,
            deployment=self.deployment,
            devices={path: one.config for path, one in self.devices.items()},
            digests={path: one.digest for path, one in self.devices.items()},
            frames=self.frames,
            compress=self.compress,
            signatures=self.signatures,
        )
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self._path.with_suffix(".new")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(copy))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    async def refresh(self, source: ConfigSource) -> Difference:
        """Fetch what differs from what we have.

        Raises:
            NexusError: Control can't be reached, refuses, or answers with something else than a configuration.
        """
        index = await source.gateway_index(self._gateway)
        wanted = index.devices
        result = Difference(removed=[path for path in self.devices if path not in wanted])
        differing = [
            path for path, value in wanted.items() if path not in self.devices or self.devices[path].digest != value
        ]
        fetched: dict[str, Wanted] = {}
        for start in range(0, len(differing), BATCH):
            some = differing[start : start + BATCH]
            answer = await source.gateway_devices(self._gateway, some)
            for path in some:
                try:
                    config = device_from_json(answer[path])
                except (KeyError, TypeError, RecursionError, msgspec.ValidationError) as error:
                    result.failed[path] = f"control's configuration of it can't be read: {error}"
                    continue
                fetched[path] = Wanted(config, wanted[path])
        for path in result.removed:
            del self.devices[path]
        self.devices.update(fetched)
        result.changed = list(fetched)
        self.deployment, self.digest = index.deployment, index.digest or _digest_of(self.devices)
        self.compress, self.aliases = index.compress, index.aliases
        self.frames, self.out_of_service, self.signatures = index.frames, index.out_of_service, index.signatures
        return result


def _digest_of(devices: dict[str, Wanted]) -> str:
    return digest(sorted([path, one.digest] for path, one in devices.items()))
