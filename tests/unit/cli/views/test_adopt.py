"""What `nexus adopt --format json` answers fits its published schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from nexus_cli.cli.views.adopt import adoption_document
from nexus_cli.discover.adopt.entries import Entry
from nexus_cli.project import adopt
from nexus_cli.project.adopt import Adoption

SCHEMA = jsonschema.Draft7Validator(
    orjson.loads((Path(__file__).parents[4] / "schemas" / "adoption.schema.json").read_bytes())
)
SITE = """nexus: 1
enterprise: acme
site: chicago  # by hand
areas:
  pack:
    lines:
      l1:
        devices:
          filler: {protocol: modbus, connection: {host: 10.0.0.9}, tags: {t: {address: "holding:0", type: float32}}}
"""
RULES = "user desk\ntopic read acme/chicago/pack/#\ntopic write acme/chicago/pack/l1/filler/t\nuser alone\n"


@pytest.fixture
def found(tmp_path: Path) -> Adoption:
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "acl").write_text(RULES)
    return adopt.access(tmp_path / "acl", into=tmp_path / "site.yaml")


def test_an_adoption_fits_the_schema_before_and_after_it_is_written(found: Adoption, tmp_path: Path) -> None:
    shown = adoption_document(found, written=False)
    SCHEMA.validate(shown)
    assert (shown["format_version"], shown["written"]) == ("1.0", False)
    assert "+    desk: {read: [" in shown["diff"]
    adopt.write(found)
    again = adoption_document(adopt.access(tmp_path / "acl", into=tmp_path / "site.yaml"), written=False)
    SCHEMA.validate(again)
    assert (again["into"], again["diff"]) == ("", "")


def test_as_many_entries_as_were_counted(found: Adoption) -> None:
    shown = adoption_document(found, written=False)
    number = dict(shown["counts"])
    assert number.pop("found") == len(shown["entries"]) == sum(number.values())
    assert number["adopted"] == 2
    assert number["left"] == len([one for one in shown["entries"] if one["reason"] and not one["becomes"]])


@pytest.mark.parametrize(
    "entry",
    [
        Entry(what="user desk", state="left"),
        Entry(what="user desk", state="left", becomes="user desk", reason="taken"),
        Entry(what="user desk", state="adopted"),
        Entry(what="user desk", state="present", reason="taken"),
    ],
)
def test_an_entry_without_its_reason_or_its_place_does_not_fit(entry: Entry) -> None:
    assert not SCHEMA.is_valid(adoption_document(Adoption(source="acl", entries=(entry,)), written=False))


@pytest.mark.parametrize("change", [{"written": "no"}, {"counts": {"found": -1}}, {"more": 1}, {"notes": [1]}])
def test_another_shape_does_not_fit(found: Adoption, change: Mapping[str, Any]) -> None:
    assert not SCHEMA.is_valid({**adoption_document(found, written=False), **change})
