"""From text to nodes: YAML 1.2 scalars, places, and every refusal."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from nexus_cli.source.encoding import decode
from nexus_cli.source.nodes import Map, SourceFile, unpack
from nexus_cli.source.reader import Reader
from nexus_cli.source.scalars import ScalarError, resolve


def read(text: str) -> tuple[object, list[str]]:
    reader = Reader(SourceFile(number=0, name="x.yaml", path=Path("x.yaml"), text=text))
    root = reader.read()
    return root, [f"{item.code}@{item.place.line}:{item.place.column}" for item in reader.findings if item.place]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("0777", 777),
        ("0o17", 15),
        ("0x1F", 31),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("-12", -12),
        ("+3", 3),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("2024-01-01", "2024-01-01"),
        ("18446744073709551615", 2**64 - 1),
        ("0b1", "0b1"),
        ("e5", "e5"),
    ],
)
def test_core_schema(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize(
    "text", ["18446744073709551616", "-9223372036854775809", "1e999", "9" * 5000, "0x" + "f" * 5000]
)
def test_numbers_beyond_64_bits(text: str) -> None:
    with pytest.raises(ScalarError):
        resolve(text)


def test_quoted_scalars_stay_text() -> None:
    root, findings = read("a: '1'\nb: 1\nc: \"true\"\nd: ''\ne: |\n  12\n")
    assert root == {"a": "1", "b": 1, "c": "true", "d": "", "e": "12\n"}
    assert findings == []


def test_the_same_text_quoted_and_plain() -> None:
    root, _ = read("a: 5\nb: '5'\nc: [5, \"5\"]\n")
    assert root == {"a": 5, "b": "5", "c": [5, "5"]}


def test_integer_keys_stay_integers() -> None:
    root, findings = read("values: {0: stopped, 1: running, '2': fault}")
    assert root == {"values": {0: "stopped", 1: "running", "2": "fault"}}
    assert not findings


def test_marks_lead_to_keys_and_values() -> None:
    text = "größe: 3\nmap:\n  'key':   \"välue\"\nlist: [a, bb]\n"
    root, _ = read(text)
    assert isinstance(root, Map)
    _, key, value = unpack(root["map"].marks["key"])
    assert text[key : key + 5] == "'key'"
    assert text[value:].startswith('"välue"')
    assert [text[unpack(mark)[2]] for mark in root["list"].marks] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("a: 1\nb: 2\na: 3\n", ["NX0012@3:1"]),
        ("a: {b: 1, b: 2, b: 3}\n", ["NX0012@1:11", "NX0012@1:17"]),
        ("a: 1\n---\nb: 1\n---\nc: 1\n", ["NX0013@2:1"]),
        ("a: {<<: {b: 1}}\n", ["NX0014@1:5"]),
        ("a: !!python/object:os.system x\n", ["NX0015@1:4"]),
        ("a: !!int x\n", ["NX0015@1:4"]),
        ("a: !!map [1]\n", ["NX0015@1:4"]),
        ("? [a]\n: 1\n", ["NX0016@1:3"]),
        ("true: 1\n", ["NX0016@1:1"]),
        ("a: *b\n", ["NX0019@1:4"]),
        ("a: &a [*a]\n", ["NX0019@1:8"]),
        ("a: 1e400\n", ["NX0020@1:4"]),
        ("a:\n\tb: 1\n", ["NX0011@2:1"]),
        ("a: 'x\nb: 1\n", ["NX0010@1:4"]),
        ("a: [1\nb: 2\n", ["NX0010@1:4"]),
        ("a: b: c\n", ["NX0010@1:5"]),
        ("a:\n  b: 1\n  c 2\n  d: 3\n  e: 4\n", ["NX0010@3:3"]),
        ("a:\n  b 1\n  c: 2\n  d: 3\n", ["NX0010@2:3"]),
        ("a: \x00\nb: \x07\n", ["NX0003@1:4", "NX0003@2:4"]),
        ("[" * 70, ["NX0018@1:65"]),
    ],
)
def test_refusals(text: str, findings: list[str]) -> None:
    assert read(text)[1] == findings


def test_several_syntax_errors_in_one_run() -> None:
    text = "a:\n  x: b: c\n  y: 1\nb:\n  z: ]\nc: {d: 1}\ne: 'open\n"
    _, findings = read(text)
    assert findings == ["NX0010@2:7", "NX0010@5:6", "NX0010@7:4"]


def test_duplicates_keep_the_first_and_name_its_place() -> None:
    reader = Reader(SourceFile(number=0, name="x", path=Path("x"), text="a: 1\na: 2\n"))
    assert reader.read() == {"a": 1}
    related = reader.findings[0].related[0].place
    assert related is not None and (related.line, related.column, related.end_column) == (1, 1, 2)


def test_aliases_share_and_are_bounded() -> None:
    root, findings = read("a: &a {x: 1}\nb: *a\nc: &s text\nd: *s\n")
    assert root == {"a": {"x": 1}, "b": {"x": 1}, "c": "text", "d": "text"}
    assert not findings
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    _, findings = read(bomb)
    assert [item[:6] for item in findings] == ["NX0017"]


def test_references_are_collected() -> None:
    reader = Reader(SourceFile(number=0, name="x", path=Path("x"), text="a: ${var:x}\nb: ['y', \"${env:Z}\"]\n"))
    root = reader.read()
    assert [container[key] for container, key in reader.references] == ["${var:x}", "${env:Z}"]
    assert isinstance(root, Map)


@pytest.mark.parametrize(
    ("data", "text", "code"),
    [
        (b"\xef\xbb\xbfa: 1", "a: 1", None),
        ("a: °".encode(), "a: °", None),
        ("a: °".encode("utf-16"), None, "NX0002"),
        ("a: °".encode("latin-1"), "a: �", "NX0002"),
    ],
)
def test_encodings(data: bytes, text: str | None, code: str | None) -> None:
    decoded, findings = decode(data, "x.yaml")
    assert text is None or decoded == text
    assert [item.code for item in findings] == ([code] if code else [])


def test_places_of_wrong_bytes() -> None:
    _, findings = decode("ä: 1\nb: x".encode() + b"\xff\n", "x.yaml")
    place = findings[0].place
    assert place is not None and (place.line, place.column) == (2, 5)


def test_lines_end_as_their_system_ends_them() -> None:
    file = SourceFile(number=0, name="x", path=Path("x"), text="a\r\nb\rc\n\nd")
    assert [file.line(number) for number in range(1, 7)] == ["a", "b", "c", "", "d", ""]
    assert file.line_column(len(file.text)) == (5, 2)


def test_aliases_do_not_nest_without_bound() -> None:
    links = ["a0: &a0 x"] + [f"a{n}: &a{n} {'[' * 50}*a{n - 1}{']' * 50}" for n in range(1, 100)]
    _, findings = read("\n".join(links))
    assert [item[:6] for item in findings] == ["NX0018"]
    fine = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60)]
    assert read("\n".join(fine))[1] == []
