"""How long a driver waits: the time-outs of a connection, and what holds where it sets none. The only place of both
defaults."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_TIMEOUT_MS = 1_000
"""Longest wait for the answer to one request."""
DEFAULT_CONNECT_TIMEOUT_MS = 3_000
"""Longest wait for a connection or session to open."""


def timeout_s(connection: Mapping[str, object]) -> float:
    """Longest wait for an answer, in seconds: `timeout` of a connection in normal form (ms), else the default."""
    return _milliseconds(connection.get("timeout"), DEFAULT_TIMEOUT_MS) / 1000


def connect_timeout_s(connection: Mapping[str, object]) -> float:
    """Longest wait for a connection to open, in seconds: `connect_timeout` (ms), else the default."""
    return _milliseconds(connection.get("connect_timeout"), DEFAULT_CONNECT_TIMEOUT_MS) / 1000


def slowest_s(connection: Mapping[str, object]) -> float:
    """The longer of the two, in seconds."""
    return max(timeout_s(connection), connect_timeout_s(connection))


def _milliseconds(value: object, default: int) -> float:
    """0 counts as not set."""
    return float(value) if isinstance(value, (int, float)) and value else default
