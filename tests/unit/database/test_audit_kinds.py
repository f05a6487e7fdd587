"""The kinds of the audit trail are one list: the command, the route and the page offer each of them, and every row has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import click

import nexus_cli
from nexus_cli.cli.commands.audit import command
from nexus_cli.database.audit import KINDS
from nexus_cli.runtime.control.routes.audit import AuditKind

PACKAGE = Path(nexus_cli.__file__).parent


def test_the_command_the_route_and_the_page_offer_every_kind() -> None:
    (option,) = (one for one in command.params if one.name == "kind")
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == set(KINDS)
    assert set(get_args(AuditKind)) == {"", *KINDS}
    page = (PACKAGE / "runtime/web/page/static/pages/audit.js").read_text()
    (listed,) = re.findall(r"^const KINDS = \[(.*)\];$", page, re.MULTILINE)
    assert {one.strip(" '") for one in listed.split(",")} == set(KINDS)


def test_whatever_is_written_by_name_has_a_kind() -> None:
    written = {
        word.value.value
        for file in PACKAGE.rglob("*.py")
        if "write_audit(" in (text := file.read_text())
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("write_audit")
        for word in call.keywords
        if word.arg == "what" and isinstance(word.value, ast.Constant)
    }
    assert {"purge", "keep-end", "revert-drift", "confirm", "rollout"} <= written, "the names are found"
    assert written <= {what for whats in KINDS.values() for what in whats}
