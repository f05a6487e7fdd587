"""Forty mistakes of a tired engineer, and more: each is answered with its place, the reason and what to write.

`tests/cases/mistakes.yaml` is the list: what was written instead of what in the sound site below, and the answers.
With NEXUS_SNAPSHOT=1 the answers are regenerated; look at the diff before committing it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_cli.project.text import read
from tests.sessions import REGENERATE

LIST = Path(__file__).parent / "cases/mistakes.yaml"
FIRST = """\
# Each entry: what a tired engineer meant to do, the text of the site (tests/test_mistakes.py) that was replaced, what was
# written, and the answers of `nexus validate`. Regenerated with NEXUS_SNAPSHOT=1.
"""
SITE = """\
nexus: 1
enterprise: acme
site: plant-7
retention:
  process: {keep: 400d, compress_after: 7d}
defaults: {retention: process}
areas:
  hall:
    lines:
      line-1:
        devices:
          meter:
            protocol: modbus
            connection: {host: 10.0.0.9, unit_id: 5}
            poll: 1s
            tags:
              voltage:
                address: holding:0
                type: float32
                unit: V
                range: [0, 500]
              energy:
                address: holding:16
                type: uint64
                scale: 0.1
                unit: kWh
          press:
            protocol: s7
            connection: {host: 10.0.0.7, rack: 0, slot: 1}
            tags:
              speed: {address: DB1.DBD0, type: float32, writable: true, range: [0, 90]}
          oven:
            protocol: opcua
            connection: {endpoint: "opc.tcp://10.0.0.8:4840"}
            tags:
              temperature: {node: "ns=2;s=Oven.T", type: float64, unit: degC}
alerts:
  hot: {tag: hall/line-1/oven/temperature, above: 240}
"""
ENTRIES: list[dict[str, Any]] = yaml.safe_load(LIST.read_text(encoding="utf-8"))


def broken(entry: dict[str, Any]) -> bytes:
    """The site with one mistake; `bytes` names an encoding that the file was saved in."""
    old, new = entry["instead_of"], entry["written"]
    assert SITE.count(old) == 1 or old == "", f"'{old}' stands {SITE.count(old)} times in the site"
    text = SITE.replace(old, new) if old else new
    return text.encode(entry.get("bytes", "utf-8"))


def answers(entry: dict[str, Any], folder: Path) -> list[str]:
    path = folder / "site.yaml"
    path.write_bytes(broken(entry))
    found = []
    for item in read(path).findings:
        place = f"{item.place.line}:{item.place.column}" if item.place is not None else "-"
        found.append(
            f"{item.severity}[{item.code}] {place} {item.message} => {item.hint}".replace(str(path), "site.yaml")
        )
    return found


def test_the_list_is_written_as_it_would_be_regenerated(tmp_path: Path) -> None:
    if REGENERATE:
        for entry in ENTRIES:
            entry["answers"] = answers(entry, tmp_path)
    text = FIRST + yaml.safe_dump(ENTRIES, allow_unicode=True, sort_keys=False, width=1000)
    if REGENERATE:
        LIST.write_text(text, encoding="utf-8")
    assert LIST.read_text(encoding="utf-8") == text


def test_the_site_without_mistakes_is_sound(tmp_path: Path) -> None:
    assert answers({"instead_of": "", "written": SITE}, tmp_path) == []


def test_there_are_more_than_forty() -> None:
    assert len(ENTRIES) >= 50 and len({entry["mistake"] for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["mistake"])
def test_a_mistake_is_answered(entry: dict[str, Any], tmp_path: Path) -> None:
    found = answers(entry, tmp_path)
    assert found == entry["answers"]
    assert found, "the mistake goes unnoticed"
    assert len(found) <= 4, "one mistake makes a wall of findings"
    told = [item for item in found if not item.endswith(" => ") or re.search("must be|write it as|lies beyond", item)]
    assert told, "no answer says what to write"
    assert all(" - " not in item[:20] or "NX0002" in item for item in found), "a finding has no place"
