"""The keys that each protocol knows, for the stage before binding. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from nexus_cli.model.driver_kind import DriverKind
from nexus_cli.model.external import EXTERNAL, ExternalDevice, ExternalTag
from nexus_cli.model.site import Calculated, Connection, Device
from nexus_cli.source.known import KnownKeys


def keys_of(shape: type[BaseModel]) -> frozenset[str]:
    """The keys of a model, as they are written."""
    return frozenset(field.alias or name for name, field in shape.model_fields.items())


def known_keys(kinds: Mapping[str, DriverKind]) -> dict[str, KnownKeys]:
    """Keys by protocol; under "" those of all of them, for a device whose protocol is missing or unknown."""
    calculated = keys_of(Calculated)
    known = {
        name: KnownKeys(keys_of(Device), keys_of(kind.connection), keys_of(kind.tag), calculated)
        for name, kind in kinds.items()
    }
    known[EXTERNAL] = KnownKeys(keys_of(ExternalDevice), keys_of(Connection), keys_of(ExternalTag), calculated)
    known[""] = KnownKeys(
        frozenset().union(*(one.device for one in known.values())),
        frozenset().union(*(one.connection for one in known.values())),
        frozenset().union(*(one.tag for one in known.values())),
        calculated,
    )
    return known
