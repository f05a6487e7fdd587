"""Addresses such as `ads://10.0.0.7?net_id=10.0.0.7.1.1`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult

from nexus_cli.model.device_url import UrlConnection, UrlError, UrlReader, host_of, shown, without_path

TCP_PORT = 48_898
"""Source: Beckhoff, ADS/AMS over TCP. No runtime has it as its AMS port."""
_NET_ID = re.compile(r"\d{1,3}(\.\d{1,3}){5}")


def read_url(parts: SplitResult, keys: Mapping[str, Any]) -> UrlConnection:
    """See `UrlReader.read`. The port is the AMS port; 48898, which no runtime has, is the TCP port."""
    host_of(parts)
    if _NET_ID.fullmatch(parts.hostname or ""):
        port = f":{parts.port}" if parts.port else ""
        hint = f"ads://10.0.0.7{port}?net_id={parts.hostname}"
        raise UrlError(f"{parts.hostname} is an AMS NetId, no host", hint=hint)
    without_path(parts, hint="?net_id=5.1.2.3.1.1")
    key = "tcp_port" if parts.port == TCP_PORT else "port"
    own = {"host": parts.hostname, **({key: parts.port} if parts.port else {})}
    return UrlConnection(connection={**own, **keys}, shown=shown(parts))


URL = UrlReader(
    schemes=("ads",),
    example="ads://host?net_id=…",
    read=read_url,
    aliases={
        "net_id": "ams_net_id",
        "netid": "ams_net_id",
        "ams": "ams_net_id",
        "ams_netid": "ams_net_id",
        "ams_port": "port",
        "source": "source_net_id",
    },
)
