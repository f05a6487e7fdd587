"""Parameters of sequences: declared as they can be, used where they mean something, and used at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.parameters import REFERENCE, ParameterError, fit, references
from nexus_cli.model.procedure_config import parameter_config
from nexus_cli.model.procedures import Parameter, Sequence

PLACES = "parameters are allowed in value, expect, set, requires and until"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
_NUMBERLESS = ("string", "boolean", "bool")


def parameter_declared(view: View) -> Iterator[Diagnostic]:
    """NX2911."""
    for name, sequence in view.model.site.sequences.items():
        for key, parameter in sequence.parameters.items():
            yield from _declared(key, parameter, ("sequences", name, "parameters", key))


def _declared(name: str, parameter: Parameter, where: ModelPath) -> Iterator[Diagnostic]:
    if not _NAME.match(name):
        hint = "letters, digits, '_', '.' and '-', at most 64"
        yield finding("NX2911", f"'{name[:60]}' can't be a parameter", where=where, on_key=True, hint=hint)
        return
    low, high = parameter.range or (None, None)
    if parameter.range is not None and parameter.type in _NUMBERLESS:
        message = f"a range is for numbers, and '{name}' is of type {parameter.type}"
        yield finding("NX2911", message, where=(*where, "range"), hint="type: number, or 'values: […]'")
        return
    if low is not None and high is not None and low > high:
        message = f"the range of '{name}' ends before it begins"
        yield finding("NX2911", message, where=(*where, "range"), hint=f"write [{high:g}, {low:g}]")
        return
    config = parameter_config(parameter)
    written: list[tuple[ModelPath, object]] = [((*where, "default"), parameter.default)]
    written += [((*where, "values", position), value) for position, value in enumerate(parameter.values)]
    for place, value in written:
        try:
            if value is not None:
                fit(name, config, value)
        except ParameterError as error:
            yield finding("NX2911", f"{'default: ' * (place[-1] == 'default')}{error}", where=place, hint=error.hint)


def parameter_known(view: View) -> Iterator[Diagnostic]:
    """NX2912."""
    for name, sequence in view.model.site.sequences.items():
        for text, where, takes in _texts(name, sequence):
            for match in REFERENCE.finditer(text):
                if not takes:
                    yield finding("NX2912", f"'{match[0]}' has no meaning here", where=where, hint=PLACES)
                elif match[1] not in sequence.parameters:
                    hint = did_you_mean(match[1], sequence.parameters) or "declare it under 'parameters:'"
                    message = f"the sequence '{name}' has no parameter '{match[1][:100]}'"
                    yield finding("NX2912", message, where=where, hint=hint)


def _texts(name: str, sequence: Sequence) -> Iterator[tuple[str, ModelPath, bool]]:
    """Every text of a sequence, its place, and whether it may hold a parameter."""
    base: ModelPath = ("sequences", name)
    for position, text in enumerate(sequence.requires):
        yield text, (*base, "requires", position), True
    for branch, steps in (("steps", sequence.steps), ("on_abort", sequence.on_abort)):
        for position, step in enumerate(steps):
            where = (*base, branch, position)
            for key, value in (("value", step.value), ("expect", step.expect), ("set", step.set_)):
                for reference in references(value):
                    yield f"${{param:{reference}}}", (*where, key), True
            yield step.until or "", (*where, "until"), True
            yield step.write or "", (*where, "write"), False
            yield step.publish or "", (*where, "publish"), False


def parameter_unused(view: View) -> Iterator[Diagnostic]:
    """NX2913."""
    for name, sequence in view.model.site.sequences.items():
        used = {key for text, _, takes in _texts(name, sequence) if takes for key in references(text)}
        for key in sequence.parameters:
            if key not in used:
                where = ("sequences", name, "parameters", key)
                hint = f'write "${{param:{key}}}" where its value belongs'
                yield finding("NX2913", f"nothing uses the parameter '{key}'", where=where, on_key=True, hint=hint)


CHECKS = (parameter_declared, parameter_known, parameter_unused)
