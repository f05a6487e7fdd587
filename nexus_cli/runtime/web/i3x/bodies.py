"""Bodies of i3X requests. Fields that are not known here pass: clients of a later version may send them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Request

from nexus_cli.runtime.api.bodies import refused, words
from nexus_cli.wire.control import NO_NUL

MOST_ELEMENTS = 50_000
MOST_UPDATES = 100
MOST_DEPTH = 1_000_000
Element = Annotated[str, msgspec.Meta(max_length=1000)]
Elements = Annotated[list[Element], msgspec.Meta(max_length=MOST_ELEMENTS)]
Depth = Annotated[int, msgspec.Meta(ge=0, le=MOST_DEPTH)]
ClientId = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_NUL)]
SubscriptionId = Annotated[str, msgspec.Meta(max_length=200, pattern=NO_NUL)]


class I3xBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A body."""


class ElementIds(I3xBody, frozen=True, kw_only=True):
    """Which types or objects."""

    element_ids: Elements


class ObjectList(I3xBody, frozen=True, kw_only=True):
    """Which objects."""

    element_ids: Elements
    include_metadata: bool | None = False


class Related(I3xBody, frozen=True, kw_only=True):
    """Whose relationships, and of which type."""

    element_ids: Elements
    relationship_type: str | None = None
    include_metadata: bool | None = False


class ValueQuery(I3xBody, frozen=True, kw_only=True):
    """Whose newest values."""

    element_ids: Elements
    max_depth: Depth | None = 1


class HistoryQuery(I3xBody, frozen=True, kw_only=True):
    """Whose stored values, from when to when (RFC 3339), both included."""

    start_time: str
    end_time: str
    element_ids: Elements = []
    max_depth: Depth | None = 1


class WrittenValue(I3xBody, frozen=True, kw_only=True):
    """A value to write."""

    value: Any
    quality: str | None = None
    timestamp: str | None = None


class Write(I3xBody, frozen=True, kw_only=True):
    """What to write where."""

    element_id: Element
    value: WrittenValue


class Writes(I3xBody, frozen=True, kw_only=True):
    """Several of them."""

    updates: Annotated[list[Write], msgspec.Meta(max_length=MOST_UPDATES)]


class NewSubscription(I3xBody, frozen=True, kw_only=True):
    """A subscription to make."""

    client_id: ClientId
    display_name: Annotated[str, msgspec.Meta(max_length=200, pattern=NO_NUL)] | None = None


class SubscriptionIds(I3xBody, frozen=True, kw_only=True):
    """Which subscriptions."""

    client_id: ClientId
    subscription_ids: Annotated[list[SubscriptionId], msgspec.Meta(max_length=1000)]


class OneSubscription(I3xBody, frozen=True, kw_only=True):
    """Which subscription."""

    client_id: ClientId
    subscription_id: SubscriptionId


class Registration(I3xBody, frozen=True, kw_only=True):
    """Objects of a subscription."""

    client_id: ClientId
    subscription_id: SubscriptionId
    element_ids: Elements
    max_depth: Depth | None = 1


class Sync(I3xBody, frozen=True, kw_only=True):
    """Which subscription, and what was received of it."""

    client_id: ClientId
    subscription_id: SubscriptionId
    last_sequence_number: int | None = None


Asked = TypeVar("Asked", bound=I3xBody)


def body_of(shape: type[Asked]) -> Callable[[Request], Awaitable[Asked]]:
    """A dependency that reads the body of a request; another shape is answered with 400."""
    decoder = msgspec.json.Decoder(shape)

    async def read(request: Request) -> Asked:
        try:
            return decoder.decode(await request.body())
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise refused("", words(error)) from None

    return read
