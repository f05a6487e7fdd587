"""Characters that end a line for some programs only, or turn text around."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.source.nodes import SourceFile
from nexus_cli.source.reader import Reader
from nexus_cli.source.suppress import suppressions


def read(text: str) -> tuple[object, list[tuple[str, int, int]]]:
    reader = Reader(SourceFile(number=0, name="x.yaml", path=Path("x.yaml"), text=text))
    root = reader.read()
    return root, [(item.code, item.place.line, item.place.column) for item in reader.findings if item.place]


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u2029"])
def test_a_separator_ends_no_comment_and_is_found(sign: str) -> None:
    assert read(f"a: 1 # raw{sign}b: 2\n") == ({"a": 1}, [("NX0003", 1, 11)])
    assert read(f"a: x{sign}  b: 2\n")[1][0][0] == "NX0003"
    assert read(f"a: |\n  x{sign}  y\n") == ({"a": f"x{sign}  y\n"}, [("NX0003", 2, 4)])


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_separator_in_quotes_is_a_character_like_others(sign: str, quote: str) -> None:
    assert read(f"a: {quote}x {sign} y{quote}\n{quote}k{sign}{quote}: [{quote}{sign}{quote}]\n") == (
        {"a": f"x {sign} y", f"k{sign}": [sign]},
        [],
    )


@pytest.mark.parametrize(
    "sign", [*"\u061c\u200e\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))]
)
def test_a_bidirectional_control_is_found_outside_quotes(sign: str) -> None:
    assert read(f"a: 1 # {sign}x\nb: x{sign}y\n")[1] == [("NX0003", 1, 8), ("NX0003", 2, 5)]
    assert read(f"a: 'x{sign}y'\nb: \"{sign}\"\n")[1] == []


def test_ordinary_text_beyond_ascii_is_no_finding() -> None:
    assert read("a: Größe °C ³ 温度 \U0001f600 # é\n")[1] == []


def test_a_suppression_behind_a_separator_is_of_its_own_line() -> None:
    file = SourceFile(number=0, name="x", path=Path("x"), text="a: 'u\u2028 # nexus:ignore NX2203 -- no'\n")
    assert suppressions([file]).by_target == {}


def test_a_syntax_error_beside_a_separator_keeps_its_place() -> None:
    found = read("a: 1 # \u2028\nb: [1\n")[1]
    assert [code for code, _, _ in found] == ["NX0003", "NX0010"]
    assert found[1][1] == 2
