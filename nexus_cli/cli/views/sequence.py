"""Sequences as text: the dry run, the journal, the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING

import msgspec

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.cli.views.tail import value_text
from nexus_cli.diagnostics.printable import one_line, plain
from nexus_cli.diagnostics.wording import counted
from nexus_cli.wire.control_sequences import Parameter, RunLine, RunProgress, SequenceRun, Sequences
from nexus_cli.wire.sample import Value

if TYPE_CHECKING:
    from nexus_cli.project.rehearsal import Rehearsal

Style = Callable[[str, str], str]
COLOURS = {"done": "good", "running": "info", "begun": "dim"}
TITLES = {"requires": "before the first step", "steps": "steps", "on_abort": "when it is aborted or fails"}


def rehearsal_text(rehearsal: Rehearsal, *, style: Style) -> str:
    """Every step with what is known before the run."""
    lines = [style(rehearsal.name, "bold") + set_text(plain(rehearsal.values))]
    branch = ""
    for one in rehearsal.lines:
        if one.branch != branch:
            branch = one.branch
            lines.append(f"  {style(TITLES[branch], 'dim')}")
        now = f"  {style(one_line(one.now), 'dim')}" if one.now else ""
        lines.append(f"  {one.number:>3}  {one_line(one.text)}{now}")
        if one.problem:
            lines.append(f"       {style(one_line(one.problem), 'error')}")
        if one.hint:
            lines.append(f"       {style('hint: ' + one_line(one.hint), 'dim')}")
    return "\n".join(lines)


def known(value: Value | msgspec.UnsetType) -> Value:
    """The value of a fact; None where it is absent."""
    return None if value is msgspec.UNSET else value


def set_text(values: Mapping[str, Value]) -> str:
    """The parameters of a run: `  amount=35 mode=auto`."""
    return "".join(f"  {name}={value_text(value)}" for name, value in values.items())


def line_text(line: RunLine, *, style: Style, zone: tzinfo | None = None) -> str:
    """One line of the journal."""
    line = plain(line)
    state, detail = line.state, line.detail
    facts = []
    if (read_back := known(detail.read_back)) is not None:
        facts.append(f"{value_text(known(detail.old))} → {value_text(read_back)}")
    if detail.detail:
        code = f"[{detail.code}] " if detail.code else ""
        facts.append(f"{code}{detail.detail}")
    at = clock_text(line.at, zone=zone, date=False, digits=3)
    tail = f"  {'; '.join(facts)}" if facts else ""
    branch = "" if line.branch == "steps" else f" ({line.branch})"
    return f"{at} {line.step:>3}  {style(f'{state:<7}', COLOURS.get(state, 'error'))} {line.text}{branch}{tail}"


def end_text(found: SequenceRun, *, style: Style) -> str:
    """How a run ended."""
    found = plain(found)
    state, detail = found.state, found.detail
    lines = [f"{style(state, COLOURS.get(state, 'error'))}  {found.name}  run {found.id}" + set_text(found.set)]
    if detail.detail:
        lines.append(f"  [{detail.code or ''}] {detail.detail}")
    if detail.abort_branch:
        lines.append(f"  abort branch: {detail.abort_branch}")
    return "\n".join(lines)


def status_text(found: RunProgress, *, style: Style, zone: tzinfo | None = None) -> str:
    """One run with its journal."""
    return "\n".join(
        [end_text(found, style=style), *(line_text(line, style=style, zone=zone) for line in found.journal)]
    )


def parameter_text(name: str, parameter: Parameter) -> str:
    """One parameter: `--set amount=…  float64, 0 to 90, default 40`."""
    facts = [parameter.type or "string"]
    if parameter.range:
        low, high = parameter.range
        facts.append(f"{'…' if low is None else value_text(low)} to {'…' if high is None else value_text(high)}")
    if parameter.values:
        facts.append("one of " + ", ".join(value_text(one) for one in parameter.values))
    default = known(parameter.default)
    facts.append("required" if default is None else f"default {value_text(default)}")
    text = f"  {parameter.description}" if parameter.description else ""
    return f"--set {name}=…  {', '.join(facts)}{text}"


def listing_text(found: Sequences, *, style: Style, zone: tzinfo | None = None) -> str:
    """Declared sequences, then the newest runs."""
    lines = []
    found = plain(found)
    for one in found.sequences:
        text = f"  {one.description}" if one.description else ""
        lines.append(
            f"{style(one.name, 'bold')}  {counted(one.steps, 'step')}, writes {counted(len(one.writes), 'tag')}{text}"
        )
        lines += [f"  {parameter_text(key, each)}" for key, each in one.parameters.items()]
    if not lines:
        lines.append("no sequences are applied")
    if found.runs:
        lines.append("")
    for run in found.runs:
        at = clock_text(run.started, zone=zone)
        state = style(f"{run.state:<11}", COLOURS.get(run.state, "error"))
        lines.append(f"{at}  {state} {run.name}  {run.id}  {run.who}" + set_text(run.set))
    return "\n".join(lines)
