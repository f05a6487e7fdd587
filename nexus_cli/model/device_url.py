"""Addresses of devices on the command line, `opcua://host:port/path`: what every protocol's reader of them shares. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult

from nexus_cli.json_value import JsonObject


class UrlError(ValueError):
    """An address that can't be read.

    Attributes:
        hint: What to write instead.
        code: NX6600 for what is no address of a device, NX6601 for a key that its connection does not have.
    """

    def __init__(self, message: str, *, hint: str = "", code: str = "NX6600") -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlConnection:
    """The parts of an address.

    Attributes:
        connection: Keys of `connection:` as they would be written.
        shown: The address for people, without secrets.
        units: Unit ids to ask one after the other, when a range was written instead of one.
    """

    connection: JsonObject
    shown: str
    units: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlReader:
    """How a protocol reads an address.

    Attributes:
        schemes: Its schemes, the usual one first.
        mistaken: Schemes of other tools; `read` answers them with the right spelling.
        aliases: Short names of connection keys, e.g. `unit` for `unit_id`.
        example: An address, for hints.
        read: From the parts and the keys of the query, aliases resolved. Raises UrlError.
    """

    schemes: tuple[str, ...]
    example: str
    read: Callable[[SplitResult, Mapping[str, Any]], UrlConnection]
    mistaken: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)


def host_of(parts: SplitResult) -> str:
    """The host as it is written in an address: IPv6 in brackets.

    Raises:
        UrlError: It names none.
    """
    if not parts.hostname:
        raise UrlError("it names no host")
    return f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname


def shown(parts: SplitResult) -> str:
    """The address for people: scheme, host, port and path."""
    return f"{parts.scheme}://{host_of(parts)}{f':{parts.port}' if parts.port else ''}{parts.path}"


def without_path(parts: SplitResult, *, hint: str) -> None:
    """Refuse a path where it means nothing. Raises UrlError with `hint` behind host and port."""
    if parts.path.strip("/"):
        raise UrlError(f"'{parts.path}' has no meaning here", hint=f"{parts.scheme}://{parts.netloc}{hint}")
