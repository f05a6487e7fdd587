"""`nexus publish`: a declared message, checked against its schema, previewed or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.json_value import JsonObject
from nexus_cli.model.procedure_config import MessageConfig, MessageError, fields_of, render, typed
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.sample import Value

PUBLISH_S = 30.0
"""Longer than control waits for the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A message that is ready to go out.

    Attributes:
        name: As declared.
        topic: With its fields filled in.
        payload: JSON.
        qos, retain: As declared.
        values: What was set, as the schema types it.
    """

    name: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    values: Mapping[str, Value] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """As plain JSON."""
        payload = orjson.loads(self.payload)
        return {"name": self.name, "topic": self.topic, "payload": payload, "qos": self.qos, "retain": self.retain}


async def prepare(name: str, texts: Mapping[str, str], *, settings: Settings | None = None) -> Rendered:
    """Look the applied message up and fill it in; sends nothing.

    Raises:
        NexusError: NX6840 unknown, NX6841 it does not fit its schema; NX6400 control is away.
    """
    settings = settings or load_settings()
    async with ControlClient(settings) as control:
        found = await control.message(name)
    return fill(name, msgspec.convert(found, MessageConfig), texts)


def fill(name: str, message: MessageConfig, texts: Mapping[str, str]) -> Rendered:
    """Fill a message with values as a person types them. Raises NexusError NX6841."""
    fields = fields_of(message)
    try:
        unknown = [key for key in texts if key not in fields and message.schema.get("additionalProperties") is False]
        if unknown:
            raise MessageError(f"there is no field '{unknown[0]}'", hint=did_you_mean(unknown[0], fields))
        values = {key: typed(message, key, text) for key, text in texts.items()}
        topic, payload = render(message, values)
    except MessageError as error:
        raise NexusError(f"{name}: {error}.", code="NX6841", hint=error.hint) from None
    return Rendered(name=name, topic=topic, payload=payload, qos=message.qos, retain=message.retain, values=values)


async def publish(message: Rendered, *, settings: Settings | None = None) -> None:
    """Have control publish it and wait for the broker's acknowledgement; the audit trail has the user.

    Raises:
        NexusError: NX6010 the broker is away, NX6400 control is; NX6403 the user has no right to.
    """
    async with ControlClient(settings or load_settings(), timeout_s=PUBLISH_S) as control:
        await control.publish(message.name, message.values)
