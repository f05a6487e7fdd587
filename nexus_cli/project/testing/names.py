"""What a test may name in a site: tags, alarms, users. A name that is unknown gets a hint, one that moved its new name."""

from __future__ import annotations

from functools import cached_property

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.config import DeviceConfig, TagConfig, device_from_json
from nexus_cli.model.resources import AlertConfig, every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.moved import Rename
from nexus_cli.wire.topic import Topics


class SiteNames:
    """The names of a site.

    Attributes:
        snapshot: What the site declares.
        moved: Its renames, in order.
        devices: By path.
        tags: Of all devices, by path.
        alarms: Alerts by name.
        topics: Makes topics of paths.
    """

    def __init__(self, snapshot: Snapshot, moved: tuple[Rename, ...] = ()) -> None:
        """Look at a site without errors."""
        self.snapshot, self.moved = snapshot, moved
        self.topics = Topics(snapshot.enterprise, snapshot.site)
        self.devices: dict[str, DeviceConfig] = {
            path: device_from_json(attributes) for path, attributes in snapshot.of_kind("device")
        }
        self.tags: dict[str, TagConfig] = {
            f"{path}/{name}": tag for path, device in self.devices.items() for name, tag in device.tags.items()
        }
        self.alarms: dict[str, AlertConfig] = dict(every(snapshot, "alert", AlertConfig))

    @cached_property
    def prefix(self) -> str:
        """`enterprise/site/`."""
        return f"{self.snapshot.enterprise}/{self.snapshot.site}/"

    def device_of(self, path: str) -> DeviceConfig:
        """The device of a declared tag."""
        return self.devices[path.rpartition("/")[0]]

    def moved_to(self, path: str) -> str:
        """The declared path that an undeclared one has now; "" when no rename says so."""
        new = path
        for source, target in self.moved:
            if new == source:
                new = target
            elif new.startswith(f"{source}/"):
                new = target + new[len(source) :]
        return new if new != path and new in self.tags else ""

    def hint(self, path: str) -> str:
        """What a person may have meant by an undeclared path."""
        device, _, name = path.rpartition("/")
        if device in self.devices:
            near = did_you_mean(name, self.devices[device].tags)
            return near or f"`nexus find {device}` lists its tags"
        return did_you_mean(path, self.tags) or "write area/line/device/tag, as `nexus find` shows it"
