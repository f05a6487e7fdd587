"""One folder per finding: `tests/cases/NXnnnn-slug/{site.yaml,expect.txt}`.

`expect.txt` holds the commands to run in the folder and what they print; a folder without one is regenerated with
NEXUS_SNAPSHOT=1 (its command is then `nexus validate site.yaml`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.diagnostics.codes import catalogue
from tests.sessions import REGENERATE, Step, agrees, parse, render, run_inside

CASES = Path(__file__).parent / "cases"
FOLDERS = sorted(path for path in CASES.iterdir() if path.is_dir())
WITHOUT_CASE = {"NX0004"}
"""It would need a file of 64 MB; tests/unit/source/test_load.py has it with a smaller limit."""
DEMANDED = [code for code in catalogue().values() if code.id[2] in "0123" and code.id not in WITHOUT_CASE]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_case(folder: Path) -> None:
    file = folder / "expect.txt"
    steps = parse(file.read_text(encoding="utf-8")) if file.exists() else [Step("nexus validate site.yaml", "", 1)]
    seen = [run_inside(step.command, cwd=folder) for step in steps]
    code = folder.name[:6]
    assert any(f"[{code}]" in step.expected for step in seen), f"{code} does not appear: {seen[-1].expected}"
    if REGENERATE:
        file.write_text(render(seen), encoding="utf-8")
        return
    for step, actual in zip(steps, seen, strict=True):
        assert agrees(step.expected, actual.expected), f"expected:\n{step.expected}\n\nseen:\n{actual.expected}"
        assert actual.code == step.code


@pytest.mark.parametrize("code", DEMANDED, ids=lambda code: code.id)
def test_every_code_has_a_case(code: object) -> None:
    name = f"{code.id}-{code.slug}"  # type: ignore[attr-defined]
    assert (CASES / name / "expect.txt").is_file(), f"write tests/cases/{name}/site.yaml"


def test_every_case_is_of_a_known_code() -> None:
    known = {f"{code.id}-{code.slug}" for code in catalogue().values()}
    assert {folder.name for folder in FOLDERS} <= known
