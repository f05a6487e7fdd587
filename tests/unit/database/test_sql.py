"""SQL is written in one package."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nexus_cli

PROGRAM = Path(nexus_cli.__file__).parent
STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT INTO|UPDATE\s\S+\sSET|DELETE FROM|SET (LOCAL|SESSION)|(CREATE|ALTER|DROP) TABLE)"
)


def statements(file: Path) -> list[str]:
    """The string literals of a file that begin as a statement does."""
    texts = (
        node.value for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)
    )
    return [text.strip()[:60] for text in texts if isinstance(text, str) and STATEMENT.match(text)]


def test_statements_are_in_the_database_package_alone() -> None:
    found = {str(file.relative_to(PROGRAM)): statements(file) for file in PROGRAM.rglob("*.py")}
    inside = {name: texts for name, texts in found.items() if name.startswith("database")}
    assert sum(map(len, inside.values())) > 100, "the pattern finds them"
    assert {name: texts for name, texts in found.items() if texts and name not in inside} == {}
