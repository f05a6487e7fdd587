"""Every `nexus …` that the code, its hints and the docs name is a command, with options that it has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from nexus_cli.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/codes").glob("*.md"))]  # fmt: skip
SOURCES = sorted((ROOT / "nexus_cli").rglob("*.py"))
QUOTED = re.compile(r"`(?:[A-Z_]+=\S+ )*nexus (?P<rest>[^`\n]+)`")
LINE = re.compile(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*nexus (?P<rest>[a-z].*)$", re.MULTILINE)


def test_the_table_of_commands_has_each_once() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    table = text.partition("| to | commands |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`([a-z-]+)`", table)) == sorted(COMMANDS)


def pages() -> Iterator[tuple[str, str]]:
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT).as_posix()
        for match in QUOTED.finditer(text):
            yield name, match["rest"]
        for block in re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL):
            for match in LINE.finditer(block):
                yield name, match["rest"]


def sources() -> Iterator[tuple[str, str]]:
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told = set() if path.parent.name == "commands" else docstrings(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "nexus " in node.value:
                for pattern in (QUOTED,) if node.value in told else (QUOTED, LINE):
                    for match in pattern.finditer(node.value):
                        if pattern is LINE and not match[0].lstrip("\n").startswith((" ", "$")):
                            continue  # a sentence that begins with the product's name
                        yield path.relative_to(ROOT).as_posix(), match["rest"]


def docstrings(tree: ast.Module) -> set[str]:
    """Texts of docstrings, where a wrapped line may begin with the product's name."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = (node.body[0] for node in ast.walk(tree) if isinstance(node, kinds) and node.body)
    return {
        one.value.value
        for one in first
        if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str)
    }


def problem(rest: str) -> str:
    """What is wrong with a command line that begins behind `nexus `, or ""."""
    words = re.split(r"\s+", re.split(r"\s{2,}|  #|\s[|>&]\s|…\s|, |; ", rest.strip())[0])
    context = click.Context(cli)
    words = [word.rstrip(",.:;)'\"…") for word in words if word.rstrip(",.:;)'\"…")]
    if words[0].startswith(("--", "[", "…")):
        return ""
    if words[0] not in COMMANDS:
        return f"there is no command '{words[0]}'"
    command = cli.get_command(context, words[0])
    rest_words = words[1:]
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        if rest_words and re.fullmatch(r"[a-z][a-z-]*", rest_words[0]):
            if rest_words[0] not in names:
                return f"'{words[0]}' has no command '{rest_words[0]}'"
            command = command.get_command(context, rest_words[0])
    assert command is not None
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
    used = [re.match(r"--[a-z-]+", word) for word in rest_words]
    unknown = [match[0] for match in used if match is not None and match[0] not in known]
    return f"'{words[0]}' has no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("where", [pages, sources], ids=["docs", "code"])
def test_every_command_that_is_named_exists(where: object) -> None:
    found = list(where())  # type: ignore[operator]
    assert len(found) > 50
    wrong = sorted({f"{name}: nexus {rest}: {why}" for name, rest in found if (why := problem(rest))})
    assert wrong == []


def test_wrong_ones_are_told() -> None:
    assert problem("validat site.yaml") == "there is no command 'validat'"
    assert problem("plan --detailled") == "'plan' has no option --detailled"
    assert problem("db upgrad") == "'db' has no command 'upgrad'"
    assert problem("sequence run fill --set a=1") == ""
