"""Where proposed tags go: which site, which file, which device, and what it has already."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nexus_cli.discover.naming import tag_name
from nexus_cli.drivers.opcua.address import escape_uri
from nexus_cli.model.bound import BoundDevice, Model
from nexus_cli.model.driver_kind import Address, AddressError, DriverKind
from nexus_cli.wire.topic import is_slug

ADDRESS_KEYS = frozenset(("address", "node", "symbol", "index", "bit", "byte", "unit_id"))
"""Keys that say where a value is: they decide what is the same tag, and are never rewritten."""
Identity = tuple[Any, ...]
_INDEXED = re.compile(r"ns=(\d{1,5});(.+)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """A device before discovery.

    Attributes:
        names: Tag name by the identity of its address.
        taken: Every name of the device, calculated tags included.
        device: None when the device is new.
    """

    names: Mapping[Identity, str]
    taken: frozenset[str]
    device: BoundDevice | None


def split_at(text: str) -> tuple[str, str, str] | None:
    """`area/line/device`, None when it is not one."""
    levels = text.strip("/").split("/")
    if len(levels) != 3 or not all(is_slug(level) for level in levels):
        return None
    return levels[0], levels[1], levels[2]


def device_at(at: str, suggested: str) -> str:
    """Where a proposed device goes: at the place itself, beside it, or at its own place."""
    if not suggested:
        return at
    if "/" in suggested or not at:
        return suggested
    area_line, _, own = at.rpartition("/")
    return f"{area_line}/{tag_name((own, suggested))}"


def device_path(at: str) -> tuple[str, ...]:
    """The keys that lead to a device in a site file."""
    area, line, device = at.split("/")
    return ("areas", area, "lines", line, "devices", device)


def existing_device(model: Model | None, at: str, *, namespaces: Sequence[str] = ()) -> Existing:
    """The site's device at `area/line/device`.

    Args:
        model: The site, None when there is none.
        at: Where to look.
        namespaces: An OPC UA server's namespace array, so that `ns=2;s=X` is known as `nsu=…;s=X`.
    """
    device = model.devices.get(at) if model is not None else None
    if device is None:
        return Existing(names={}, taken=frozenset(), device=None)
    names: dict[Identity, str] = {}
    for name, bound in device.tags.items():
        key: Identity = (name,) if device.external else identity(bound.address) if bound.address else ()
        if namespaces and key:
            key = (with_uri(str(key[0]), namespaces), *key[1:])
        if key:
            names.setdefault(key, name)
    calculated = frozenset(name for name, _, _ in device.calculated())
    declared = {
        path.rpartition("/")[2] for path in (model.declared if model else ()) if path.rpartition("/")[0] == device.path
    }
    return Existing(names=names, taken=frozenset(device.tags) | calculated | declared, device=device)


def identity(address: Address) -> Identity:
    """The key of a tag's source: its normal form, and the options that select a part of it."""
    options = address.options
    return (address.text, *(str(options.get(key, "")) for key in ("index", "unit_id", "byte")))


def with_uri(node: str, namespaces: Sequence[str]) -> str:
    """An OPC UA node id whose namespace index is replaced by the server's URI."""
    match = _INDEXED.match(node)
    if match is None or not 0 < int(match[1]) < len(namespaces):
        return node
    return f"nsu={escape_uri(namespaces[int(match[1])])};{match[2]}"


def identity_of(kind: DriverKind, connection: Any, keys: Mapping[str, Any]) -> Identity | str:
    """The identity of a proposed tag, or why it can't be written in a site file."""
    try:
        tag = TypeAdapter(kind.tag).validate_python(dict(keys))
        return identity(kind.address_of(connection, tag))
    except AddressError as error:
        return str(error)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def site_of(file: Path) -> Path | None:
    """The site file that a file belongs to: itself, or the nearest `site.yaml` in a folder above."""
    if file.name == "site.yaml":
        return file
    for folder in [file.parent, *file.parent.parents][:6]:
        candidate = folder / "site.yaml"
        if candidate.is_file():
            return candidate
    return file if file.is_file() else None
