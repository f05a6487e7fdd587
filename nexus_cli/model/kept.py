"""Devices that are known from an earlier run: a few facts are at hand, the rest is bound on demand.

See docs/decisions/0062.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from nexus_cli.model.actions import OnChange
from nexus_cli.model.bound import BoundDevice, BoundTag
from nexus_cli.model.driver_kind import DriverKind
from nexus_cli.model.expression_text import names_in
from nexus_cli.model.external import ExternalDevice
from nexus_cli.model.site import Connection, Device, Tag


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What checks of the whole site ask about a device.

    Attributes:
        protocol: Its protocol.
        link: Id of its link.
        labels: Its own labels.
        tags, calculated: Names, in declared order.
        writable: Names of tags that take commands.
        retentions: Classes that its tags name, each once; None is a tag without one.
        host, port: Where it listens, "" and 0 where that is no network.
        window: Its own maintenance window; None is none.
    """

    protocol: str
    link: str
    labels: dict[str, str]
    tags: list[str]
    calculated: list[str]
    writable: list[str]
    retentions: list[str | None]
    host: str
    port: int
    window: str | None = None


def window_of(device: BoundDevice) -> str | None:
    """The maintenance window of a device itself; one that stayed closed is not opened for it."""
    return device.facts.window if isinstance(device, KeptDevice) else device.device.window


def on_change_of(device: BoundDevice) -> OnChange | None:
    """The sequences around a change of a device itself; one that stayed closed has none."""
    closed = isinstance(device, KeptDevice) or not isinstance(device.device, Device)
    return None if closed else device.device.on_change


def facts_of(device: BoundDevice) -> Facts | None:
    """The facts of a device without findings; None when it has to be bound in each run.

    That is a device of others, one that depends on tags of other devices, and one with sequences of its own.
    """
    if isinstance(device, KeptDevice):
        return device.facts
    if isinstance(device.device, ExternalDevice) or device.kind is None or device.connection is None or not device.link:
        return None
    if device.device.on_change is not None:
        return None
    calculated = device.device.calculated
    if any("/" in name for one in calculated.values() for name in names_in(one.expr)):
        return None
    tags = {name: bound.tag for name, bound in device.tags.items() if isinstance(bound.tag, Tag)}
    if len(tags) < len(device.tags) or any("/" in (tag.read_back or "") for tag in tags.values()):
        return None
    host, port = listens_at(device)
    every = [*tags.values(), *calculated.values()]
    return Facts(
        protocol=device.protocol,
        link=device.link,
        labels=dict(device.labels),
        tags=list(tags),
        calculated=list(calculated),
        writable=[name for name, tag in tags.items() if tag.writable],
        retentions=list(dict.fromkeys(one.retention for one in every)),
        host=host,
        port=port,
        window=device.device.window,
    )


def listens_at(device: BoundDevice) -> tuple[str, int]:
    """Host and TCP port that a device listens at; "" and 0 where that is no network, or unknown."""
    if isinstance(device, KeptDevice):
        return device.facts.host, device.facts.port
    if device.kind is None or device.connection is None:
        return "", 0
    return device.kind.listens_at(device.connection.model_dump(mode="json", exclude_none=True))


class KeptDevice(BoundDevice):
    """A device whose text did not change since it was bound without a finding.

    Attributes:
        facts: What is at hand.
    """

    __slots__ = ("_bind", "_bound", "facts")
    facts: Facts
    _bind: Callable[[], BoundDevice]
    _bound: BoundDevice | None

    def __init__(
        self,
        path: str,
        *,
        kind: DriverKind,
        facts: Facts,
        bind: Callable[[], BoundDevice],
        gateway: str = "",
    ) -> None:
        """Take what is known.

        Args:
            path: `area/line/device`.
            kind: Of its protocol.
            facts: What is at hand.
            bind: Binds it; called once, when more is asked.
            gateway: The gateway that reads it.
        """
        area, line, name = path.split("/", 2)
        given = {
            "path": path,
            "where": ("areas", area, "lines", line, "devices", name),
            "kind": kind,
            "link": facts.link,
            "gateway": gateway,
            "facts": facts,
            "_bind": bind,
            "_bound": None,
        }
        for key, value in given.items():
            object.__setattr__(self, key, value)

    @property
    def bound(self) -> BoundDevice:
        """The whole device."""
        if self._bound is None:
            object.__setattr__(self, "_bound", self._bind())
        assert self._bound is not None  # the line above
        return self._bound

    @property
    def device(self) -> Device:
        """The keys that every protocol has."""
        return self.bound.device

    @property
    def connection(self) -> Connection | None:
        """How to reach it."""
        return self.bound.connection

    @property
    def tags(self) -> Mapping[str, BoundTag]:
        """By name."""
        return self.bound.tags

    @property
    def external(self) -> bool:
        """False: devices of others are bound in each run."""
        return False

    @property
    def protocol(self) -> str:
        """Name of its protocol."""
        return self.facts.protocol

    @property
    def labels(self) -> Mapping[str, str]:
        """Its own labels."""
        return self.facts.labels

    def at(self, gateway: str) -> BoundDevice:
        """The same device, read by a gateway."""
        return KeptDevice(self.path, kind=self.kind_known, facts=self.facts, bind=lambda: self.bound, gateway=gateway)

    @property
    def kind_known(self) -> DriverKind:
        """Its kind, which it always has."""
        assert self.kind is not None  # `facts_of`
        return self.kind

    def paths(self) -> Iterator[str]:
        """Path of every tag, calculated ones behind the others."""
        return (f"{self.path}/{name}" for name in (*self.facts.tags, *self.facts.calculated))
