"""`nexus sequence`: dry run, start in control, follow, abort."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from ulid import ULID

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import TagConfig
from nexus_cli.model.expression import ExpressionError
from nexus_cli.model.parameters import ParameterError, arguments, bound, typed_argument
from nexus_cli.model.procedure_config import MessageConfig, SequenceConfig, StepConfig, render
from nexus_cli.model.rehearsal import numbered, objection
from nexus_cli.project.live import OBSERVER_QOS
from nexus_cli.project.write import site_topics
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.control.sequences.live_values import Condition, LiveValues, ValuePolicy, paths_in, policy_of
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.control_sequences import RunAborted, RunLine, RunProgress, Sequences
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.sample import Scalar, Value

VALUES_S = 1.5
"""MQTT has no end of the retained messages; a broker sends them within moments of the subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a dry run.

    Attributes:
        number: As in the journal of a run.
        branch: `requires`, `steps` or `on_abort`.
        text: The step.
        now: What the tag holds, or whether the condition holds, right now; "" when that says nothing.
        problem: Why it would stop there; "" when no reason is known.
        hint: What to write instead.
    """

    number: int
    branch: str
    text: str
    now: str = ""
    problem: str = ""
    hint: str = ""


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """A dry run: every step with what is known before the run. Nothing was written.

    Attributes:
        values: Of its parameters.
        agreed: Digest of the sequence, tags and messages shown; control starts the run only while it is the same (`plan.running.agreement`).
        ready: True when the preconditions hold and no step is known to fail.
    """

    name: str
    lines: list[Line] = field(default_factory=list)
    values: dict[str, Scalar] = field(default_factory=dict)
    agreed: str = ""

    @property
    def ready(self) -> bool:
        """No step has a known problem."""
        return not any(line.problem for line in self.lines)

    def to_json(self) -> JsonObject:
        """As plain JSON."""
        lines = [
            {
                "step": one.number,
                "branch": one.branch,
                "text": one.text,
                "now": one.now,
                "problem": one.problem,
                **({"hint": one.hint} if one.hint else {}),
            }
            for one in self.lines
        ]
        return {"name": self.name, "ready": self.ready, "set": self.values, "steps": lines}


async def listing(*, settings: Settings | None = None) -> Sequences:
    """Declared sequences and the newest runs."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.sequences()


async def rehearse(name: str, texts: Mapping[str, str] | None = None, *, settings: Settings | None = None) -> Rehearsal:
    """Check every step of an applied sequence without executing any.

    Args:
        name: Of the sequence.
        texts: Values of its parameters, as a person types them.
        settings: Instead of those of this folder.

    Raises:
        NexusError: NX6830 unknown, NX6837 the values don't fit; NX6400, NX6010 control or broker is away.
    """
    settings = settings or load_settings()
    async with ControlClient(settings) as control:
        found = await control.sequence(name)
    config, values_set = _with_values(name, msgspec.convert(found.sequence, SequenceConfig), texts or {})
    tags = {path: msgspec.convert(attributes, TagConfig) for path, attributes in found.tags.items()}
    declared = {one: msgspec.convert(attributes, MessageConfig) for one, attributes in found.messages.items()}
    paths = paths_in(config.conditions()) | config.written()
    values = await _values(sorted(paths), settings, found.gateways)
    made = _rehearsal(name, config, tags, values, declared)
    made.values = values_set
    made.agreed = found.agreed
    return made


async def start(
    name: str,
    *,
    values: Mapping[str, Scalar] | None = None,
    reason: str = "",
    agreed: str = "",
    settings: Settings | None = None,
) -> str:
    """Begin a run in control; gives its id. From here on it does not depend on this process.

    Raises:
        NexusError: NX6838 something that `agreed` covers has changed; any refusal of control.
    """
    run = str(ULID())
    async with ControlClient(settings or load_settings()) as control:
        await control.start_sequence(name, run=run, reason=reason, values=values, agreed=agreed)
    return run


def _with_values(
    name: str, config: SequenceConfig, texts: Mapping[str, str]
) -> tuple[SequenceConfig, dict[str, Scalar]]:
    try:
        given = {
            key: typed_argument(key, config.parameters[key], text) if key in config.parameters else text
            for key, text in texts.items()
        }
        values = arguments(config, given)
        return bound(config, values), values
    except ParameterError as error:
        raise NexusError(f"{name}: {error}.", code="NX6837", hint=error.hint) from None


async def follow(run: str, *, on_line: Callable[[RunLine], None], settings: Settings | None = None) -> RunProgress:
    """Follow a run to its end; `on_line` gets every line of its journal once. Control may be away in between."""
    seen = 0
    async with ControlClient(settings or load_settings()) as control:
        while True:
            try:
                found = await control.sequence_run(run, after=seen, wait_s=10.0)
            except NexusError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(1.0)
                continue
            for line in found.journal:
                seen = max(seen, line.id)
                on_line(line)
            if found.state != "running" and not found.journal:
                return found


async def status(run: str, *, settings: Settings | None = None) -> RunProgress:
    """One run with its complete journal."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.sequence_run(run)


async def abort(run: str, *, settings: Settings | None = None) -> RunAborted:
    """End a run before its next step."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.abort_sequence(run)


async def _values(paths: Sequence[str], settings: Settings, gateways: Mapping[str, str]) -> LiveValues:
    """Retained values of these tags, read as control reads them."""
    topics = site_topics(settings)
    found = LiveValues(topics, clock=SystemClock())
    found.gateways = gateways
    found.want(paths)
    left = set(paths)
    if not left:
        return found
    client = BrokerClient(settings=settings, client_id=client_id(settings, "sequence"))
    try:
        async with asyncio.timeout(VALUES_S + 5), client.session() as messages:
            await client.subscribe([(topics.tag(path), OBSERVER_QOS) for path in paths])
            async with asyncio.timeout(VALUES_S):
                async for message in messages:
                    # Whether a value without a time of its own is fresh, control knows: it was listening before.
                    found.receive(message.topic, message.payload)
                    left.discard(topics.path(message.topic) or "")
                    if not left:
                        break
    except TimeoutError:
        pass
    return found


def _rehearsal(
    name: str,
    config: SequenceConfig,
    tags: dict[str, TagConfig],
    values: LiveValues,
    messages: dict[str, MessageConfig],
) -> Rehearsal:
    made, terms = Rehearsal(name=name), policy_of(config)
    for number, text in enumerate(config.requires, 1):
        now, problem = _condition(text, tags, values, terms)
        if now == "false":
            problem = "it does not hold"
        made.lines.append(Line(number=number, branch="requires", text=text, now=now, problem=problem))
    for number, branch, step in numbered(config):
        now, problem, hint = _step(step, tags, values, messages, terms)
        text = step.text
        made.lines.append(Line(number=number, branch=branch, text=text, now=now, problem=problem, hint=hint))
    return made


def _step(
    step: StepConfig,
    tags: dict[str, TagConfig],
    values: LiveValues,
    messages: dict[str, MessageConfig],
    terms: ValuePolicy,
) -> tuple[str, str, str]:
    if step.do == "until":
        return *_condition(step.subject, tags, values, terms, later=True), ""
    problem, hint = objection(step, tags, messages)
    if problem:
        return "", problem, hint
    if step.do == "publish":
        topic, payload = render(messages[step.subject], step.fields)
        return f"{topic} {payload.decode()}", "", ""
    if step.do != "write":
        return "", "", ""
    tag, found = tags[step.subject], values.of([step.subject], ValuePolicy(float("inf"), uncertain=True))
    unit = f" {tag.publish_unit}" if tag.publish_unit else ""
    return (f"holds {_shown(found[step.subject])}{unit}" if found else "no good value now"), "", ""


def _condition(
    text: str, tags: dict[str, TagConfig], values: LiveValues, terms: ValuePolicy, *, later: bool = False
) -> tuple[str, str]:
    try:
        condition = Condition(text, tags)
    except ExpressionError as error:
        return "", str(error)
    held = condition.holds(values, terms)
    if held is None:
        return "", "" if later else condition.objection(values, terms)
    return ("true" if held else "false"), ""


def _shown(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
