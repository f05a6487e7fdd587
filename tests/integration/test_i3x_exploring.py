"""i3X's address space: namespaces, types, objects and their relationships."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import jsonschema
import pytest
import pytest_asyncio

from nexus_cli.settings import Settings
from tests.integration.i3x_world import DRIVE, ENERGY, NOBODY, SPEED, I3xWorld, i3x_world

pytestmark = [pytest.mark.needs_database]
ROOT = "site:acme/chicago"


@pytest_asyncio.fixture
async def i3x(database: Settings, tmp_path: Path) -> AsyncIterator[I3xWorld]:
    async with i3x_world(database, tmp_path) as world:
        yield world


async def test_exp_01_namespaces_have_uri_and_name(i3x: I3xWorld) -> None:
    for record in await i3x.get("/namespaces"):
        assert set(record) == {"uri", "displayName"}
        assert all(isinstance(part, str) and part for part in record.values())


async def test_exp_02_there_is_a_namespace(i3x: I3xWorld) -> None:
    assert "urn:nexus:devices:acme:chicago" in {record["uri"] for record in await i3x.get("/namespaces")}


async def test_exp_03_no_uri_twice(i3x: I3xWorld) -> None:
    uris = [record["uri"] for record in await i3x.get("/namespaces")]
    assert len(set(uris)) == len(uris)


async def test_exp_04_types_carry_a_schema(i3x: I3xWorld) -> None:
    types = {record["elementId"]: record for record in await i3x.get("/objecttypes")}
    for record in types.values():
        assert set(record) == {"elementId", "displayName", "namespaceUri", "sourceTypeId", "version", "schema"}
        jsonschema.Draft202012Validator.check_schema(record["schema"])
    assert types["type:tag:float64:kWh"]["schema"] == {"type": "number", "readOnly": True, "x-unit": "kWh"}
    assert types["type:tag:float64:Hz:writable"]["schema"] == {"type": "number", "x-unit": "Hz"}
    (drive,) = await i3x.results("/objects/list", [DRIVE])
    schema = types[drive["result"]["typeElementId"]]["schema"]
    assert schema["type"] == "object"
    assert schema["properties"]["state"] == {
        "type": ["integer", "null"],
        "readOnly": True,
        "x-labels": {"0": "stopped", "1": "running"},
    }
    assert schema["properties"]["curve"]["items"] == {"type": "number"}


async def test_devices_of_one_kind_share_their_type(i3x: I3xWorld) -> None:
    one, three, two = await i3x.results("/objects/list", ["a/l/one", "a/m/three", "a/m/two"])
    assert one["result"]["typeElementId"] == three["result"]["typeElementId"] != two["result"]["typeElementId"]


async def test_exp_05_each_type_is_in_a_declared_namespace(i3x: I3xWorld) -> None:
    uris = {record["uri"] for record in await i3x.get("/namespaces")}
    for path in ("/objecttypes", "/relationshiptypes"):
        assert {record["namespaceUri"] for record in await i3x.get(path)} <= uris


async def test_exp_06_types_by_namespace(i3x: I3xWorld) -> None:
    for path in ("/objecttypes", "/relationshiptypes"):
        every = await i3x.get(path)
        for uri in {record["namespaceUri"] for record in every}:
            some = await i3x.get(path, namespaceUri=uri)
            assert some == [record for record in every if record["namespaceUri"] == uri]
        assert await i3x.get(path, namespaceUri="urn:nobody") == []


async def test_exp_07_types_in_the_order_of_the_question(i3x: I3xWorld) -> None:
    ids = [record["elementId"] for record in await i3x.get("/objecttypes")][:4][::-1]
    asked = [*ids, ids[0]]
    items = await i3x.results("/objecttypes/query", asked)
    assert [item["result"]["elementId"] for item in items] == asked


async def test_exp_08_an_unknown_type_fails_alone(i3x: I3xWorld) -> None:
    good, bad = await i3x.results("/objecttypes/query", ["type:site", NOBODY])
    assert good["success"]
    assert bad["responseDetail"]["status"] == 404


async def test_exp_09_relationship_types_name_their_reverse(i3x: I3xWorld) -> None:
    for record in await i3x.get("/relationshiptypes"):
        assert set(record) == {"elementId", "displayName", "namespaceUri", "relationshipId", "reverseOf"}


async def test_exp_10_each_reverse_is_registered_and_leads_back(i3x: I3xWorld) -> None:
    reverse = {record["elementId"]: record["reverseOf"] for record in await i3x.get("/relationshiptypes")}
    assert {"HasParent", "HasChildren", "HasComponent", "ComponentOf"} <= reverse.keys()
    assert all(reverse[other] == name != other for name, other in reverse.items())


async def test_exp_11_relationship_types_by_id(i3x: I3xWorld) -> None:
    good, bad = await i3x.results("/relationshiptypes/query", ["HasParent", NOBODY])
    assert good["result"]["reverseOf"] == "HasChildren"
    assert bad["responseDetail"]["status"] == 404


async def test_exp_12_objects_are_whole_records(i3x: I3xWorld) -> None:
    objects = {record["elementId"]: record for record in await i3x.get("/objects")}
    for record in objects.values():
        assert list(record) == ["elementId", "displayName", "typeElementId", "parentId", "isComposition", "isExtended"]
    assert objects[SPEED] == {
        "elementId": SPEED,
        "displayName": "speed",
        "typeElementId": "type:tag:float64:Hz:writable",
        "parentId": DRIVE,
        "isComposition": False,
        "isExtended": False,
    }
    assert objects[DRIVE]["isComposition"] is True
    assert {ROOT, "a", "a/l", "a/m", ENERGY, "a/m/two"} <= objects.keys()


async def test_exp_13_each_object_has_a_registered_type(i3x: I3xWorld) -> None:
    types = {record["elementId"] for record in await i3x.get("/objecttypes")}
    used = {record["typeElementId"] for record in await i3x.get("/objects")}
    assert used == types  # and no type is there that nobody has


async def test_exp_14_element_ids_are_unique_and_printable(i3x: I3xWorld) -> None:
    ids = [
        record["elementId"]
        for path in ("/objects", "/objecttypes", "/relationshiptypes")
        for record in await i3x.get(path)
    ]
    assert len(set(ids)) == len(ids)
    assert all(each == each.strip() and each.isprintable() for each in ids)


async def test_exp_15_the_site_is_the_root(i3x: I3xWorld) -> None:
    (root,) = await i3x.get("/objects", root="true")
    assert (root["elementId"], root["parentId"]) == (ROOT, None)
    assert len(await i3x.get("/objects", root="false")) > 1


async def test_exp_16_objects_by_type(i3x: I3xWorld) -> None:
    every = await i3x.get("/objects")
    for kind in {record["typeElementId"] for record in every}:
        assert await i3x.get("/objects", typeElementId=kind) == [
            record for record in every if record["typeElementId"] == kind
        ]
    assert await i3x.get("/objects", typeElementId=NOBODY) == []
    assert await i3x.get("/objects", typeElementId="type:area", root="true") == []


async def test_exp_17_metadata_says_where_a_type_comes_from(i3x: I3xWorld) -> None:
    types = {record["elementId"]: record for record in await i3x.get("/objecttypes")}
    for record in await i3x.get("/objects", includeMetadata="true"):
        metadata, kind = record["metadata"], types[record["typeElementId"]]
        assert metadata["typeNamespaceUri"] == kind["namespaceUri"]
        assert metadata["sourceTypeId"] == kind["sourceTypeId"]
    (one,) = await i3x.results("/objects/list", [SPEED], includeMetadata=True)
    assert one["result"]["metadata"]["relationships"] == {
        "ComponentOf": [DRIVE],
        "UsedToCalculate": ["a/l/drive/ratio"],
        "ReadBackBy": ["a/l/drive/actual"],
    }
    assert one["result"]["metadata"]["system"]["writable"] is True
    assert one["result"]["metadata"]["system"]["owner"] == "maintenance"
    assert one["result"]["metadata"]["system"]["pii"] is True
    (meter,) = await i3x.results("/objects/list", ["a/l/one"], includeMetadata=True)
    assert meter["result"]["metadata"]["description"] == "The main meter"


async def test_exp_18_objects_by_id(i3x: I3xWorld) -> None:
    items = await i3x.results("/objects/list", [DRIVE, ROOT, SPEED, NOBODY])
    assert [item["success"] for item in items] == [True, True, True, False]
    assert "metadata" not in items[0]["result"]
    assert items[3]["responseDetail"]["status"] == 404


async def test_exp_19_related_objects_come_with_their_relationship(i3x: I3xWorld) -> None:
    known = {record["elementId"] for record in await i3x.get("/relationshiptypes")}
    objects = {record["elementId"]: record for record in await i3x.get("/objects")}
    for item in await i3x.results("/objects/related", list(objects)):
        assert item["result"]
        for edge in item["result"]:
            assert edge["sourceRelationship"] in known
            assert edge["object"] == objects[edge["object"]["elementId"]]
    (none,) = await i3x.results("/objects/related", [NOBODY])
    assert none["responseDetail"]["status"] == 404


async def test_exp_20_every_edge_leads_back(i3x: I3xWorld) -> None:
    reverse = {record["elementId"]: record["reverseOf"] for record in await i3x.get("/relationshiptypes")}
    ids = [record["elementId"] for record in await i3x.get("/objects")]
    edges = {
        (item["elementId"], edge["sourceRelationship"], edge["object"]["elementId"])
        for item in await i3x.results("/objects/related", ids)
        for edge in item["result"]
    }
    assert {name for _, name, _ in edges} == reverse.keys()
    assert {(other, reverse[name], one) for one, name, other in edges} == edges


async def test_exp_21_the_tree_is_reachable_by_relationships_alone(i3x: I3xWorld) -> None:
    parents = {record["elementId"]: record["parentId"] for record in await i3x.get("/objects")}
    for item in await i3x.results("/objects/related", list(parents)):
        up = {
            edge["object"]["elementId"]
            for edge in item["result"]
            if edge["sourceRelationship"] in ("HasParent", "ComponentOf")
        }
        assert up == ({parents[item["elementId"]]} - {None})


async def test_exp_22_relationships_of_one_type(i3x: I3xWorld) -> None:
    (item,) = await i3x.results("/objects/related", ["a/l"], relationshipType="HasChildren")
    assert [edge["object"]["elementId"] for edge in item["result"]] == [DRIVE, "a/l/one"]
    (item,) = await i3x.results("/objects/related", ["a/l"], relationshipType="HasParent", includeMetadata=True)
    assert item["result"][0]["object"]["metadata"]["sourceTypeId"] == "Area"
    (none,) = await i3x.results("/objects/related", ["a/l"], relationshipType=NOBODY)
    assert (none["success"], none["result"]) == (True, [])
