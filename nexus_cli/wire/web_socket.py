"""Messages of web's WebSocket (docs/websocket.md). Times are µs since 1970 UTC, paths `area/line/device/tag`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from nexus_cli.wire.control import NO_NUL
from nexus_cli.wire.field_types import PlainValue

JSON_PROTOCOL = "nexus.v1.json"
MSGPACK_PROTOCOL = "nexus.v1.msgpack"
MOST_WATCHED_PATHS = 5_000
"""Paths and globs of one `watch`."""
LARGEST_ID = 2**53 - 1
"""The largest integer that every JSON reader keeps."""
Id = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)]
Every = Annotated[int, msgspec.Meta(ge=100, le=60_000)]
Glob = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_NUL)]
Kind = Literal["alert", "device", "link", "role", "command", "deployment", "sequence"]
KINDS: tuple[Kind, ...] = ("alert", "device", "link", "role", "command", "deployment", "sequence")


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True):
    """What a client asks for; `id` is its own, and each answer to it has the same one."""


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client left off: the web, and the `turn` of the last message that it had of it."""

    web: Annotated[str, msgspec.Meta(max_length=100)]
    turn: Annotated[int, msgspec.Meta(ge=0)]


class Watch(Asked, frozen=True, kw_only=True, tag="watch"):
    """Newest values of tags, at most every `every_ms`."""

    id: Id
    paths: Annotated[list[Glob], msgspec.Meta(max_length=MOST_WATCHED_PATHS)]
    every_ms: Every = 1_000
    since: Since | None = None


class Unwatch(Asked, frozen=True, kw_only=True, tag="unwatch"):
    """End what was asked for under this id."""

    id: Id


class Ping(Asked, frozen=True, kw_only=True, tag="ping"):
    """Answered with `pong`: a page can't see the protocol's own."""

    id: Id = 0


AskedAny: TypeAlias = Watch | Unwatch | Ping


class Told(msgspec.Struct, frozen=True, kw_only=True, tag_field="op"):
    """What the server says."""


class Hello(Told, frozen=True, kw_only=True, tag="hello"):
    """The first message."""

    web: str
    turn: int
    deployment: int
    time: int


class Watching(Told, frozen=True, kw_only=True, tag="watching"):
    """The answer to `watch`: how many tags the caller may read of what it asked for. Again when that has changed."""

    id: int
    tags: int


class Unwatched(Told, frozen=True, kw_only=True, tag="unwatched"):
    """The answer to `unwatch`."""

    id: int


class Pong(Told, frozen=True, kw_only=True, tag="pong"):
    """The answer to `ping`."""

    id: int


class Failed(Told, frozen=True, kw_only=True, tag="error"):
    """What was asked for was not done; `id` is null where it could not be read."""

    id: int | None
    code: str
    message: str
    hint: str = ""


class SiteChanged(Told, frozen=True, kw_only=True, tag="site"):
    """A deployment was recorded."""

    deployment: int


class Missing(Told, frozen=True, kw_only=True, tag="missing"):
    """What does not answer, of `database`, `control` and `broker`; empty when everything is there."""

    parts: list[str]
    detail: dict[str, str]


Row: TypeAlias = tuple[str, PlainValue, str, int | None, str, str]
"""path, value, quality, time, reason, label."""
