"""Addresses such as `s7://10.0.0.7?rack=0&slot=2`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult

from nexus_cli.model.device_url import UrlConnection, UrlReader, host_of, shown, without_path

DEFAULT_PORT = 102
"""Source: RFC 2126, ISO transport over TCP."""


def read_url(parts: SplitResult, keys: Mapping[str, Any]) -> UrlConnection:
    """See `UrlReader.read`."""
    host_of(parts)
    without_path(parts, hint="?rack=0&slot=1")
    port = {"port": parts.port} if parts.port else {}
    return UrlConnection(connection={"host": parts.hostname, **port, **keys}, shown=shown(parts))


URL = UrlReader(schemes=("s7",), example="s7://host", read=read_url)
