"""Bodies of web's routes about what a caller may start: the declared messages, their preview, and names by right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import NO_NUL, Absent, Body, Question

if TYPE_CHECKING:
    from nexus_cli.wire.sample import Value
else:
    Value = Any  # recursive, as in wire/frame.py

MOST_FIELDS = 1_000
LONGEST_TEXT = 64 * 1024
"""Characters of one field as a person types it."""
Typed = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT, pattern=NO_NUL)]


class MessageField(Body, frozen=True, kw_only=True):
    """A field of a message that can be set.

    Attributes:
        name: Of the field.
        kinds: JSON types that the schema takes for it, `integer` beside `number`, sorted.
        required: Whether the schema or the topic needs it.
        values: The only ones that it takes; absent without such a list.
        range: Lowest and highest number that the schema names, None is open; absent without.
        description: For people; "".
    """

    name: str
    kinds: list[str]
    required: bool = False
    values: list[Any] | Absent = msgspec.UNSET
    range: tuple[float | None, float | None] | Absent = msgspec.UNSET
    description: str = ""


class ListedMessage(Body, frozen=True, kw_only=True):
    """A declared message.

    Attributes:
        name, topic, qos, retain, description: As declared.
        payload: Its fixed fields.
        fields: Those that can be set, in their order.
        may_publish: Whether the caller may.
    """

    name: str
    topic: str
    qos: int
    retain: bool
    description: str
    payload: JsonObject
    fields: list[MessageField]
    may_publish: bool


class ListedMessages(Body, frozen=True, kw_only=True):
    """By name."""

    messages: list[ListedMessage]


class PreviewRequest(Question, frozen=True, kw_only=True):
    """Fields to fill a message with.

    Attributes:
        texts: As a person types them, by name; read by the types that the schema takes.
        set: With their types already; wins over `texts`.
    """

    texts: Annotated[dict[str, Typed], msgspec.Meta(max_length=MOST_FIELDS)] = {}
    set: Annotated[dict[str, Value], msgspec.Meta(max_length=MOST_FIELDS)] = {}


class FieldProblem(Body, frozen=True, kw_only=True):
    """Why fields don't make the message: the field, "" of the whole; one sentence; what to write instead."""

    field: str
    message: str
    hint: str = ""


class Preview(Body, frozen=True, kw_only=True):
    """What would be published. With problems nothing would.

    Attributes:
        topic, payload: Of the message; "" and null with problems.
        qos, retain: As declared.
        set: The fields with their types, to publish them with.
        problems: Every field that can't be read, else the first thing that does not fit.
    """

    topic: str = ""
    payload: Any = None
    qos: int = 0
    retain: bool = False
    set: JsonObject = {}
    problems: list[FieldProblem] = []


class Permissions(Body, frozen=True, kw_only=True):
    """Names on which the caller has a right, sorted: sequences to run, messages to publish, alerts to acknowledge.

    Attributes:
        apply: Path globs of what it may deploy.
        serves: Whether it may take the device of the question out of service; absent without one.
    """

    run: list[str]
    publish: list[str]
    acknowledge: list[str]
    apply: list[str]
    serves: bool | Absent = msgspec.UNSET
