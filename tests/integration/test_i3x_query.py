"""i3X: newest and stored values."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio

from nexus_cli.settings import Settings
from tests.integration.i3x_world import DRIVE, ENERGY, NOBODY, POWER, SPEED, STATE, VALUES, VOLTAGE, I3xWorld, i3x_world

pytestmark = [pytest.mark.needs_database]
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
NOON_US = 1_788_264_000_000_000
"""2026-09-01T12:00:00Z."""
SPAN = {"startTime": "2026-09-01T12:00:00Z", "endTime": "2026-09-01T13:00:00Z"}


@pytest_asyncio.fixture
async def i3x(database: Settings, tmp_path: Path) -> AsyncIterator[I3xWorld]:
    async with i3x_world(database, tmp_path) as world:
        yield world


def held(vqt: Any) -> None:
    """Hold a value to the rules that all have."""
    assert UTC.fullmatch(vqt["timestamp"]), vqt
    assert vqt["quality"] in ("Good", "Uncertain", "Bad", "GoodNoData")
    assert (vqt["value"] is None) is (vqt["quality"] in ("Bad", "GoodNoData")), vqt


async def test_qry_01_each_object_has_value_quality_and_time(i3x: I3xWorld) -> None:
    ids = [record["elementId"] for record in await i3x.get("/objects")]
    for item in await i3x.results("/objects/value", ids):
        assert set(item["result"]) == {"isComposition", "value", "quality", "timestamp"}
        held(item["result"])
    i3x.say(ENERGY, 7.5, at_ms=1_788_264_000_123)
    assert await i3x.value(ENERGY) == {
        "isComposition": False,
        "value": 7.5,
        "quality": "Good",
        "timestamp": "2026-09-01T12:00:00.123000Z",
    }


async def test_qry_02_null_goes_with_bad_and_no_data_alone(i3x: I3xWorld) -> None:
    i3x.say(ENERGY, 3.0, quality="BAD", reason="no_answer")
    i3x.say(VOLTAGE, 3.0, quality="UNCERTAIN", reason="out_of_range")
    i3x.say(POWER, None)
    i3x.say(STATE, "not a number")
    found = {
        item["elementId"]: (item["result"]["value"], item["result"]["quality"])
        for item in await i3x.results("/objects/value", [ENERGY, VOLTAGE, POWER, STATE, "a/m/two/energy", "a/l"])
    }
    assert found == {
        ENERGY: (None, "Bad"),
        VOLTAGE: (3.0, "Uncertain"),
        POWER: (None, "Bad"),
        STATE: (None, "Bad"),  # what its type does not have is no value of it
        "a/m/two/energy": (None, "GoodNoData"),
        "a/l": (None, "GoodNoData"),
    }
    assert await i3x.value("a/l/one") | {"timestamp": ""} == {
        "isComposition": True,
        "value": {"energy": None, "voltage": 3.0},
        "quality": "Uncertain",
        "timestamp": "",
    }
    assert (await i3x.value("a/m/three"))["quality"] == "GoodNoData"


async def test_qry_03_values_are_of_their_types_schema(i3x: I3xWorld) -> None:
    types = {record["elementId"]: record["schema"] for record in await i3x.get("/objecttypes")}
    objects = {record["elementId"]: record["typeElementId"] for record in await i3x.get("/objects")}
    checked = 0
    for item in await i3x.results("/objects/value", list(objects)):
        if item["result"]["value"] is not None:
            jsonschema.validate(item["result"]["value"], types[objects[item["elementId"]]])
            checked += 1
    assert checked == len(VALUES) + 3
    assert (await i3x.value(DRIVE))["value"]["total"] == "18446744073709551615"


async def test_qry_04_values_in_the_order_of_the_question(i3x: I3xWorld) -> None:
    items = await i3x.results("/objects/value", [VOLTAGE, NOBODY, ENERGY, VOLTAGE])
    assert [item["success"] for item in items] == [True, False, True, True]
    assert items[1]["responseDetail"]["status"] == 404
    assert items[0]["result"]["value"] == items[3]["result"]["value"] == 230.1


@pytest.mark.parametrize("depth", [0, 2, 7])
async def test_qry_05_components_below_a_device(i3x: I3xWorld, depth: int) -> None:
    found = await i3x.value(DRIVE, maxDepth=depth)
    assert found["components"].keys() == {path for path in VALUES if path.startswith(DRIVE)}
    for path, vqt in found["components"].items():
        held(vqt)
        assert vqt["value"] == found["value"][path.rpartition("/")[2]]
    assert "components" not in await i3x.value(SPEED, maxDepth=depth)
    assert "components" not in await i3x.value("a/l", maxDepth=depth)


async def test_more_components_than_the_limit_are_206(i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.current_values.MOST_COMPONENTS", 5)
    found = await i3x.post("/objects/value", 206, elementIds=[DRIVE, "a/l/one"], maxDepth=0)
    assert (found["success"], found["responseDetail"]["status"]) == (True, 206)
    assert [len(item["result"]["components"]) for item in found["results"]] == [5, 0]
    assert (await i3x.value("a/l/one", maxDepth=0))["components"].keys() == {ENERGY, VOLTAGE}


async def test_qry_06_no_components_unless_they_are_asked_for(i3x: I3xWorld) -> None:
    for body in ({}, {"maxDepth": 1}, {"maxDepth": None}):
        found = await i3x.value(DRIVE, **body)
        assert found["isComposition"] is True
        assert "components" not in found


async def test_qry_07_history_is_a_list_by_time(i3x: I3xWorld) -> None:
    second = 1_000_000
    await i3x.store(SPEED, *((NOON_US + n * second, float(n), 192) for n in range(3)), (NOON_US - 1, 9.0, 192))
    speed, line = await i3x.results("/objects/history", [SPEED, "a/l"], **SPAN)
    assert speed["result"]["isComposition"] is False
    assert [(vqt["value"], vqt["timestamp"]) for vqt in speed["result"]["values"]] == [
        (0.0, "2026-09-01T12:00:00Z"),
        (1.0, "2026-09-01T12:00:01Z"),
        (2.0, "2026-09-01T12:00:02Z"),
    ]
    assert line["result"]["values"] == [{"value": None, "quality": "GoodNoData", "timestamp": "2026-09-01T12:00:00Z"}]


async def test_qry_08_stored_values_lie_in_the_span_and_follow_the_rules(i3x: I3xWorld) -> None:
    hour = 3_600_000_000
    rows = ((NOON_US, 1.0, 192), (NOON_US + 5, None, 0), (NOON_US + 9, 2.0, 64), (NOON_US + hour, 3.0, 192))
    await i3x.store(SPEED, *rows, (NOON_US + hour + 1, 4.0, 192))
    (item,) = await i3x.results("/objects/history", [SPEED], **SPAN)
    values = item["result"]["values"]
    for vqt in values:
        held(vqt)
    assert [(vqt["value"], vqt["quality"]) for vqt in values] == [
        (1.0, "Good"),
        (None, "Bad"),
        (2.0, "Uncertain"),
        (3.0, "Good"),
    ]
    assert values[1]["timestamp"] == "2026-09-01T12:00:00.000005Z"


async def test_qry_09_an_unknown_object_has_no_history(i3x: I3xWorld) -> None:
    good, bad = await i3x.results("/objects/history", [SPEED, NOBODY], **SPAN)
    assert good["success"]
    assert bad["responseDetail"]["status"] == 404


async def test_qry_10_history_wants_both_ends_as_rfc_3339(i3x: I3xWorld) -> None:
    wrong: list[dict[str, Any]] = [
        {"endTime": SPAN["endTime"]},
        {"startTime": SPAN["startTime"]},
        {**SPAN, "startTime": "not-a-date"},
        {**SPAN, "startTime": "2026-09-01T12:00:00"},
        {**SPAN, "endTime": "2026-09-01"},
        {"startTime": SPAN["endTime"], "endTime": SPAN["startTime"]},
        {**SPAN, "endTime": 5},
    ]
    for span in wrong:
        found = await i3x.post("/objects/history", 400, elementIds=[SPEED], **span)
        assert found["responseDetail"]["status"] == 400, span
    (item,) = await i3x.results(
        "/objects/history", [SPEED], startTime="2026-09-01T14:00:00+02:00", endTime="2026-09-01T12:00:00Z"
    )
    assert item["success"]
    assert (await i3x.post("/objects/history", **SPAN))["results"] == []
    (item,) = await i3x.results(
        "/objects/history", [SPEED], startTime="1970-01-01T00:00:00Z", endTime="9999-12-31T23:59:59.999999Z"
    )
    assert item["success"]


async def test_qry_11_history_of_components(i3x: I3xWorld) -> None:
    second = 1_000_000
    await i3x.store(ENERGY, (NOON_US, 1.0, 192), (NOON_US + 2 * second, 2.0, 192))
    await i3x.store(VOLTAGE, (NOON_US + second, 230.0, 192), (NOON_US + 2 * second, 231.0, 64))
    (deep,) = await i3x.results("/objects/history", ["a/l/one"], maxDepth=2, **SPAN)
    result = deep["result"]
    assert result["isComposition"] is True
    assert {path: [vqt["value"] for vqt in part["values"]] for path, part in result["components"].items()} == {
        ENERGY: [1.0, 2.0],
        VOLTAGE: [230.0, 231.0],
    }
    assert [(vqt["value"], vqt["quality"]) for vqt in result["values"]] == [
        ({"energy": 1.0, "voltage": None}, "Uncertain"),
        ({"energy": 1.0, "voltage": 230.0}, "Good"),
        ({"energy": 2.0, "voltage": 231.0}, "Uncertain"),
    ]
    (flat,) = await i3x.results("/objects/history", ["a/l/one"], **SPAN)
    assert flat["result"]["values"] == result["values"]
    assert "components" not in flat["result"]


async def test_more_history_than_the_limit_is_206_with_the_newest(
    i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.stored_values.MOST_VALUES", 3)
    await i3x.store(SPEED, *((NOON_US + n, float(n), 192) for n in range(5)))
    found = await i3x.post("/objects/history", 206, elementIds=[SPEED], **SPAN)
    assert [vqt["value"] for vqt in found["results"][0]["result"]["values"]] == [2.0, 3.0, 4.0]
    assert found["responseDetail"]["status"] == 206
