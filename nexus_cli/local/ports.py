"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"
FIRST, LAST = 20_000, 32_000
"""Below the range for outgoing connections (from 32,768 on Linux, 49,152 elsewhere): a port in that range may be taken
by another connection before the server listens on it."""
TRIES = 200


def reached_at(listen: str) -> str:
    """The host by which this machine reaches a server that listens there; "" is the loopback interface."""
    return {"": LOOPBACK, "0.0.0.0": LOOPBACK, "::": "::1"}.get(listen, listen)


def in_url(host: str) -> str:
    """A host as URLs have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def port_is_free(port: int, *, host: str = LOOPBACK) -> bool:
    """True when no process listens on the port."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(*, preferred: int = 0, taken: Iterable[int] = (), host: str = LOOPBACK) -> int:
    """A free port: the preferred one if it is free, else one between `FIRST` and `LAST`.

    Args:
        preferred: 0 for none.
        taken: Ports that are assigned to servers that do not listen yet.
        host: Interface address.

    Raises:
        OSError: The system has no free port left.
    """
    reserved = set(taken)
    if preferred and preferred not in reserved and port_is_free(preferred, host=host):
        return preferred
    for _ in range(TRIES):
        port = random.randint(FIRST, LAST)  # noqa: S311 - a port is no secret
        if port not in reserved and port_is_free(port, host=host):
            return port
    while True:
        with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
        if port not in reserved:
            return port


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def listens(port: int, *, host: str = LOOPBACK, timeout_s: float = 0.5) -> bool:
    """True when a server accepts connections on the port."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False
