"""What the catalogue says for every use of a code is true of every use."""

from __future__ import annotations

import ast
from pathlib import Path

import nexus_cli
from nexus_cli.diagnostics.codes import catalogue, finding
from nexus_cli.diagnostics.errors import FindingsError, NexusError
from nexus_cli.exit_codes import Exit

PROGRAM = Path(nexus_cli.__file__).parent


def calls(*names: str) -> list[tuple[str, ast.Call]]:
    """The calls of functions with these names, with their files."""
    return [
        (str(file.relative_to(PROGRAM)), node)
        for file in PROGRAM.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names
    ]


def constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def test_a_code_of_findings_has_no_hint_of_its_own() -> None:
    """A finding's hint is the call's; an error made of findings would print the catalogue's, which speaks of another use."""
    used = {constant(call.args[0]) for _, call in calls("finding") if call.args}
    assert len(used) > 100, "they are found"
    assert sorted(id for id, code in catalogue().items() if code.hint and id in used) == []
    assert FindingsError("refused", (finding("NX5000", "y"),)).hint == ""


def test_a_call_says_an_exit_code_only_where_it_differs() -> None:
    needless = []
    for file, call in calls("NexusError"):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        code, exit_code = constant(given.get("code")), constant(given.get("exit_code"))
        if isinstance(code, str) and exit_code == catalogue()[code].exit_code:
            needless.append(f"{file}:{call.lineno}")
    assert needless == []


def test_what_an_error_ends_with() -> None:
    assert NexusError("x", code="NX6002").exit_code == Exit.USAGE
    assert NexusError("x", code="NX6002", exit_code=6).exit_code == Exit.OUTSIDE
    assert NexusError("x", code="NX4001").exit_code == Exit.FINDINGS
    assert NexusError("x", code="NX6010").exit_code == Exit.OUTSIDE
    assert NexusError("x", code="NX5001").exit_code == Exit.CONFLICT
    assert NexusError("x").exit_code == Exit.OUTSIDE
