"""Decides whether a run may start: its sequence can be decoded, its values fit, and no step is known to fail midway.

See docs/decisions/0046.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.expression import ExpressionError
from nexus_cli.model.parameters import ParameterError, arguments, bound
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.model.rehearsal import numbered, objection
from nexus_cli.plan.change import Attributes
from nexus_cli.plan.running import agreement, meaning
from nexus_cli.runtime.control.sequences.live_values import Condition
from nexus_cli.runtime.control.sequences.run import Run
from nexus_cli.runtime.logging import event
from nexus_cli.wire.control_sequences import SequenceRun
from nexus_cli.wire.sample import Value

_log = logging.getLogger("nexus.sequence")


def readable(configs: Mapping[str, Attributes]) -> dict[str, SequenceConfig]:
    """The sequences of these attributes; those that can't be read are logged and left out."""
    known: dict[str, SequenceConfig] = {}
    for name, attributes in configs.items():
        try:
            known[name] = msgspec.convert(dict(attributes), SequenceConfig)
        except msgspec.ValidationError as error:
            event(_log, "sequence can't be read", level=logging.WARNING, sequence=name, error=str(error))
    return known


def with_arguments(
    name: str, config: SequenceConfig, given: Mapping[str, Value]
) -> tuple[SequenceConfig, dict[str, Value]]:
    """The sequence with values in the places of its parameters, and the values. Raises NexusError NX6837."""
    try:
        values = arguments(config, given)
        return bound(config, values), values
    except ParameterError as error:
        raise NexusError(f"{name}: {error}.", code="NX6837", hint=error.hint) from None


def device_of(path: str) -> str:
    """The address of a tag's device."""
    return f"device.{path.rpartition('/')[0]}"


def meaning_of(devices: Mapping[str, Attributes], path: str) -> Attributes | None:
    """The attributes that define a tag, from those of devices by address."""
    return meaning(devices.get(device_of(path)), path.rpartition("/")[2])


def refuse_other(known: SequenceRun, name: str, declared: Attributes | None, given: Mapping[str, Value]) -> None:
    """Raises NexusError NX6839 when the run of this id is of another sequence, or was given other values."""
    values = given
    if declared is not None and known.name == name:
        _, values = with_arguments(name, msgspec.convert(declared, SequenceConfig), given)
    if known.name != name or values != known.set:
        what = f"of '{known.name}'" if known.name != name else "with other values"
        raise NexusError(
            f"The id {known.id} is that of a run {what}, which is {known.state}; nothing was begun.",
            code="NX6839",
        )


def refuse_not_agreed(run: Run, agreed: str, sequence: Attributes, messages: Mapping[str, Attributes]) -> None:
    """Raises NexusError NX6838 when a deployment came between what the caller was shown and this run."""
    known = {address.removeprefix("message."): attributes for address, attributes in messages.items()}
    if agreement(sequence, run.meanings, known) != agreed:
        raise NexusError(
            f"A deployment changed '{run.name}', or what it uses, since it was shown; nothing was begun.",
            code="NX6838",
        )


def refuse_what_would_stop(run: Run) -> None:
    """Raise NexusError when a step is known to fail midway: NX6837, for a condition NX6832."""
    for number, text in enumerate(run.config.requires, 1):
        _refuse_condition(run, number, text)
    for number, branch, step in numbered(run.config):
        if step.do == "until":
            _refuse_condition(run, number, step.subject)
        problem, hint = objection(step, run.tags, run.messages)
        if problem:
            place = " of the abort branch" if branch == "on_abort" else ""
            message = f"{run.name}: step {number}{place} can't be done ({step.text}): {problem}."
            raise NexusError(message, code="NX6837", hint=hint)


def _refuse_condition(run: Run, number: int, text: str) -> None:
    try:
        Condition(text, run.tags)
    except ExpressionError as error:
        message = f"{run.name}: the condition of step {number} can't be evaluated ({text}): {error}."
        raise NexusError(message, code="NX6832") from None
