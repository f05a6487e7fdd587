"""The model as the checks walk it: every tag once, with its type parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import ValidationError

from nexus_cli.diagnostics.diagnostic import ModelPath
from nexus_cli.model.bound import BoundDevice, Model
from nexus_cli.model.datatype import DataType, parse_type
from nexus_cli.model.driver_kind import Address
from nexus_cli.model.external import ExternalTag
from nexus_cli.model.resolve import published_type
from nexus_cli.model.site import Calculated, Inherited, Tag
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

    Attributes:
        model: The bound site.
        tags: Every tag, calculated and external ones included, in declared order.
        read: Only tags that a driver reads.
        by_path: The same by path.
    """

    model: Model
    tags: tuple[TagView, ...]
    read: tuple[TagView, ...]
    by_path: Mapping[str, TagView]

    @classmethod
    def of(cls, model: Model) -> View:
        """Walk the model once."""
        tags: list[TagView] = []
        for device in model.devices.values():
            for name, bound in device.tags.items():
                published = parse_type(published_type(bound.tag))
                tags.append(
                    TagView(device, name, bound.tag, bound.where, parse_type(bound.tag.type), published, bound.address)
                )
            for name, calculated, where in device.calculated():
                datatype = parse_type(calculated.type)
                tags.append(TagView(device, name, calculated, where, datatype, datatype, None))
        read = tuple(view for view in tags if isinstance(view.tag, Tag))
        return cls(model, tuple(tags), read, {view.path: view for view in tags})

    def inherited(self, view: TagView, key: str) -> bool:
        """True when a tag has this key's value from its device, line, area or the site; a guess by equal values."""
        value = getattr(view.tag, key)
        return value == getattr(view.device.device, key) or value in _defaults(self.model, view.device, key)


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
