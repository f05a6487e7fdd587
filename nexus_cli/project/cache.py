"""What an earlier `validate` or `plan` found out about a site, so that the next one reads only what changed.

A device is taken from the cache when its own text, its surroundings (defaults, template, variables) and the program are
the same as when nothing was found in it. Devices with a finding, the rest of the site, and every check across devices are
done in each run, so that findings, places and digests are those of a run without a cache.

See docs/decisions/0062.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.bind import bind_device
from nexus_cli.model.bound import BoundDevice, Model, Place
from nexus_cli.model.kept import Facts, KeptDevice, facts_of
from nexus_cli.model.resolve import KnownConfig
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.project.cache_file import CacheFile, cache_folder
from nexus_cli.project.fingerprint import fingerprint
from nexus_cli.source.remembered import Remembered, UnsoundMemory
from nexus_cli.source.tree import SourceTree, device_of

GROUP_BYTES = 16


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A device in which nothing was found.

    Attributes:
        section, context, template: As of `Remembered`.
        group: Digest of its link with all devices on it, b"" where something was found about one of them.
        facts: What checks across devices need of it.
    """

    section: bytes
    context: bytes
    template: str
    group: bytes
    facts: Facts

    @property
    def text(self) -> Remembered:
        """What the text is recognised by."""
        return Remembered(self.section, self.context, self.template)


class ConfigEntry(msgspec.Struct, frozen=True, array_like=True):
    """The normal form of a device, for one gateway.

    Attributes:
        section, context: As of `Remembered`.
        gateway: The gateway that reads it.
        digest: Of its attributes.
        attributes: In JSON.
    """

    section: bytes
    context: bytes
    gateway: str
    digest: str
    attributes: bytes


Each = TypeVar("Each", Entry, ConfigEntry)
_DEVICES = msgspec.msgpack.Decoder(dict[str, Entry])
_CONFIGS = msgspec.msgpack.Decoder(dict[str, ConfigEntry])


@dataclass(slots=True)
class SiteCache:
    """The cache of one site, environment and set of variables.

    Attributes:
        entries: Devices in which nothing was found, by path.
    """

    file: CacheFile
    configs: CacheFile
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def earlier(self) -> dict[str, Remembered]:
        """What texts are recognised by, by path of the device."""
        return {path: entry.text for path, entry in self.entries.items()}

    def kept(self, tree: SourceTree) -> dict[str, KeptDevice]:
        """The devices of a tree that stayed closed, by path."""
        known = kinds()
        return {
            path: KeptDevice(
                path,
                kind=known[self.entries[path].facts.protocol],
                facts=self.entries[path].facts,
                bind=_Binding(tree, path),
            )
            for path in tree.kept
        }

    def sound_links(self, model: Model, tree: SourceTree) -> frozenset[Place]:
        """Links on which nothing changed since nothing was found about them."""
        sound = set()
        for place, devices in model.links().items():
            if all(isinstance(device, KeptDevice) for device in devices):
                group = _group(place[1], devices, tree.sound)
                if all(self.entries[device.path].group == group for device in devices):
                    sound.add(place)
        return frozenset(sound)

    def remember(self, tree: SourceTree, model: Model, findings: Iterable[Diagnostic]) -> None:
        """Write what this run found out, where it differs from what was known.

        Args:
            tree: The text.
            model: What was bound of it.
            findings: All of them, those that a comment suppresses included.
        """
        noisy = {path for item in findings if (path := device_of(item.where))}
        groups: dict[Place, bytes] = {}
        for place, devices in model.links().items():
            if all(device.path in tree.sound and device.path not in noisy for device in devices):
                groups[place] = _group(place[1], devices, tree.sound)
        entries: dict[str, Entry] = {}
        for path, text in tree.sound.items():
            device = model.devices.get(path)
            if device is None or path in noisy:
                continue
            if (facts := facts_of(device)) is not None:
                entries[path] = Entry(*text, groups.get((device.gateway, facts.link), b""), facts)
        if entries != self.entries:
            _write(self.file, entries)

    def known_configs(self, tree: SourceTree, model: Model) -> dict[str, KnownConfig]:
        """The normal form of devices, by path, as far as it is known for the gateways that now read them."""
        kept: dict[str, KnownConfig] = {}
        for path, entry in _read(self.configs, _CONFIGS).items():
            text, device = tree.sound.get(path), model.devices.get(path)
            if (
                isinstance(device, KeptDevice)
                and text is not None
                and (entry.section, entry.context, entry.gateway) == (text.section, text.context, device.gateway)
            ):
                kept[path] = KnownConfig(entry.digest, entry.attributes)
        return kept

    def remember_configs(
        self, tree: SourceTree, model: Model, snapshot: Snapshot, known: Mapping[str, KnownConfig]
    ) -> None:
        """Write the normal form of the devices in which nothing was found, where it differs from what was known."""
        entries: dict[str, ConfigEntry] = {}
        for path, text in tree.sound.items():
            device = model.devices.get(path)
            if device is None:
                continue
            address = f"device.{path}"
            config = known.get(path)
            attributes = config.attributes if config else _exact(snapshot.resources[address])
            if attributes is not None:
                digest = snapshot.digests[address]
                entries[path] = ConfigEntry(text.section, text.context, device.gateway, digest, attributes)
        if entries.keys() != known.keys():
            _write(self.configs, entries)


@dataclass(frozen=True, slots=True)
class _Binding:
    """Binds one device that stayed closed."""

    tree: SourceTree
    path: str

    def __call__(self) -> BoundDevice:
        area, line, name = self.path.split("/", 2)
        where = ("areas", area, "lines", line, "devices", name)
        bound = bind_device(self.tree.device(where), self.path, where, kinds())
        if bound is None:
            raise UnsoundMemory
        return bound


def site_cache(site: Path, *, env: str | None, variables: Mapping[str, str]) -> SiteCache | None:
    """The cache of a site; None where this user has no folder for one.

    Args:
        site: The site file.
        env: The environment.
        variables: Of the command line.
    """
    folder = cache_folder()
    if folder is None:
        return None
    names = repr((str(site.resolve()), env, sorted(variables.items())))
    key = hashlib.blake2b(names.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    cache = SiteCache(CacheFile(folder, f"{key}-devices"), CacheFile(folder, f"{key}-configs"))
    protocols = kinds()
    cache.entries = {
        path: entry for path, entry in _read(cache.file, _DEVICES).items() if entry.facts.protocol in protocols
    }
    return cache


def _group(link: str, devices: Iterable[BoundDevice], texts: Mapping[str, Remembered]) -> bytes:
    """A link with everything on it."""
    inside = [(device.path, *texts[device.path]) for device in devices]
    return hashlib.blake2b(repr((link, inside)).encode(), digest_size=GROUP_BYTES).digest()


def _exact(attributes: Attributes) -> bytes | None:
    """Attributes in JSON; None where that is not the same (an infinite number)."""
    written = msgspec.json.encode(attributes)
    return written if msgspec.json.encode(msgspec.json.decode(written)) == written else None


def _read(file: CacheFile, decoder: msgspec.msgpack.Decoder[dict[str, Each]]) -> dict[str, Each]:
    data = file.read()
    program = fingerprint()
    if data is None or not data.startswith(program):
        return {}
    try:
        return decoder.decode(memoryview(data)[len(program) :])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _write(file: CacheFile, entries: Mapping[str, Entry] | Mapping[str, ConfigEntry]) -> None:
    file.write(fingerprint() + msgspec.msgpack.encode(entries))
