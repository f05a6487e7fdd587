"""Checks of a sequence before it runs: the numbers of its steps, and why one of them can't be done.

The same checks serve the dry run and control, which starts no run that is known to stop in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nexus_cli.model.config import TagConfig
from nexus_cli.model.inversion import InversionError, raw_of
from nexus_cli.model.procedure_config import MessageConfig, MessageError, SequenceConfig, StepConfig, render


class Numbered(NamedTuple):
    """A step with its number, which is the same in every dry run, journal and command id; preconditions come first."""

    number: int
    branch: str
    step: StepConfig


class Objection(NamedTuple):
    """Why a step can't be done."""

    problem: str
    hint: str = ""


NONE = Objection("")


def numbered(config: SequenceConfig) -> Iterator[Numbered]:
    """The steps and then those of the abort branch, with their numbers."""
    number = len(config.requires)
    for branch, steps in (("steps", config.steps), ("on_abort", config.on_abort)):
        for step in steps:
            number += 1
            yield Numbered(number, branch, step)


def objection(step: StepConfig, tags: Mapping[str, TagConfig], messages: Mapping[str, MessageConfig]) -> Objection:
    """Why a write or a publish is known to fail; `NONE` when no reason is known.

    Args:
        step: With values in the places of its parameters.
        tags: What is written, by path, as recorded.
        messages: What is published, by name, as recorded.
    """
    if step.do == "publish":
        message = messages.get(step.subject)
        if message is None:
            return Objection("there is no such message")
        try:
            render(message, step.fields)
        except MessageError as error:
            return Objection(str(error), error.hint)
    if step.do != "write":
        return NONE
    tag = tags.get(step.subject)
    if tag is None or not tag.writable:
        return Objection("there is no such tag" if tag is None else "the tag is not writable")
    if not tag.enabled:
        return Objection("the tag is out of service")
    try:
        raw_of(tag, step.value)
        if step.expects:
            raw_of(tag, step.expect, bounded=False)
    except InversionError as error:
        return Objection(str(error), error.hint)
    return NONE
