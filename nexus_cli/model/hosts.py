"""Hosts of connections: a name or an address and nothing else, so that a port in it is not taken for a part of the name."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

from nexus_cli.model.spelling import SpellingError

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?\Z")
_WITH_PORT = re.compile(r"(?P<host>[^:\s/\[\]]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>[0-9]{1,5})\Z")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>[^/\s]*)")


def host_of(text: str, *, port_key: str = "port") -> str:
    """The text when it is a name, an IPv4 or an IPv6 address; references are resolved later and pass.

    Args:
        text: The value of `host:`.
        port_key: The key of the connection that takes a port.

    Raises:
        SpellingError: NX1014, with what to write instead.
    """
    if "${" in text:
        return text
    bare = text.strip()
    url = _URL.match(bare)
    inner = url["rest"] if url is not None else bare
    with_port = _WITH_PORT.match(inner)
    if with_port is not None:
        host = with_port["host"].strip("[]")
        hint = f"host: {host}, {port_key}: {int(with_port['port'])}"
        raise SpellingError(f"'{text}' is a host and a port", code="NX1014", hint=hint)
    if url is not None:
        hint = f"host: {inner}" if inner else "host: 10.0.0.9"
        raise SpellingError(f"'{text}' is a URL", code="NX1014", hint=hint)
    try:
        ipaddress.ip_address(bare.strip("[]"))
    except ValueError:
        if _NAME.match(bare.encode("ascii", "replace").decode()) is None and not _international(bare):
            hint = "write a name such as plc-7.plant, or an address such as 10.0.0.9"
            raise SpellingError(f"'{text}' is not a host name or IP address", code="NX1014", hint=hint) from None
    return bare.strip("[]")


def _international(text: str) -> bool:
    """True for a name with letters beyond ASCII that DNS can carry."""
    try:
        return not text.isascii() and _NAME.match(text.encode("idna").decode()) is not None
    except UnicodeError:
        return False


Host = Annotated[str, AfterValidator(host_of)]
"""A host with its port in a key `port`."""
