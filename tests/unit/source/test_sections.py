"""A file that is read in sections is the file that is read as a whole: nodes, marks and references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.source.nodes import Map, Seq, SourceFile, unpack
from nexus_cli.source.plain_section import PlainSection
from nexus_cli.source.pool import Pool
from nexus_cli.source.reader import Reader
from nexus_cli.source.sections import Section, devices, read_sections
from tests.examples import examples
from tests.properties.cached_sites import PRESS, STORE, edited, edits

SITES = sorted((Path(__file__).parents[3] / "sites").rglob("*.yaml"))
TEXTS = [site.read_text(encoding="utf-8") for site in SITES]
HEAD = "areas:\n  a:\n    lines:\n      l:\n        devices:\n"


def source(text: str) -> SourceFile:
    return SourceFile(number=3, name="site.yaml", path=Path("site.yaml"), text=text)


def nodes(node: Any) -> Any:
    """Values with their types and marks."""
    if isinstance(node, Map):
        return {(type(key), key): (unpack(node.marks[key]), nodes(value)) for key, value in node.items()}
    if isinstance(node, Seq):
        return [(unpack(mark), nodes(value)) for mark, value in zip(node.marks, node, strict=True)]
    return type(node), node


def references(found: list[tuple[Any, Any]]) -> list[Any]:
    return sorted((unpack(mark_of(holder, key)), holder[key]) for holder, key in found)


def mark_of(holder: Any, key: Any) -> int:
    mark: int = holder.marks[key]
    return mark


def compare(text: str, known: frozenset[bytes] = frozenset()) -> list[Section] | None:
    """The sections of a text, once it was seen that they mean the same; None where it is read as a whole."""
    file = source(text)
    read = read_sections(file, known, Pool())
    if read is None:
        return None
    whole = Reader(file)
    root = whole.read()
    assert not whole.findings
    found = [holder[name] for *_, name, holder in devices(read.root) if isinstance(holder[name], Section)]
    for section in found:
        assert section.open(read.references)
    assert nodes(read.root) == nodes(root)
    assert references(read.references) == references(whole.references)
    return found


@pytest.mark.parametrize("text", [PRESS, STORE, *(text for text in TEXTS if "\n        devices:\n" in text)])
def test_sites_that_are_there(text: str) -> None:
    found = compare(text)
    assert found
    again = compare(text, frozenset(section.digest for section in found))
    assert again is not None
    assert [section.digest for section in again] == [section.digest for section in found]


@settings(max_examples=examples(150))
@given(st.sampled_from((PRESS, STORE)), st.lists(edits, min_size=1, max_size=4))
def test_any_edit(text: str, some: list[Any]) -> None:
    for edit in some:
        text = edited(text, edit)
    compare(text)


@pytest.mark.parametrize(
    ("device", "sections"),
    [
        ("          d:\n            a: 1\n", 1),
        ("          d: {a: 1}\n          e:\n            b: 2\n", 2),
        ("          d:   # why\n\n            # more\n            a: 1\n\n          # last\n", 1),
        ("          d:\n            a: |+\n              text\n\n\n          e: {b: 1}\n", 2),
        ("          d:\n            a: >\n              text\n              more", 1),
        ("          d:\r\n            a: 1\r\n          e:\r\n            b: x y\r\n", 2),
        ("          d:\n            a: &x 1\n", 1),
        ("          d:\n            ä: ö\n          e:\n            b: 1\n", 2),
        ("          d:\n            devices:\n              a: {b: 1}\n", 1),
        ("          d:\n            - 1\n", None),
        ("          d:\n            a: *x\n", None),
        ("          d: &x {a: 1}\n          e: *x\n", None),
        ("          d:\n            a: 'open\n          e:\n            b: 'close'\n", None),
        ("          d: word\n          e: {a: 1}\n", 1),
        ("          d:\n          e: {a: 1}\n", 1),
        ("          d: {a: 1\n          }\n", None),
        ("          d: {a: 1}\n            b: 2\n", None),
        ("          d:\n            a: 1\n            a: 2\n", None),
        ("          d:\n            a: 1\n          d:\n            a: 2\n", None),
        ("          null:\n            a: 1\n", None),
        ("          d:\n\t    a: 1\n", None),
        ("          d:\n            a: 1\rb: 2\n", None),
        ("          d:\n            a: 1\n---\nb: 2\n", None),
    ],
)
def test_forms(device: str, sections: int | None) -> None:
    found = compare(HEAD + device)
    assert (None if found is None else len(found)) == sections


PIECES = st.sampled_from(
    (
        *("a", "b: ", "c: 1", "d: {e: 1, f: x y}", "g: [1, 2]", "h:", '"q r"', "'s'", "-1", "1.5e3", "0x1F", "0o7", "~", "null", "true"),
        *(".inf", "[", "]", "{", "}", ", ", ": ", ":", " #c", "# c", "\n", "\n  ", "\n    ", "\n      ", " ", "  ", "- ", "-", "---", "?"),
        *("${var:x}", '"${var:x}"', "%", "@", "|", ">", "&a", "*a", "!!str", "\\", "\t", "é", "(", "=", "<<", "<<: ", "1_0", "1:2", "a:b"),
    )
)  # fmt: skip


@settings(max_examples=examples(500))
@given(st.lists(PIECES, min_size=1, max_size=14).map("".join), st.booleans())
def test_the_fast_way_gives_the_same_nodes_or_none(text: str, block: bool) -> None:
    text = f"\n  {text}\n" if block else f" {{{text}}}\n"
    plain = PlainSection(text, 0, 0, Pool())
    root = plain.read()
    if root is None:
        return
    reader = Reader(SourceFile(number=0, name="", path=Path(), text=text))
    expected = reader.read()
    assert not reader.findings
    assert nodes(root) == nodes(expected)
    assert references(plain.references) == references(reader.references)


@pytest.mark.parametrize(
    "text",
    [
        " {a: 1}\n",
        " {a: [1, 2], b: {c: 'x, y', d: \"e: f\"}}  # why\n\n",
        "\n  a: 1\n  b:\n    c: {d: holding, e: -0.5}\n    f: {}\n  g: x\n".replace("    f: {}\n", ""),
        "  # why\n    a: []\n",
    ],
)
def test_the_fast_way_takes_the_usual_forms(text: str) -> None:
    plain = PlainSection(text, 0, 0, Pool())
    reader = Reader(SourceFile(number=0, name="", path=Path(), text=text))
    root = plain.read()
    assert root is not None
    assert nodes(root) == nodes(reader.read())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("".join(" " * at + "a:\n" for at in range(2, 80)) + " " * 80 + "a: 1\n", "NX0018", id="depth"),
        pytest.param("\n  a: 1\n  " + "k" * 1025 + ": 1\n", "NX0010", id="key"),
        pytest.param("\n  a: {b: 1, " + "k" * 1025 + ": 1}\n", "NX0010", id="key in brackets"),
    ],
)
def test_what_the_reader_refuses_is_left_to_it(text: str, code: str) -> None:
    reader = Reader(SourceFile(number=0, name="", path=Path(), text=text))
    reader.read()
    assert [each.code for each in reader.findings] == [code]
    assert PlainSection(text, 0, 0, Pool()).read() is None
