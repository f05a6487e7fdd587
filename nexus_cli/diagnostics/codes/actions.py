"""Codes of sequences that a deployment runs (NX4150 to NX4159)."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX4150",
        slug="runs-sequence",
        summary="The plan runs a sequence: a device that is bound to it changes.",
        why="A sequence moves something in the plant. `on_change` of the device or its line names it; who applies says yes to it by name, and needs the right to run it.",
        good=console("nexus apply --allow runs-sequence=NAME"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4151",
        slug="on-change-unknown",
        summary="`on_change` names a sequence that is not declared.",
        why="The deployment that changes the device could not stop it first.",
        bad=yaml("on_change: {before: stop-filer}"),
        good=yaml("on_change: {before: stop-filler}"),
    ),
    Code(
        id="NX4152",
        slug="before-failed",
        exit=Exit.FINDINGS,
        hint="`nexus sequence list` shows the run and its steps; apply again when the machine is as it must be",
        summary="A sequence that has to run before the change did not end well; nothing changed.",
        why="The machine may not be in the state that the change needs. A run that was cut is not repeated: it is not known how far it came.",
        bad=text("a step of the sequence was refused, or control was killed while it ran"),
        good=console("nexus sequence list"),
    ),
    Code(
        id="NX4153",
        slug="on-change-needs-values",
        summary="`on_change` names a sequence with a parameter that has no default.",
        why="A deployment runs it without a person who could give the value.",
        bad=yaml("parameters: {speed: {type: number}}"),
        good=yaml("parameters: {speed: {type: number, default: 0}}"),
    ),
)
