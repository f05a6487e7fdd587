"""A message from the broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Message(NamedTuple):
    """One received message."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


OnMessage = Callable[[Message], None]
