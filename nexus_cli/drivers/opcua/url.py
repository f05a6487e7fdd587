"""Addresses such as `opcua://host:4840/path`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult

from nexus_cli.model.device_url import UrlConnection, UrlReader, host_of, shown

DEFAULT_PORT = 4840
"""Source: IANA, opcua-tcp."""


def read_url(parts: SplitResult, keys: Mapping[str, Any]) -> UrlConnection:
    """See `UrlReader.read`."""
    endpoint = f"opc.tcp://{host_of(parts)}:{parts.port or DEFAULT_PORT}{parts.path.rstrip('/')}"
    return UrlConnection(connection={"endpoint": endpoint, **keys}, shown=shown(parts))


URL = UrlReader(schemes=("opcua", "opc.tcp"), example="opcua://host:4840", read=read_url)
