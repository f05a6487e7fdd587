"""The kinds of the audit trail are the same for agents, at the command line and in the database."""

from __future__ import annotations

from typing import get_args

import click

from nexus_cli.cli.commands.audit import command
from nexus_cli.database.audit import KINDS
from nexus_cli.project.mcp.plant import AuditKind


def test_the_kinds_are_the_same_everywhere() -> None:
    assert set(get_args(AuditKind)) - {""} == set(KINDS)
    (kind,) = [each for each in command.params if each.name == "kind"]
    assert isinstance(kind.type, click.Choice)
    assert set(kind.type.choices) == set(KINDS)
