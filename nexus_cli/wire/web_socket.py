"""Messages of web's WebSocket (docs/websocket.md). Times are µs since 1970 UTC, paths `area/line/device/tag`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.command import LONGEST_REASON, Response
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
Subtree = Annotated[str, msgspec.Meta(max_length=500, pattern=NO_NUL)]
MOST_COUNTED = 1_000
"""Subtrees of one `counts`."""
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


class Counts(Asked, frozen=True, kw_only=True, tag="counts"):
    """How many readable tags of subtrees are GOOD, UNCERTAIN and BAD; "" is the whole site."""

    id: Id
    paths: Annotated[list[Subtree], msgspec.Meta(max_length=MOST_COUNTED)]
    every_ms: Every = 1_000


class Events(Asked, frozen=True, kw_only=True, tag="events"):
    """What happens from now on."""

    id: Id
    kinds: Annotated[list[Kind], msgspec.Meta(min_length=1)]


class Topics(Asked, frozen=True, kw_only=True, tag="topics"):
    """Messages on topics, each of them: the newest `keep` since the last answer, those that hold `search`."""

    id: Id
    filter: Glob
    every_ms: Every = 1_000
    keep: Annotated[int, msgspec.Meta(ge=1, le=2_000)] = 500
    search: Annotated[str, msgspec.Meta(max_length=200, pattern=NO_NUL)] = ""


class Write(Asked, frozen=True, kw_only=True, tag="write"):
    """A command, as of `POST /commands`."""

    id: Id
    path: Glob
    value: PlainValue
    expect: PlainValue | msgspec.UnsetType = msgspec.UNSET
    reason: Annotated[str, msgspec.Meta(max_length=LONGEST_REASON, pattern=NO_NUL)] = ""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0


AskedAny: TypeAlias = Watch | Unwatch | Ping | Counts | Events | Topics | Write


class Told(msgspec.Struct, frozen=True, kw_only=True, tag_field="op"):
    """What the server says."""


class Hello(Told, frozen=True, kw_only=True, tag="hello"):
    """The first message."""

    web: str
    turn: int
    deployment: int
    time: int


class Watching(Told, frozen=True, kw_only=True, tag="watching"):
    """The answer to `watch` and `counts`: how many tags the caller may read of what it asked for. Again when that has changed."""

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


class Counted(Told, frozen=True, kw_only=True, tag="counted"):
    """Counts of the subtrees in which they changed, at first of each."""

    id: int
    counts: dict[str, tuple[int, int, int]]


class Listening(Told, frozen=True, kw_only=True, tag="listening"):
    """The answer to `events` and `topics`; `topics` is how many are known that the caller may subscribe to."""

    id: int
    topics: int | msgspec.UnsetType = msgspec.UNSET


class Happened(Told, frozen=True, kw_only=True, tag="event"):
    """One event; what `event` holds is in docs/websocket.md."""

    id: int
    kind: Kind
    time: int
    event: JsonObject


class Messages(Told, frozen=True, kw_only=True, tag="messages"):
    """Messages on topics: `[number, topic, received, retained, size, "utf8" | "base64", payload]`.

    Attributes:
        dropped: How many came beside them since the last answer, and are not shown.
        rates: Messages per second since the last answer by topic, of the busiest topics.
    """

    id: int
    messages: list[tuple[int, str, int, bool, int, str, str]]
    dropped: int
    rates: dict[str, float]


class Written(Told, frozen=True, kw_only=True, tag="written"):
    """How a command ended, as of `POST /commands`."""

    id: int
    response: Response


Row: TypeAlias = tuple[str, PlainValue, str, int | None, str, str]
"""path, value, quality, time, reason, label."""
