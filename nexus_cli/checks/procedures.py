"""Sequences and messages: steps that are one thing each, tags that take the values, conditions, topics and schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from nexus_cli.checks.alerts import is_silent
from nexus_cli.checks.view import TagView, View, why_not_writable
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import DataType
from nexus_cli.model.expression import compile_expression
from nexus_cli.model.expression_text import ExpressionSyntaxError, names_in
from nexus_cli.model.inversion import InversionError, raw_of
from nexus_cli.model.message_schema import kinds_of, part
from nexus_cli.model.parameters import (
    REFERENCE,
    ParameterError,
    condition,
    filled,
    references,
    rehearsals,
)
from nexus_cli.model.procedure_config import (
    DEFAULT_TIMEOUT_MS,
    LONGEST_WRITE_MS,
    PLACEHOLDER,
    MessageError,
    ParameterConfig,
    message_config,
    parameter_config,
    render,
    schema_fault,
    schema_problem,
)
from nexus_cli.model.procedures import WORDS, Sequence, Step
from nexus_cli.model.resolve import device_config
from nexus_cli.model.site import Tag
from nexus_cli.wire.sample import Value
from nexus_cli.wire.topic import PLATFORM

PLAIN_LEVEL = re.compile(r"\$?[A-Za-z0-9._@-]+\Z")
"""Levels that `access` can write into a broker's rules; a leading `$` has a check of its own."""


class Placed(NamedTuple):
    """A step, its place, and the parameters of its sequence."""

    step: Step
    where: ModelPath
    parameters: Mapping[str, ParameterConfig]


def _steps(view: View) -> Iterator[Placed]:
    for name, sequence in view.model.site.sequences.items():
        parameters = _parameters(sequence)
        for branch, steps in (("steps", sequence.steps), ("on_abort", sequence.on_abort)):
            for position, step in enumerate(steps):
                yield Placed(step, ("sequences", name, branch, position), parameters)


def _parameters(sequence: Sequence) -> dict[str, ParameterConfig]:
    return {name: parameter_config(one) for name, one in sequence.parameters.items()}


def sequence_step(view: View) -> Iterator[Diagnostic]:
    """NX2903."""
    for step, where, _ in _steps(view):
        words = step.words()
        if len(words) != 1:
            message = f"the step says {' and '.join(words)}" if words else "the step does nothing"
            hint = "make a step of each" if words else f"write one of {', '.join(WORDS)}"
            yield finding("NX2903", message, where=where, hint=hint)
            continue
        word = words[0]
        if word == "write" and step.value is None:
            yield finding("NX2903", "the write has no value", where=where, hint="add 'value: …'")
        for key, goes_with, given in (
            ("value", ("write",), step.value is not None),
            ("expect", ("write",), step.expect is not None),
            ("set", ("publish",), bool(step.set_)),
            ("timeout", ("write", "until"), step.timeout is not None),
        ):
            if given and word not in goes_with:
                message = f"'{key}' goes with {' or '.join(goes_with)}, not with {word}"
                yield finding("NX2903", message, where=(*where, key), on_key=True, hint="remove it")
        if word == "write" and step.timeout is not None and not 0 < step.timeout <= LONGEST_WRITE_MS:
            message = "a write is answered within 60 s or not at all"
            yield finding("NX2903", message, where=(*where, "timeout"), hint="write 10s")


def sequence_timeout(view: View) -> Iterator[Diagnostic]:
    """NX2914 and NX2915."""
    for name, sequence in view.model.site.sequences.items():
        limit_ms = DEFAULT_TIMEOUT_MS if sequence.timeout is None else sequence.timeout
        own = "the timeout" if sequence.timeout is not None else "the default timeout"
        rest_ms = 0
        for position, step in enumerate(sequence.steps):
            where: ModelPath = ("sequences", name, "steps", position)
            rest_ms += step.wait or 0
            if rest_ms >= limit_ms and step.wait:
                message = f"the waits up to here take {_long(rest_ms)}, and {own} of '{name}' is {_long(limit_ms)}"
                hint = f"timeout: longer than {_long(rest_ms)} at the sequence"
                yield finding("NX2914", message, where=(*where, "wait"), hint=hint)
                break
            if step.timeout is not None and step.timeout > limit_ms:
                message = f"this step may take {_long(step.timeout)}, and {own} of '{name}' is {_long(limit_ms)}"
                yield finding("NX2915", message, where=(*where, "timeout"), hint="a longer timeout at the sequence")


def _long(milliseconds: int) -> str:
    """A duration as the site language writes it."""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def sequence_empty(view: View) -> Iterator[Diagnostic]:
    """NX2910."""
    for name, sequence in view.model.site.sequences.items():
        if not sequence.steps:
            yield finding("NX2910", "the sequence has no steps", where=("sequences", name), on_key=True)


def sequence_tag(view: View) -> Iterator[Diagnostic]:
    """NX2904 and NX2905: a value is looked at where the tag can be written."""
    configs: dict[str, dict[str, TagConfig]] = {}
    for step, where, parameters in _steps(view):
        if step.write is None or REFERENCE.search(step.write):
            continue
        tag = view.by_path.get(step.write)
        if tag is None:
            if step.write not in view.model.declared:
                hint = did_you_mean(
                    step.write, [path for path in view.writable() if isinstance(view.by_path[path].tag, Tag)]
                )
                yield finding("NX2904", f"there is no tag '{step.write}'", where=(*where, "write"), hint=hint)
            continue
        if not _writable(tag):
            message = f"'{step.write}' is not writable"
            hint = why_not_writable(tag) or "set 'writable: true' on the tag"
            yield finding("NX2904", message, where=(*where, "write"), hint=hint)
            continue
        config = configs.get(tag.device.path)
        if config is None:
            config = configs[tag.device.path] = dict(device_config(tag.device).tags)
        # A list of scalars is a value, which the type of a list (invariant) can't say.
        for key, value, bounded in (
            ("value", cast(Value, step.value), True),
            ("expect", cast(Value, step.expect), False),
        ):
            if value is None:
                continue
            for given in rehearsals(parameters, references(value)):
                try:
                    raw_of(config[tag.name], filled(value, given), bounded=bounded)
                except InversionError as error:
                    yield finding("NX2905", _with(given) + str(error), where=(*where, key), hint=error.hint)
                    break


def _with(given: Mapping[str, object]) -> str:
    return f"with {', '.join(f'{name} = {value}' for name, value in given.items())}: " if given else ""


def _writable(tag: TagView) -> bool:
    return isinstance(tag.tag, Tag) and bool(tag.tag.writable)


def sequence_condition(view: View) -> Iterator[Diagnostic]:
    """NX2906, NX2916."""
    for name, sequence in view.model.site.sequences.items():
        for position, text in enumerate(sequence.requires):
            yield from _with_values(view, text, ("sequences", name, "requires", position), _parameters(sequence))
    for step, where, parameters in _steps(view):
        if step.until is not None:
            yield from _with_values(view, step.until, (*where, "until"), parameters)


def _with_values(
    view: View, text: str, where: ModelPath, parameters: Mapping[str, ParameterConfig]
) -> Iterator[Diagnostic]:
    for given in rehearsals(parameters, references(text)):
        try:
            ready = condition(text, given)
        except ParameterError as error:
            yield finding("NX2906", str(error), where=where, hint=error.hint)
            return
        if REFERENCE.search(ready):
            return  # a parameter that is not declared: NX2912
        found = list(_condition(view, ready, where))
        yield from found
        if found:
            return


def _condition(view: View, text: str, where: ModelPath) -> Iterator[Diagnostic]:
    try:
        names = names_in(text)
    except ExpressionSyntaxError as error:
        yield finding("NX2906", f"{error} (column {error.column})", where=where, hint=error.hint)
        return
    types = {name: view.by_path[name].published for name in names if name in view.by_path}
    if any(name in view.model.declared and name not in types for name in names):
        return  # that tag has an error of its own
    labels = {name: view.by_path[name].tag.values or {} for name in types if view.by_path[name].tag.values}
    for name in names:
        if name not in types:
            hint = did_you_mean(name, list(view.by_path)[:2000]) if "/" in name else _full_path(view, name)
            yield finding("NX2906", f"there is no tag '{name}'", where=where, hint=hint)
    if len(types) < len(names):
        return
    for name in names:
        if is_silent(view.by_path[name]):
            message = f"'{name}' is not published, and a sequence waits for what is published"
            yield finding("NX2916", message, where=where, hint="live: {publish: true} at the tag")
            return
    for found in compile_expression(text, types=types, labels=labels, result=DataType("bool")).findings:
        if found.code == "NX2407":
            yield finding("NX2906", "the condition gives no true or false", where=where, hint="compare it: {…} > 0")
        else:
            yield finding("NX2906", found.message, where=where, hint=found.hint)


def _full_path(view: View, name: str) -> str:
    path = next((path for path in view.by_path if path.endswith("/" + name)), "area/line/device/tag")
    return f"write tags with their full path in braces: {{{path}}}"


def sequence_message(view: View) -> Iterator[Diagnostic]:
    """NX2907."""
    messages = view.model.site.messages
    for step, where, parameters in _steps(view):
        if step.publish is None or REFERENCE.search(step.publish):
            continue
        message = messages.get(step.publish)
        if message is None:
            if step.publish in view.model.faulty.get("messages", ()):
                continue  # its own errors say what is wrong
            hint = did_you_mean(step.publish, messages) or "declare it under 'messages:'"
            yield finding("NX2907", f"there is no message '{step.publish}'", where=(*where, "publish"), hint=hint)
        elif not schema_fault(message.schema_):
            for given in rehearsals(parameters, references(step.set_)):
                try:
                    render(message_config(message), filled(step.set_, given))
                except MessageError as error:
                    place = (*where, "set") if step.set_ else (*where, "publish")
                    yield finding("NX2907", _with(given) + str(error), where=place, hint=error.hint)
                    break


def message_topic(view: View) -> Iterator[Diagnostic]:
    """NX2908."""
    site = view.model.site
    live = f"{site.enterprise}/{site.site}"
    for name, message in site.messages.items():
        where = ("messages", name, "topic")
        levels = message.topic.split("/")
        plain = [PLACEHOLDER.sub("x", level) for level in levels]
        if any(not level or any(sign in level for sign in "+#{}\0") for level in plain) or len(message.topic) > 500:
            message_text = f"'{message.topic[:100]}' is not a topic"
            yield finding("NX2908", message_text, where=where, hint="levels without '+' and '#', {name} for a field")
        elif wrong := next((level for level in plain if not PLAIN_LEVEL.match(level)), ""):
            hint = "letters, digits, '.', '_', '-' and '@': the brokers' rules take no others"
            yield finding("NX2908", f"'{wrong[:100]}' can't be a level of a topic here", where=where, hint=hint)
        elif levels[0].startswith("$") or plain[0] != levels[0] or levels[0] == PLATFORM:
            hint = "begin with a fixed level of your own"
            yield finding(
                "NX2908", f"'{message.topic[:100]}' belongs to the broker or the platform", where=where, hint=hint
            )
        elif (path := _covered(view, message.topic, live)) is not None:
            hint = "tags are written with `write`; publish on a topic of its own"
            yield finding(
                "NX2908", f"'{message.topic[:100]}' can be the topic of the tag {path}", where=where, hint=hint
            )


def _covered(view: View, topic: str, live: str) -> str | None:
    """A tag whose topic the message may be published on."""
    levels = topic.split("/")
    mine = live.split("/")
    if len(levels) != 6 or any(
        not PLACEHOLDER.search(have) and have != want for have, want in zip(levels[:2], mine, strict=True)
    ):
        return None
    rest = levels[2:]
    for path in view.by_path:
        if all(PLACEHOLDER.search(have) or have == want for have, want in zip(rest, path.split("/"), strict=False)):
            return path
    return None


def message_schema(view: View) -> Iterator[Diagnostic]:
    """NX2909."""
    for name, message in view.model.site.messages.items():
        where = ("messages", name, "schema") if message.schema_ else ("messages", name)
        fault = schema_fault(message.schema_)
        if fault:
            yield finding("NX2909", f"the schema can't be used: {fault}", where=where)
            continue
        for field in dict.fromkeys(PLACEHOLDER.findall(message.topic)):
            kinds = kinds_of(part(message.schema_, field), message.schema_)
            if not kinds & {"string", "integer"}:
                text = f"the field '{field}' is part of the topic, and is never a text or a whole number"
                yield finding("NX2909", text, where=where)
        loose = {**message.schema_}
        loose.pop("required", None)  # what is set completes it
        problem = schema_problem(loose, message.payload)
        if problem:
            yield finding("NX2909", f"the fixed payload does not fit: {problem}", where=("messages", name, "payload"))


CHECKS = (
    sequence_step,
    sequence_empty,
    sequence_timeout,
    sequence_tag,
    sequence_condition,
    sequence_message,
    message_topic,
    message_schema,
)
