"""A dry run of a sequence: every step with what is known before the run. Nothing is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import TagConfig
from nexus_cli.model.expression import ExpressionError
from nexus_cli.model.parameters import ParameterError, arguments, bound, typed_argument
from nexus_cli.model.procedure_config import MessageConfig, SequenceConfig, StepConfig, render
from nexus_cli.model.rehearsal import numbered, objection
from nexus_cli.runtime.control.sequences.live_values import Condition, LiveValues, ValuePolicy, paths_in, policy_of
from nexus_cli.wire.control_sequences import SequenceBrief
from nexus_cli.wire.sample import Scalar, Value

Read = Callable[[Sequence[str]], Awaitable[LiveValues]]
"""Gives the newest values of some tags, as control reads them."""


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


async def rehearsed(name: str, brief: SequenceBrief, texts: Mapping[str, str], *, read: Read) -> Rehearsal:
    """Check every step of an applied sequence without executing any.

    Args:
        name: Of the sequence.
        brief: What control has recorded of it and of what it uses.
        texts: Values of its parameters, as a person types them.
        read: Reads the tags of its conditions and writes.

    Raises:
        NexusError: NX6837, the values don't fit; and what `read` raises.
    """
    config, values_set = _with_values(name, msgspec.convert(brief.sequence, SequenceConfig), texts)
    tags = {path: msgspec.convert(attributes, TagConfig) for path, attributes in brief.tags.items()}
    declared = {one: msgspec.convert(attributes, MessageConfig) for one, attributes in brief.messages.items()}
    values = await read(sorted(paths_in(config.conditions()) | config.written()))
    made = _rehearsal(name, config, tags, values, declared)
    made.values = values_set
    made.agreed = brief.agreed
    return made


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
