"""Declared messages with their fields, their preview, and the names on which a caller has a right, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.settings import Settings
from tests.integration.web_world import WebWorld, web_world

pytestmark = [pytest.mark.needs_database]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["order"],
    "additionalProperties": False,
    "properties": {
        "order": {"type": "string", "description": "Its number."},
        "amount": {"type": "integer", "minimum": 1},
        "mode": {"enum": ["auto", "hand"]},
        "source": {"type": "string"},
    },
}
MESSAGE = {"topic": "erp/orders/{line}", "schema": SCHEMA, "payload": {"source": "nexus"}, "description": "An order."}
STEP = {"do": "wait", "wait_ms": 1}


@pytest.fixture
async def web(database: Settings, tmp_path: Path) -> AsyncIterator[WebWorld]:
    more: dict[str, Any] = {"message__order": MESSAGE, "sequence__warm-up": {"steps": [STEP]}}
    more |= {"role__writer": {"read": ["**"], "write": ["a/l/one/energy"]}, "user__will": {"roles": ["writer"]}}
    async with web_world(database, tmp_path, **more) as world:
        yield world


async def preview(web: WebWorld, user: str = "erik", **asked: Any) -> dict[str, Any]:
    answer = await web.ask("POST", "/messages/order/preview", user=user, json=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_messages_have_the_fields_of_their_schema_and_topic(web: WebWorld) -> None:
    (found,) = (await web.ask("GET", "/messages", user="erik")).json()["messages"]
    assert (found["name"], found["topic"], found["may_publish"]) == ("order", "erp/orders/{line}", True)
    assert found["payload"] == {"source": "nexus"}
    fields = {each["name"]: each for each in found["fields"]}
    assert list(fields) == ["order", "amount", "mode", "line"], "what is fixed can't be set"
    assert fields["order"] == {"name": "order", "kinds": ["string"], "required": True, "description": "Its number."}
    assert fields["amount"]["range"] == [1, None] and fields["amount"]["kinds"] == ["integer"]
    assert fields["mode"]["values"] == ["auto", "hand"] and not fields["mode"]["required"]
    assert fields["line"]["required"], "the topic needs it"


async def test_who_may_neither_publish_nor_see_messages_sees_none(web: WebWorld) -> None:
    assert (await web.ask("GET", "/messages", user="vera")).json() == {"messages": []}
    refused = await web.ask("POST", "/messages/order/preview", user="vera", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "NX6403")
    (seen,) = (await web.ask("GET", "/messages", user="lars")).json()["messages"]
    assert not seen["may_publish"], "who deploys sees it"
    assert (await web.ask("POST", "/messages/nothing/preview", user="erik", json={})).json()["code"] == "NX6840"


async def test_a_preview_reads_what_was_typed_and_names_the_field_that_is_wrong(web: WebWorld) -> None:
    texts = {"order": "17", "amount": "3", "line": "one"}
    found = await preview(web, texts=texts)
    assert (found["topic"], found["payload"]) == (
        "erp/orders/one",
        {"source": "nexus", "order": "17", "amount": 3},
    )
    assert found["set"] == {"order": "17", "amount": 3, "line": "one"} and found["problems"] == []
    for changed, field, words in [
        ({"amount": "many"}, "amount", "is to be integer"),
        ({"amount": "0"}, "amount", "0 is less than the minimum of 1"),
        ({"mode": "slow"}, "mode", "is not one of"),
        ({"line": "a/b"}, "line", "can't be used in a topic"),
        ({"ordre": "1"}, "ordre", "there is no field 'ordre'"),
    ]:
        refused = await preview(web, texts={**texts, **changed})
        (problem,) = refused["problems"]
        assert problem["field"] == field and words in problem["message"], problem
        assert (refused["topic"], refused["payload"]) == ("", None)
    (missing,) = (await preview(web, texts={"line": "one"}))["problems"]
    assert (missing["field"], missing["message"]) == ("order", "'order' is a required property")
    (fixed,) = (await preview(web, set={"source": "me"}, texts=texts))["problems"]
    assert "'source' is fixed" in fixed["message"]
    deep: Any = 1
    for _ in range(600):
        deep = [deep]
    for value in (2**64, -(2**70), [2**64], deep):
        (wrong,) = (await preview(web, set={"amount": value}, texts={"order": "17", "line": "one"}))["problems"]
        assert wrong["field"] == "amount" and "can't be JSON" in wrong["message"]
    both = await preview(web, texts={"amount": "many"}, set={"order": "1"})
    assert [each["field"] for each in both["problems"]] == ["amount"]


async def test_permissions_are_those_that_control_decides_on(web: WebWorld) -> None:
    async def of(user: str, **asked: str) -> dict[str, Any]:
        found: dict[str, Any] = (await web.ask("GET", "/permissions", user=user, params=asked)).json()
        return found

    nothing = {"run": [], "publish": [], "acknowledge": [], "apply": []}
    assert await of("nina") == nothing and await of("vera") == nothing
    assert await of("otto") == {**nothing, "run": ["warm-up"], "acknowledge": ["cold", "hot"]}
    assert (await of("dora"))["acknowledge"] == ["cold"], "what a role denies no other gives"
    assert await of("lars") == {**nothing, "apply": ["a/l/**"]}
    narrow = await web.people.token("otto", scopes=["alerts:read"])
    assert (await web.ask("GET", "/permissions", token=narrow)).json() == nothing, "a token bounds what it shows"
    serves = [
        (await of(user, device=path))["serves"] for user in ("ada", "lars", "vera") for path in ("a/l/one", "a/m/two")
    ]
    assert serves == [True, True, True, False, False, False]
    assert (await of("will", device="a/l/one"))["serves"] is False, "the tag takes no commands"
    assert (await of("vera", device="no/such/device"))["serves"] is False
