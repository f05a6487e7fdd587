"""Object types: levels of the site, devices by what they are made of, and leaves by type, unit and value names. Pure.

A site does not record which template a device was made from: devices with the same tags have one type. The id of a type is
made of what it says, so it stays the same as long as that does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from nexus_cli import __version__
from nexus_cli.runtime.web.i3x.leaf_values import nullable, schema_of

RELATIONS_URI = "https://cesmii.org/i3x"
LEVELS_URI = "https://www.isa.org/isa95?projection=nexus"
LEAVES_URI = "urn:nexus:tags"
OWN_RELATIONS_URI = "urn:nexus:relationships"
VERSION = "1.0.0"
SITE_TYPE, AREA_TYPE, LINE_TYPE = "type:site", "type:area", "type:line"
_NO_LABELS: Mapping[str, str] = {}


class Leaf(NamedTuple):
    """What a leaf type says.

    Attributes:
        type: Of the published value.
        unit: "" for none.
        writable: Whether its tags take commands.
        labels: Names of an enumeration's codes, as sorted pairs.
    """

    type: str
    unit: str
    writable: bool
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """Its elementId."""
        parts = ["type:tag", self.type, self.unit or "-"]
        if self.labels:
            parts.append(_short(self.labels))
        if self.writable:
            parts.append("writable")
        return ":".join(parts)

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema; unit and names under keys of our own."""
        found: dict[str, Any] = dict(schema_of(self.type))
        if not self.writable:
            found["readOnly"] = True
        if self.unit:
            found["x-unit"] = self.unit
        if self.labels:
            found["x-labels"] = dict(self.labels)
        return found

    def record(self) -> dict[str, Any]:
        """As in an answer."""
        words = [self.type]
        if self.unit:
            words.append(f"in {self.unit}")
        if self.labels:
            words.append("(" + ", ".join(name for _, name in self.labels)[:80] + ")")
        if self.writable:
            words.append("to be written")
        return _record(self.id, " ".join(words), LEAVES_URI, self.type, self.schema())


def device_type_id(protocol: str, members: Sequence[tuple[str, Leaf]]) -> str:
    """The elementId of the type of devices with these members, in order of name."""
    return f"type:device:{protocol}:{_short([(name, leaf.id) for name, leaf in members])}"


def device_type(
    type_id: str, *, protocol: str, like: str, uri: str, members: Sequence[tuple[str, Leaf]]
) -> dict[str, Any]:
    """The type of a device: an object with a member for each tag, each null while its tag is Bad.

    Args:
        type_id: From `device_type_id`.
        protocol: Of its devices.
        like: Path of the first of them, for people.
        uri: Namespace.
        members: Name and leaf of each tag.
    """
    schema = {
        "type": "object",
        "properties": {name: nullable(leaf.schema()) for name, leaf in members},
        "additionalProperties": False,
    }
    name = f"{like.rpartition('/')[2]} ({protocol}, {len(members)} tags)"
    return _record(type_id, name, uri, protocol, schema)


def level_types() -> list[dict[str, Any]]:
    """Site, area and line: they organise, and have no value of their own."""
    schema = {"type": "object"}
    return [
        _record(SITE_TYPE, "Site", LEVELS_URI, "Site", schema),
        _record(AREA_TYPE, "Area", LEVELS_URI, "Area", schema),
        _record(LINE_TYPE, "Line", LEVELS_URI, "WorkCenter", schema),
    ]


def _record(id_: str, name: str, uri: str, source: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "elementId": id_,
        "displayName": name,
        "namespaceUri": uri,
        "sourceTypeId": source,
        "version": VERSION,
        "schema": schema,
    }


def _short(value: object) -> str:
    return hashlib.sha256(orjson.dumps(value)).hexdigest()[:12]


_RELATIONS = (
    ("HasParent", "HasChildren", RELATIONS_URI),
    ("HasComponent", "ComponentOf", RELATIONS_URI),
    ("CalculatedFrom", "UsedToCalculate", OWN_RELATIONS_URI),
    ("ReadBackBy", "ReadsBack", OWN_RELATIONS_URI),
)
RELATION_TYPES: tuple[dict[str, Any], ...] = tuple(
    {"elementId": name, "displayName": name, "namespaceUri": uri, "relationshipId": name, "reverseOf": reverse}
    for one, other, uri in _RELATIONS
    for name, reverse in ((one, other), (other, one))
)
REVERSE_OF: Mapping[str, str] = {each["elementId"]: each["reverseOf"] for each in RELATION_TYPES}


def server_info(*, site: str, writes: bool, corrections: bool) -> dict[str, Any]:
    """The answer of `GET /info`: what this server can do."""
    return {
        "specVersion": "1.0",
        "serverVersion": __version__,
        "serverName": f"NEXUS {site}",
        "capabilities": {
            "query": {"history": True},
            "update": {"current": writes, "history": corrections},
            "subscribe": {"stream": True},
        },
    }
