"""Declared messages as a form needs them, and their preview: the same check that control makes before it publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.json_value import JsonObject
from nexus_cli.model import message_schema
from nexus_cli.model.procedure_config import PLACEHOLDER, MessageConfig, MessageError, fields_of, render, typed
from nexus_cli.model.resources import decode
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.principals import named, require
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.control import Absent
from nexus_cli.wire.web_procedures import (
    FieldProblem,
    ListedMessage,
    ListedMessages,
    MessageField,
    Preview,
    PreviewRequest,
)

MOST_VALUES = 200
"""Values of an enumeration that are listed; of a longer one none is, and the check says what fits."""


def listed(view: SiteView, caller: Caller) -> ListedMessages:
    """Every message that the caller may publish, or see."""
    configs = {}
    for name, attributes in view.of_kind("message"):
        try:
            configs[name] = decode(attributes, MessageConfig)
        except msgspec.ValidationError:  # a later version wrote it
            continue
    mine = named(caller, "publish", configs) if caller.may("messages:publish") else set()
    sees = caller.may("state:read")
    return ListedMessages(
        messages=[_listed(name, one, name in mine) for name, one in configs.items() if sees or name in mine]
    )


def preview(view: SiteView, caller: Caller, name: str, asked: PreviewRequest) -> Preview:
    """Topic and payload with these fields, or what does not fit; publishes nothing.

    Raises:
        NexusError: NX6403 the caller may neither publish nor see it, NX6840 there is no such message.
    """
    if not caller.may("state:read"):
        require(caller, "publish", name)
    attributes = view.resources.get(f"message.{name}")
    if attributes is None:
        raise NexusError(f"There is no message '{name[:100]}'.", code="NX6840")
    message = decode(attributes, MessageConfig)
    values, problems = _typed(message, asked.texts)
    for field, value in asked.set.items():
        try:
            orjson.dumps([[[[value]]]])  # at least as deep as in the answer
        except TypeError as error:  # a whole number beyond 64 bits, or a nesting beyond all bounds
            problems.append(FieldProblem(field=field, message=f"{field[:100]}: it can't be JSON: {error}"))
        else:
            values[field] = value
    if problems:
        return Preview(set=values, problems=problems)
    try:
        topic, payload = render(message, values)
    except MessageError as error:
        problem = FieldProblem(field=_field_of(str(error), message), message=f"{error}", hint=error.hint)
        return Preview(set=values, problems=[problem])
    return Preview(topic=topic, payload=orjson.loads(payload), qos=message.qos, retain=message.retain, set=values)


def _typed(message: MessageConfig, texts: Mapping[str, str]) -> tuple[JsonObject, list[FieldProblem]]:
    """Fields as a person types them, with the types that the schema takes."""
    known, closed = fields_of(message), message.schema.get("additionalProperties") is False
    values: JsonObject = {}
    problems = []
    for name, text in texts.items():
        try:
            if name not in known and closed:
                raise MessageError(f"there is no field '{name[:100]}'", hint=did_you_mean(name, known))
            values[name] = typed(message, name, text)
        except MessageError as error:
            problems.append(FieldProblem(field=name, message=str(error), hint=error.hint))
    return values, problems


def _field_of(problem: str, message: MessageConfig) -> str:
    """The field that a refusal is about: it begins with its place, or has its name in quotes; "" of neither."""
    place = problem.partition(":")[0].partition(".")[0]
    names = fields_of(message)
    if place in names:
        return place
    return next((name for name in names if f"'{name}'" in problem), "")


def _listed(name: str, message: MessageConfig, may_publish: bool) -> ListedMessage:
    needed = {*PLACEHOLDER.findall(message.topic), *_required(message.schema)}
    return ListedMessage(
        name=name,
        topic=message.topic,
        qos=message.qos,
        retain=message.retain,
        description=message.description,
        payload=message.payload,
        fields=[_field(message, one, one in needed) for one in fields_of(message)],
        may_publish=may_publish,
    )


def _required(schema: Mapping[str, Any]) -> list[str]:
    found = schema.get("required")
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _field(message: MessageConfig, name: str, required: bool) -> MessageField:
    part = message_schema.part(message.schema, name)
    facts: Mapping[str, Any] = part if isinstance(part, Mapping) else {}
    kinds = message_schema.kinds_of(part, message.schema)
    return MessageField(
        name=name,
        kinds=["string"] if kinds == message_schema.KINDS else sorted(kinds),
        required=required,
        values=_values(facts),
        range=_range(facts),
        description=str(facts.get("description") or facts.get("title") or ""),
    )


def _values(facts: Mapping[str, Any]) -> list[Any] | Absent:
    found = facts.get("enum")
    return found if isinstance(found, list) and 0 < len(found) <= MOST_VALUES else msgspec.UNSET


def _range(facts: Mapping[str, Any]) -> tuple[float | None, float | None] | Absent:
    low, high = facts.get("minimum"), facts.get("maximum")
    return msgspec.UNSET if low is None and high is None else (low, high)
