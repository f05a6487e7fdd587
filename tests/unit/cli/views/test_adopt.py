"""The JSON form of an adoption: its version, and that each entry has its place or its reason."""

from __future__ import annotations

import json

import jsonschema
import pytest

from nexus_cli.cli.views.adopt import adoption_document
from nexus_cli.discover.adopt.entries import Entry
from nexus_cli.project.adopt import Adoption
from nexus_cli.project.schema import schema_files


def fits(entry: Entry) -> bool:
    schema = json.loads(schema_files()["adoption.schema.json"])
    document = adoption_document(Adoption(source="acl", entries=(entry,)), written=False)
    assert document["format_version"] == "1.0"
    return bool(jsonschema.Draft7Validator(schema).is_valid(document))


@pytest.mark.parametrize(
    "entry",
    [
        Entry(what="user desk", state="left", reason="none of its rules could be adopted"),
        Entry(what="user desk", state="adopted", becomes="user desk with desk"),
        Entry(what="desk, line 1", state="adopted", becomes="role desk: read **", reason="the site's part of it"),
        Entry(what="user desk", state="present", becomes="user desk with desk"),
    ],
)
def test_an_entry_with_its_place_or_its_reason_fits(entry: Entry) -> None:
    assert fits(entry)


@pytest.mark.parametrize(
    "entry",
    [
        Entry(what="user desk", state="left"),
        Entry(what="user desk", state="left", becomes="user desk", reason="taken"),
        Entry(what="user desk", state="adopted"),
        Entry(what="user desk", state="present", reason="taken"),
    ],
)
def test_an_entry_without_them_does_not_fit(entry: Entry) -> None:
    assert not fits(entry)
