"""`nexus publish`: a declared message, checked against its schema, previewed or sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.procedure_config import MessageConfig, MessageError, fields_of, render, typed
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id

PUBLISH_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A message that is ready to go out.

    Attributes:
        name: As declared.
        topic: With its fields filled in.
        payload: JSON.
        qos, retain: As declared.
    """

    name: str
    topic: str
    payload: bytes
    qos: int
    retain: bool

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        payload = orjson.loads(self.payload)
        return {"name": self.name, "topic": self.topic, "payload": payload, "qos": self.qos, "retain": self.retain}


async def prepare(name: str, texts: Mapping[str, str], *, settings: Settings | None = None) -> Rendered:
    """Look the applied message up and fill it in; sends nothing.

    Raises:
        NexusError: NX6840 unknown, NX6841 it does not fit its schema; NX6400 control is away.
    """
    from nexus_cli.wire.http import ControlClient

    settings = settings or load_settings()
    async with ControlClient(settings) as control:
        found = (await control.resources([f"message.{name}"])).get(f"message.{name}")
        if found is None:
            digests = (await control.state())["digests"]
            known = [one.removeprefix("message.") for one in digests if one.startswith("message.")]
            hint = did_you_mean(name, known) if known else "declare it under `messages:` and apply"
            raise NexusError(f"There is no message '{name}'.", code="NX6840", hint=hint, exit_code=1)
    return fill(name, msgspec.convert(found, MessageConfig), texts)


def fill(name: str, message: MessageConfig, texts: Mapping[str, str]) -> Rendered:
    """Fill a message with values as a person types them. Raises NexusError NX6841."""
    fields = fields_of(message)
    try:
        unknown = [key for key in texts if key not in fields and message.schema.get("additionalProperties") is False]
        if unknown:
            raise MessageError(f"there is no field '{unknown[0]}'", hint=did_you_mean(unknown[0], fields))
        topic, payload = render(message, {key: typed(message, key, text) for key, text in texts.items()})
    except MessageError as error:
        raise NexusError(f"{name}: {error}.", code="NX6841", hint=error.hint, exit_code=1) from None
    return Rendered(name=name, topic=topic, payload=payload, qos=message.qos, retain=message.retain)


async def publish(message: Rendered, *, settings: Settings | None = None) -> None:
    """Send it once and wait for the broker's acknowledgement.

    Raises:
        NexusError: NX6010, NX6011: the broker is away or refuses.
    """
    settings = settings or load_settings()
    client = BrokerClient(settings=settings, client_id=client_id("publish"))
    try:
        async with asyncio.timeout(PUBLISH_S), client.session():
            await client.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)
    except TimeoutError:
        raise NexusError(
            "The broker did not acknowledge the message in time.",
            code="NX6010",
            hint="it may have been delivered; subscribers know",
            retriable=True,
        ) from None
