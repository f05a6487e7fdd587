"""Description of a protocol for the model, to read its keys: pure, without a protocol library.

Every driver folder has a `kind.py` that makes one of these; the model binds with the kinds it is handed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.json_value import JsonObject
from nexus_cli.model.device_url import UrlReader
from nexus_cli.model.failure_kind import FailureKind
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


def no_findings(_link: str, _devices: Sequence[Any]) -> Iterable[Diagnostic]:
    """Of a protocol that has no checks of its own."""
    return ()


def always_writable(_address: str, _options: Mapping[str, Any]) -> str:
    """Of a protocol that can write to each of its addresses, as far as an address shows."""
    return ""


def as_it_is(_keys: JsonObject) -> None:
    """Of a protocol whose addresses other tools write as we do."""


def host_and_port(connection: Mapping[str, Any]) -> tuple[str, int]:
    """Of a connection with the keys `host` and `port`."""
    return str(connection.get("host") or ""), int(connection.get("port") or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverKind:
    """One protocol as the site language sees it.

    Attributes:
        name: The value of `protocol:`.
        title: For people, e.g. "Modbus TCP".
        modes: What `mode:` may say; the first is the default.
        connection: Model of `connection:`.
        tag: Model of a tag, common keys included.
        link_of: The link's id for a connection, e.g. `tcp:10.0.0.9:502`; devices of one gateway with equal ids share it. One that
            begins with `serial:` is a port of the gateway's machine.
        address_of: Normal form of a tag's address within a connection. Raises AddressError.
        unwritable: Why an address (normal form, with its options) can never be written; "" where it can.
        link_keys: Connection keys that belong to the link: devices that share it must agree on them.
        resolved_keys: Connection keys whose `${env:…}` and `${file:…}` the driver resolves when it connects.
        url: How `nexus discover` and `nexus probe` read an address of it; None when there is no way to write one.
        default_port: TCP port that such a device usually listens on, 0 when there is none.
        listens_at: Host and TCP port that a connection (as JSON, references as they are) leads to; "" and 0 where it is
            no network.
        answer_ms: A typical time from request to answer on a local network: an estimate, for the load of a link.
        stand_in: Connection of an imported device of which the file says nothing.
        address_key: Name of the tag key that says where a value is.
        browse_resumes: Whether browsing can continue where an earlier run ended.
        browse_hint: What to try when browsing finds nothing.
        imported: Changes the keys of a tag that another tool's file describes, before they are read.
        check_link: Findings about the devices of one link, with its id.
        hints: What to try when a device can't be reached, by the kind of failure; the rest have general hints.
    """

    name: str
    title: str
    modes: tuple[str, ...]
    connection: type[Connection]
    tag: type[Tag]
    link_of: Callable[[Any], str]
    address_of: Callable[[Any, Any], Address]
    unwritable: Callable[[str, Mapping[str, Any]], str] = always_writable
    link_keys: frozenset[str] = frozenset()
    resolved_keys: frozenset[str] = frozenset()
    url: UrlReader | None = None
    default_port: int = 0
    answer_ms: float = 10.0
    stand_in: Mapping[str, Any] = field(default_factory=dict)
    address_key: str = "address"
    browse_resumes: bool = False
    listens_at: Callable[[Mapping[str, Any]], tuple[str, int]] = host_and_port
    browse_hint: str = ""
    imported: Callable[[JsonObject], None] = as_it_is
    check_link: Callable[[str, Sequence[Any]], Iterable[Diagnostic]] = no_findings
    hints: Mapping[FailureKind, str] = field(default_factory=dict)
