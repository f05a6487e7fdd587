"""Command lines that the page shows exist, with their options."""

from __future__ import annotations

import re

from nexus_cli.runtime.web.page.assets import STATIC
from tests.test_commands_exist import problem

_COMMAND = re.compile(r"[`'\"]nexus ((?:\$\{(?:[^{}]|\{[^{}]*\})*\}|[^`'\"$])*)")
_FILLED = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")


def test_every_command_line_of_the_page_exists() -> None:
    found = [
        (each.name, _FILLED.sub(" X ", text))
        for each in sorted(STATIC.rglob("*.js"))
        for text in _COMMAND.findall(each.read_text(encoding="utf-8"))
    ]
    assert len(found) > 20
    assert [(name, text, why) for name, text in found if (why := problem(text))] == []
