"""CLI sessions: `tests/scripts/*.txt`.

A script is some words, then files as `-- NAME --` and their content, then `-- session --` with `$ nexus …` lines.
`NAME` under `-- NAME <- PATH --` is copied from a path of the repository.
"""

from __future__ import annotations

import itertools
import re
import shutil
from pathlib import Path

import pytest

from tests.sessions import REGENERATE, agrees, parse, render, run_process

SCRIPTS = Path(__file__).parent / "scripts"
REPOSITORY = Path(__file__).parent.parent
_SECTION = re.compile(r"^-- (?P<name>\S+)(?: <- (?P<source>\S+))? --\n", re.MULTILINE)


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_script(script: Path, tmp_path: Path) -> None:
    text = script.read_text(encoding="utf-8")
    sections = list(_SECTION.finditer(text))
    assert sections and sections[-1]["name"] == "session", "a script ends with `-- session --`"
    for section, following in itertools.pairwise(sections):
        target = tmp_path / section["name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        if section["source"]:
            copy = shutil.copytree if (REPOSITORY / section["source"]).is_dir() else shutil.copy
            copy(REPOSITORY / section["source"], target)
        else:
            target.write_text(text[section.end() : following.start()], encoding="utf-8")
    start = sections[-1].end()
    steps = parse(text[start:])
    seen = []
    for step in steps:
        actual = run_process(step.command, cwd=tmp_path)
        seen.append(actual)
        if not REGENERATE:
            assert agrees(step.expected, actual.expected), (
                f"$ {step.command}\nexpected:\n{step.expected}\n\nseen:\n{actual.expected}"
            )
            assert actual.code == step.code, f"$ {step.command}"
    if REGENERATE:
        script.write_text(text[:start] + render(seen), encoding="utf-8")
