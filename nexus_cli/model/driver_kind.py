"""What the model must know of a protocol to read its keys: pure, no protocol library behind it.

Every driver folder has a `kind.py` that makes one of these; the model binds with the kinds it is handed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.model.site import Connection, Tag


class AddressError(ValueError):
    """An address that can't be read. The message quotes it; the hint says what to write.

    Attributes:
        hint: What to write instead.
        key: The tag key that is wrong, usually `address`.
        code: A catalogue code of band 3, else the general one for a value that is refused.
    """

    def __init__(self, message: str, *, hint: str = "", key: str = "address", code: str = "NX1014") -> None:
        super().__init__(message)
        self.hint = hint
        self.key = key
        self.code = code


@dataclass(frozen=True, slots=True)
class Address:
    """An address in the one normal form of its protocol.

    Attributes:
        text: Canonical spelling; two tags with equal text and options read the same thing.
        options: Protocol-specific facts that the driver needs beside it (order, bit, length); JSON values.
    """

    text: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverKind:
    """One protocol as the site language sees it.

    Attributes:
        name: The value of `protocol:`.
        title: For people, e.g. "Modbus TCP".
        built: False when the language accepts it but no driver exists yet (apply refuses it).
        modes: What `mode:` may say; the first is the default.
        connection: Model of `connection:`.
        tag: Model of a tag, common keys included.
        link_of: The link's id for a connection, e.g. `tcp:10.0.0.9:502`; devices with equal ids share it.
        address_of: Normal form of a tag's address within a connection. Raises AddressError.
        link_keys: Connection keys that belong to the link: devices that share it must agree on them.
        resolved_keys: Connection keys whose `${env:…}` and `${file:…}` the driver resolves when it connects.
        writable_default: Never true by itself; says whether writes are possible at all.
    """

    name: str
    title: str
    built: bool
    modes: tuple[str, ...]
    connection: type[Connection]
    tag: type[Tag]
    link_of: Callable[[Any], str]
    address_of: Callable[[Any, Any], Address]
    link_keys: frozenset[str] = frozenset()
    resolved_keys: frozenset[str] = frozenset()
