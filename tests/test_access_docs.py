"""docs/access.md: its site, its questions and its rendered rules are what nexus says; NEXUS_SNAPSHOT=1 writes them again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.sessions import REGENERATE, run_inside

PAGE = Path(__file__).parent.parent / "docs" / "access.md"
_SITE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
_SESSION = re.compile(r"```console\n(.*?)```", re.DOTALL)
_EMQX = re.compile(r"```erlang\n(.*?)```", re.DOTALL)
_MOSQUITTO = re.compile(r"```\n(user ann\n.*?)```", re.DOTALL)


@pytest.fixture
def page(tmp_path: Path) -> str:
    text = PAGE.read_text(encoding="utf-8")
    site = _SITE.search(text)
    assert site is not None
    (tmp_path / "site.yaml").write_text(site[1], encoding="utf-8")
    return text


def replaced(pattern: re.Pattern[str], number: int, seen: str) -> None:
    """Write what was seen into the page."""
    text = PAGE.read_text(encoding="utf-8")
    match = list(pattern.finditer(text))[number]
    PAGE.write_text(text[: match.start(1)] + seen + text[match.end(1) :], encoding="utf-8")


def test_the_answers_on_the_page(page: str, tmp_path: Path) -> None:
    blocks = _SESSION.findall(page)
    assert len(blocks) >= 4
    for number, block in enumerate(blocks):
        command = block.splitlines()[0].removeprefix("$ ")
        step = run_inside(command, cwd=tmp_path)
        seen = f"$ {command}\n{step.expected}\n"
        if REGENERATE:
            replaced(_SESSION, number, seen)
        else:
            assert block == seen


def part(text: str, begin: str, end: str) -> str:
    """A section of a rendered file, without the empty line behind it."""
    return text[text.index(begin) : text.index(end)].rstrip() + "\n"


@pytest.mark.parametrize(
    ("broker", "pattern", "file", "begin", "end"),
    [
        ("emqx", _EMQX, "acl.conf", "%% ann\n", "%% boss\n"),
        ("mosquitto", _MOSQUITTO, "acl", "user ann\n", "user boss\n"),
    ],
)
def test_the_rules_on_the_page(
    broker: str, pattern: re.Pattern[str], file: str, begin: str, end: str, page: str, tmp_path: Path
) -> None:
    done = run_inside(f"nexus access render --at any --broker {broker} --own --out out", cwd=tmp_path)
    assert done.code == 0, done.expected
    seen = part((tmp_path / "out" / file).read_text(encoding="utf-8"), begin, end)
    if REGENERATE:
        replaced(pattern, 0, seen)
        return
    found = pattern.search(page)
    assert found is not None
    assert found[1] == seen
