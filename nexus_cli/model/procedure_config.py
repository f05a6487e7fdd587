"""Sequences and messages in normal form: what the snapshot holds, control runs and `nexus publish` renders."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from nexus_cli.json_value import JsonObject
from nexus_cli.model import message_schema
from nexus_cli.model.procedures import Message, Parameter, Sequence, Step

PLACEHOLDER = re.compile(r"\{([a-zA-Z][a-zA-Z0-9_-]{0,63})\}")
_LEVEL = re.compile(r"[^/+#\x00-\x1f]{1,200}\Z")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
LEVELS = "no '/', '+', '#', and no character that can't be seen"
LONGEST_TOPIC_BYTES = 65_535
"""MQTT 5.0 §1.5.4."""
MOST_DIGITS = 21
"""Of a whole number of 64 bits, with its sign."""
DEFAULT_TIMEOUT_MS = 3_600_000
DEFAULT_UNTIL_MS = 60_000
DEFAULT_WRITE_MS = 10_000
LONGEST_WRITE_MS = 60_000


class StepConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step.

    Attributes:
        do: `write`, `wait`, `until` or `publish`.
        subject: Path of the tag, condition, or name of the message; "" of a wait.
        value, expect: Of a write; `expect` only where `expects`.
        wait_ms: Of a wait.
        timeout_ms: Of a write (its answer) and an until.
        fields: Of a publish.
    """

    do: str
    subject: str = ""
    value: Any = None
    expect: Any = None
    expects: bool = False
    wait_ms: int = 0
    timeout_ms: int = 0
    fields: JsonObject = {}
    description: str = ""

    @property
    def text(self) -> str:
        """The step in one line, for people and the journal."""
        if self.do == "write":
            expect = f" if it holds {self.expect!r}" if self.expects else ""
            return f"write {self.subject} = {self.value!r}{expect}"
        if self.do == "wait":
            return f"wait {self.wait_ms / 1000:g} s"
        if self.do == "until":
            return f"until {self.subject} (at most {self.timeout_ms / 1000:g} s)"
        return f"publish {self.subject}" + (f" {orjson.dumps(self.fields).decode()}" if self.fields else "")


class ParameterConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One parameter of a sequence: `type` is `bool`, `string`, an integer or a float; no `default` means required."""

    type: str = "string"
    default: Any = None
    range: tuple[float | None, float | None] | None = None
    values: list[Any] = []
    description: str = ""


class SequenceConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sequence.

    Attributes:
        timeout_ms: Bounds all of `steps` together.
        max_age_ms: Of a value that conditions go by; None is the default of its kind.
        uncertain: Conditions go by UNCERTAIN values too.
        on_change: `refuse`, `wait` or `abort`: what a deployment does that changes what a run uses.
    """

    requires: list[str] = []
    steps: list[StepConfig] = []
    on_abort: list[StepConfig] = []
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    description: str = ""
    parameters: dict[str, ParameterConfig] = {}
    max_age_ms: int | None = None
    uncertain: bool = False
    on_change: str = "refuse"

    def written(self) -> set[str]:
        """Paths of the tags that it writes, the abort branch included."""
        return {step.subject for step in (*self.steps, *self.on_abort) if step.do == "write"}

    def published(self) -> set[str]:
        """Names of the messages that it publishes, the abort branch included."""
        return {step.subject for step in (*self.steps, *self.on_abort) if step.do == "publish"}

    def conditions(self) -> list[str]:
        """Every expression in it."""
        steps = (*self.steps, *self.on_abort)
        return [*self.requires, *(step.subject for step in steps if step.do == "until")]


class MessageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message."""

    topic: str
    schema: JsonObject = {}
    payload: JsonObject = {}
    qos: int = 1
    retain: bool = False
    description: str = ""


class MessageError(ValueError):
    """The values don't make the message.

    Attributes:
        hint: What to set instead.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def step_config(step: Step) -> StepConfig:
    """One written step in normal form; of a step with several words the first."""
    words = step.words()
    do = words[0] if words else "wait"
    default_ms = {"until": DEFAULT_UNTIL_MS, "write": DEFAULT_WRITE_MS}.get(do, 0)
    return StepConfig(
        do=do,
        subject={"write": step.write, "until": step.until, "publish": step.publish}.get(do) or "",
        value=step.value,
        expect=step.expect,
        expects=step.expect is not None,
        wait_ms=step.wait or 0,
        timeout_ms=step.timeout if step.timeout is not None else default_ms,
        fields=dict(step.set_),
        description=step.description or "",
    )


_WORDS = {"integer": "int64", "number": "float64", "boolean": "bool"}
"""Types as templates name them."""


def parameter_config(parameter: Parameter) -> ParameterConfig:
    """A written parameter in normal form."""
    return ParameterConfig(
        type=_WORDS.get(parameter.type, parameter.type),
        default=parameter.default,
        range=parameter.range,
        values=list(parameter.values),
        description=parameter.description or "",
    )


def sequence_config(sequence: Sequence) -> SequenceConfig:
    """A written sequence in normal form."""
    return SequenceConfig(
        requires=list(sequence.requires),
        steps=[step_config(step) for step in sequence.steps],
        on_abort=[step_config(step) for step in sequence.on_abort],
        timeout_ms=sequence.timeout if sequence.timeout is not None else DEFAULT_TIMEOUT_MS,
        description=sequence.description or "",
        parameters={name: parameter_config(one) for name, one in sequence.parameters.items()},
        max_age_ms=sequence.max_age,
        uncertain=sequence.uncertain,
        on_change=sequence.on_change,
    )


def message_config(message: Message) -> MessageConfig:
    """A written message in normal form."""
    return MessageConfig(
        topic=message.topic,
        schema=dict(message.schema_),
        payload=dict(message.payload),
        qos=message.qos,
        retain=message.retain,
        description=message.description or "",
    )


def filter_of(topic: str) -> str:
    """The MQTT filter that covers every topic a message can have."""
    return "/".join("+" if PLACEHOLDER.search(level) else level for level in topic.split("/"))


def fields_of(message: MessageConfig) -> list[str]:
    """Fields that can be set: the schema's properties, then those of the topic only; never fixed ones."""
    names = [*message_schema.fields(message.schema), *PLACEHOLDER.findall(message.topic)]
    return [name for name in dict.fromkeys(names) if name not in message.payload]


def typed(message: MessageConfig, name: str, text: str) -> Any:
    """A field as a person types it, by the types that the schema takes for it.

    A text stays as it is; where the schema takes other types too, JSON of one of them is decoded.

    Raises:
        MessageError: It is of none of them.
    """
    schema = message_schema.part(message.schema, name)
    kinds = message_schema.kinds_of(schema, message.schema)
    if kinds in (message_schema.KINDS, {"string"}):
        return text
    try:
        found = from_json(text)
        if message_schema.kind_of_value(found) in kinds:
            return found
    except MessageError:
        if "string" not in kinds:
            raise
    except ValueError:
        pass
    if "string" in kinds:
        return text
    wanted = " or ".join(sorted(kinds - {"integer"} if "number" in kinds else kinds)) or "nothing"
    raise MessageError(f"'{name}' is to be {wanted}, and '{text}' is none", hint=_as_json(kinds))


def _as_json(kinds: frozenset[str]) -> str:
    return "write it as JSON: " + (
        "[1, 2]" if "array" in kinds else '{"a": 1}' if "object" in kinds else "17, 2.5, true"
    )


def from_json(text: str) -> Any:
    """JSON with numbers as they are written: whole ones of 64 bits exactly, and none beyond.

    Raises:
        ValueError: It is no JSON, or holds a number that no payload can.
    """
    try:
        return json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS or not -(2**63) <= int(text) < 2**64:
        raise MessageError(f"{text[:40]} does not fit 64 bits", hint="a text, or a number of 64 bits")
    return int(text)


def _float(text: str) -> float:
    if not math.isfinite(found := float(text)):
        raise MessageError(f"{text[:40]} is too large", hint="at most 1.8e308")
    return found


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def render(message: MessageConfig, values: Mapping[str, Any]) -> tuple[str, bytes]:
    """Topic and payload of a message with these values.

    Raises:
        MessageError: A value is missing, fixed, of the wrong type, or can't be part of the topic.
    """
    needed = PLACEHOLDER.findall(message.topic)
    fixed = [name for name in values if name in message.payload]
    if fixed:
        raise MessageError(f"'{fixed[0]}' is fixed at the message", hint="fields: " + _named(message))
    everything = {**message.payload, **values}
    missing = [name for name in needed if name not in everything]
    if missing:
        raise MessageError(f"the topic needs '{missing[0]}'", hint=f"set {', '.join(missing)}")

    def level(match: re.Match[str]) -> str:
        value = everything[match[1]]
        text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        if not is_level(text):
            raise MessageError(f"'{match[1]}' can't be used in a topic: {value!r}", hint=LEVELS)
        return text

    topic = PLACEHOLDER.sub(level, message.topic)
    if len(topic.encode("utf-8", "surrogatepass")) > LONGEST_TOPIC_BYTES:
        raise MessageError("the topic is too long")
    declared = message_schema.fields(message.schema)
    payload = {name: value for name, value in everything.items() if name in declared or name not in needed}
    problem = schema_problem(message.schema, payload)
    if problem:
        raise MessageError(problem, hint=f"fields: {_named(message)}")
    try:
        return topic, orjson.dumps(payload)
    except (TypeError, ValueError) as error:
        raise MessageError(f"the payload can't be JSON: {error}") from None


def _named(message: MessageConfig) -> str:
    return ", ".join(fields_of(message)) or "none"


def is_level(text: str) -> bool:
    """Whether a value can be a level of a topic: no separator or wildcard, no invisible character.

    Control, format (bidirectional, zero-width) and other invisible characters would show another topic than the real one.
    Source: Unicode categories Cc, Cf, Cs, Co, Cn, Zl, Zp; MQTT 5.0 §1.5.4 and §4.7.
    """
    return bool(_LEVEL.match(text)) and not any(
        unicodedata.category(sign) in _UNSEEN or (sign.isspace() and sign != " ") for sign in text
    )


def schema_problem(schema: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    """Why a payload does not fit; see `message_schema.problem`."""
    return message_schema.problem(schema, payload)


def schema_fault(schema: Mapping[str, Any]) -> str:
    """Why no payload can be made by a schema; see `message_schema.fault`."""
    return message_schema.fault(schema)
