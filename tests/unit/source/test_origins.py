"""A finding about a value is placed where the value is written, however many references lead there."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.project.text import read

SITE = """\
nexus: 1
enterprise: acme
site: plant
vars: {unit: 7, address: "10.0.0.9"}
templates:
  meter:
    protocol: modbus
    parameters: {unit_id: {type: integer, default: 5}, first: {type: integer, default: 0}, of: {type: string}}
    connection: {host: "${var:address}", unit_id: "${param:unit_id}"}
    tags: {speed: {address: "holding:${param:first}", type: "${param:of}"}}
areas:
  hall: {lines: {one: {devices: {a: {template: meter, with: {of: int16}}, b: {template: meter, with: {unit_id: "${var:unit}", of: int32}}}}}}
"""


def at(sound: str, broken: str, folder: Path, **keys: object) -> list[tuple[str, str, str]]:
    """Code, place and the text that is underlined, of every finding."""
    assert SITE.count(sound) == 1 or not sound
    text = SITE.replace(sound, broken) if sound else SITE
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    lines = text.splitlines()
    return [
        (item.code, str(item.place.line), lines[item.place.line - 1][item.place.column - 1 : item.place.end_column - 1])
        for item in read(folder / "site.yaml", **keys).findings  # type: ignore[arg-type]
        if item.place is not None
    ]


def test_the_site_is_sound(tmp_path: Path) -> None:
    assert at("", "", tmp_path) == []


@pytest.mark.parametrize(
    ("sound", "broken", "expected"),
    [
        ("with: {of: int16}", "with: {of: int16, unit_id: 300}", ("NX1008", "12", "300")),
        ("unit: 7", "unit: 300", ("NX1008", "4", "300")),
        ("default: 5", "default: 300", ("NX1008", "8", "300")),
        ("of: int16", "of: itn16", ("NX1006", "12", "itn16")),
        ('"10.0.0.9"', '"10.0.0.9:502"', ("NX1014", "4", '"10.0.0.9:502"')),
        ("default: 0}", "default: 70000}", ("NX3103", "10", '"holding:${param:first}"')),
    ],
)
def test_the_value_is_underlined_where_it_is_written(
    sound: str, broken: str, expected: tuple[str, str, str], tmp_path: Path
) -> None:
    assert at(sound, broken, tmp_path) == [expected]


def test_a_part_of_a_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE.replace("default: 0}", "default: 70000}"), encoding="utf-8")
    (found,) = read(tmp_path / "site.yaml").findings
    assert [note.message for note in found.related] == ["'first' is given here", "used by 'hall/one/a' and 1 more"]


def test_what_the_command_line_gives_stands_in_no_text(tmp_path: Path) -> None:
    found = at("", "", tmp_path, variables={"unit": "300"})
    assert found == [("NX1008", "12", '"${var:unit}"')]
