"""What `plan`, `apply` and `show` say in the same way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from nexus_cli.cli.console import answer, colour_wanted, note, style
from nexus_cli.diagnostics import Diagnostic, Severity


def styler(stream: Any) -> Callable[[str, str], str]:
    """A function that colours a text for this stream, or leaves it."""
    enabled = colour_wanted(stream)
    return lambda text, name: style(text, name, enabled=enabled)


def check_consents(allow: Sequence[str]) -> None:
    """A consent to something that is no hazard is a usage error."""
    from nexus_cli.diagnostics.suggest import did_you_mean
    from nexus_cli.plan.hazards import NAMES, unknown_names

    unknown = unknown_names(allow)
    if unknown:
        raise click.UsageError(f"NX4007: '{unknown[0]}' is not a hazard; {did_you_mean(unknown[0], NAMES)}")


def complain(findings: Sequence[Diagnostic]) -> None:
    """Findings on stderr: stdout belongs to the plan."""
    colour = styler(sys.stderr)
    for each in findings:
        place = f" {each.place}" if each.place is not None else ""
        note(colour(f"{each.severity.value}[{each.code}]", each.severity.value) + f":{place} {each.message}")
        if each.hint and each.severity is not Severity.INFO:
            note(f"  hint: {each.hint}")


def show_plan(document: Mapping[str, Any]) -> None:
    """The plan as text on stdout."""
    from nexus_cli.cli.views.plan import plan_text

    answer(plan_text(document, style=styler(sys.stdout)))
