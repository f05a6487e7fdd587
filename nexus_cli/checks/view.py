"""The model as the checks walk it: every tag once, with its type parsed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from pydantic import ValidationError

from nexus_cli.diagnostics.diagnostic import ModelPath
from nexus_cli.model.bound import BoundDevice, Model, Place
from nexus_cli.model.datatype import DataType, parse_type
from nexus_cli.model.driver_kind import Address
from nexus_cli.model.external import ExternalTag
from nexus_cli.model.kept import KeptDevice
from nexus_cli.model.resolve import published_type
from nexus_cli.model.site import Calculated, Deadband, Inherited, Tag
from nexus_cli.model.writable import CALCULATED, EXTERNAL_DEVICE, why_unwritable_address


class TagView(NamedTuple):
    """One tag of any sort.

    Attributes:
        where: Where in the model.
        type: On the device.
        published: After scale and units.
        address: In normal form; None for calculated and external tags and when it has an error.
    """

    device: BoundDevice
    name: str
    tag: Tag | ExternalTag | Calculated
    where: ModelPath
    type: DataType
    published: DataType
    address: Address | None

    @property
    def path(self) -> str:
        """`area/line/device/tag`."""
        return f"{self.device.path}/{self.name}"


def why_not_writable(tag: TagView) -> str:
    """Why a tag can never be written; "" where `writable: true` lets commands write it."""
    if isinstance(tag.tag, Calculated):
        return CALCULATED
    if isinstance(tag.tag, ExternalTag):
        return EXTERNAL_DEVICE
    address = tag.address
    return "" if address is None else why_unwritable_address(tag.device.kind, address.text, address.options)


@dataclass(frozen=True, slots=True)
class View:
    """The input of every check.

    A check that looks at one device at a time walks `devices`, `tags` and `read`: those that an earlier run knows to
    have no finding are left out. A check of names, references and rights asks `by_path`, `model` and the methods, which
    know every device.

    Attributes:
        model: The bound site.
        devices: Devices to check one by one, in declared order.
        tags: Their tags, calculated and external ones included, in declared order.
        read: Only those that a driver reads.
        by_path: Every tag of the site, by path.
        links: Devices by link id, of links that are not known to have no finding.
    """

    model: Model
    devices: tuple[BoundDevice, ...]
    tags: tuple[TagView, ...]
    read: tuple[TagView, ...]
    by_path: Mapping[str, TagView]
    links: Mapping[Place, list[BoundDevice]]

    @classmethod
    def of(cls, model: Model, *, sound_links: Container[Place] = ()) -> View:
        """Walk the model once.

        Args:
            model: The bound site.
            sound_links: Links whose devices are all known from an earlier run that found nothing about the link.
        """
        devices = tuple(device for device in model.devices.values() if not isinstance(device, KeptDevice))
        tags = tuple(tag for device in devices for tag in tags_of(device))
        read = tuple(tag for tag in tags if isinstance(tag.tag, Tag))
        by_path: Mapping[str, TagView] = {tag.path: tag for tag in tags}
        if len(devices) < len(model.devices):
            by_path = EveryTag(model, by_path)
        links = {place: inside for place, inside in model.links().items() if place not in sound_links}
        return cls(model, devices, tags, read, by_path, links)

    def writable(self) -> Iterator[str]:
        """Path of every tag of the site that may take commands."""
        at_hand: dict[str, list[str]] = {}
        for tag in self.tags:
            if not isinstance(tag.tag, Tag) or tag.tag.writable:
                at_hand.setdefault(tag.device.path, []).append(tag.path)
        for path, device in self.model.devices.items():
            if isinstance(device, KeptDevice):
                yield from (f"{path}/{name}" for name in device.facts.writable)
            else:
                yield from at_hand.get(path, ())

    def retentions(self) -> set[str | None]:
        """Every retention class that a tag of the site names."""
        kept = (one for one in self.model.devices.values() if isinstance(one, KeptDevice))
        return {tag.tag.retention for tag in self.tags}.union(*(device.facts.retentions for device in kept))

    def alike(self) -> View:
        """The same view with one tag of those that differ only in name, address, description and labels.

        A check that looks at nothing else of a tag finds something about each of them or about none.
        """
        first: dict[tuple[Any, ...], TagView] = {}
        for device, inside in groupby(self.tags, key=_device_of):
            level = device.device
            kind, address = (device.kind.name, device.kind.address_key) if device.kind is not None else ("", "")
            around = (device.line, kind, *(_plain(getattr(level, key)) for key in _LEVEL))
            for tag in inside:
                first.setdefault(_shape(tag.tag, around, address) or (tag.path, isinstance(tag.tag, Calculated)), tag)
        tags = tuple(first.values())
        return replace(self, tags=tags, read=tuple(tag for tag in tags if isinstance(tag.tag, Tag)))

    def inherited(self, view: TagView, key: str) -> bool:
        """True when a tag has this key's value from its device, line, area or the site; a guess by equal values."""
        return getattr(view.tag, key) in self.levels(view, key)

    def levels(self, view: TagView, key: str) -> list[Any]:
        """What a tag's device, line, area and site say of a key; None is nothing."""
        return [getattr(view.device.device, key), *_defaults(self.model, view.device, key)]


_LEVEL = tuple(Inherited.model_fields)
_APART = frozenset({"description", "labels", "deadband"})
_SINGLE = ("values", "simulate", "read_back", "read_back_timeout")
"""Keys whose tags are looked at one by one: their values can't be compared at once, or name another tag."""


def _shape(tag: Tag | ExternalTag | Calculated, around: tuple[Any, ...], address: str) -> tuple[Any, ...] | None:
    """What tags that are alike have in common; None for a tag that is looked at by itself."""
    if isinstance(tag, Calculated):
        return None
    fields = tag.__dict__
    if any(one is not None for one in map(fields.get, _SINGLE)):
        return None
    shape = (around, id(tag.deadband), _reader(type(tag), address)(fields))
    try:
        hash(shape)
    except TypeError:  # a key of a driver that is a list or a map
        return None
    return shape


@lru_cache(maxsize=64)
def _reader(model: type[Tag] | type[ExternalTag], address: str) -> Callable[[dict[str, Any]], Any]:
    """Takes the fields of a tag that its shape is made of."""
    return itemgetter(*(key for key in model.model_fields if key not in _APART and key != address))


def _plain(value: object) -> object:
    return id(value) if isinstance(value, Deadband) else value


def _device_of(tag: TagView) -> BoundDevice:
    return tag.device


def tags_of(device: BoundDevice) -> Iterator[TagView]:
    """The tags of a device, calculated ones behind the others."""
    for name, bound in device.tags.items():
        tag = bound.tag
        datatype = parse_type(tag.type)
        published = parse_type(published_type(tag))
        yield TagView(device, name, tag, bound.where, datatype, published, bound.address)
    for name, calculated, where in device.calculated():
        datatype = parse_type(calculated.type)
        yield TagView(device, name, calculated, where, datatype, datatype, None)


class EveryTag(Mapping[str, TagView]):
    """Every tag by path; devices that are known from an earlier run are bound when one of their tags is asked for."""

    def __init__(self, model: Model, at_hand: Mapping[str, TagView]) -> None:
        self._model = model
        self._known = dict(at_hand)

    def __getitem__(self, path: str) -> TagView:
        if path not in self._known and path in self:
            device = self._model.devices[path.rpartition("/")[0]]
            self._known.update((tag.path, tag) for tag in tags_of(device))
        return self._known[path]

    def __contains__(self, path: object) -> bool:
        if path in self._known or not isinstance(path, str):
            return path in self._known
        head, _, name = path.rpartition("/")
        device = self._model.devices.get(head)
        return isinstance(device, KeptDevice) and (name in device.facts.tags or name in device.facts.calculated)

    def __iter__(self) -> Iterator[str]:
        for device in self._model.devices.values():
            if isinstance(device, KeptDevice):
                yield from device.paths()
            else:
                names = dict.fromkeys((*device.tags, *device.device.calculated))
                yield from (f"{device.path}/{name}" for name in names)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _defaults(model: Model, device: BoundDevice, key: str) -> list[Any]:
    area_name, line_name, _ = device.path.split("/", 2)
    levels = [model.site.defaults]
    area = model.site.areas.get(area_name)
    if area is not None:
        levels.append(area.defaults)
        if line_name in area.lines:
            levels.append(area.lines[line_name].defaults)
    return [_read(key, repr(level[key]), level[key]) for level in levels if key in level]


def _read(key: str, _text: str, value: Any) -> Any:
    """A default as the tag's model reads it; None when it can't be read."""
    try:
        return getattr(_inherited_model().model_validate({key: value}), key)
    except ValidationError:
        return None


@lru_cache(maxsize=1)
def _inherited_model() -> Any:
    return Inherited
