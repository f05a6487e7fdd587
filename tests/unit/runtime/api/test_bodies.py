"""Bodies of control's API: read by their shapes, documented whole."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request

from nexus_cli.runtime.api.bodies import documented, reader, schema_of
from nexus_cli.runtime.control.routes.deployment_body import read_deployment
from nexus_cli.wire.control import Addresses, DeploymentRequest, DevicePaths, Failure, PlanSummary
from nexus_cli.wire.control_sequences import PublishRequest, RunRequest
from nexus_cli.wire.control_steering import ClearRequest

BODY = {"base_digest": "a", "desired_digest": "b", "changed": {"site": None}}


def request(body: bytes, kind: str = "application/json; charset=utf-8") -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(
        {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", kind.encode())]}, receive
    )


async def test_a_body_is_read_by_its_shape() -> None:
    assert await reader(Addresses)(request(b'{"addresses": ["site"]}')) == Addresses(addresses=["site"])


async def test_a_text_with_a_wrong_character_is_said_so() -> None:
    with pytest.raises(RequestValidationError) as refused:
        await reader(ClearRequest)(request(b'{"topics": ["a/#"]}'))
    assert refused.value.errors()[0]["msg"] == "text has a character that has no place there - at `$.topics[0]`"
    with pytest.raises(RequestValidationError) as refused:
        await reader(DevicePaths)(request(b'{"paths": ["\\u0000"]}'))
    assert refused.value.errors()[0]["msg"] == "text must not contain NUL - at `$.paths[0]`"


@pytest.mark.parametrize("body", [b"", b"null", b"{", b"\xff", b'{"addresses": [1]}', b'{"moon": 1}', b"[" * 5000])
async def test_what_is_no_such_body_is_the_request_s_fault(body: bytes) -> None:
    with pytest.raises(RequestValidationError) as refused:
        await reader(Addresses)(request(body))
    assert refused.value.errors()[0]["loc"] == ("body",)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"])
async def test_a_body_of_another_type_is_refused(kind: str) -> None:
    with pytest.raises(RequestValidationError) as refused:
        await reader(Addresses)(request(b'{"addresses": ["site"]}', kind))
    assert refused.value.errors()[0]["msg"] == "the content type must be application/json"


async def test_a_refusal_is_short_and_says_what_is_wrong() -> None:
    long = orjson.dumps({"addresses": [], "x" * 1_000_000: 1})
    for body, words in (
        (long, "unknown field `xxx"),
        (b'{"addresses": ["a\\u0000"]}', "must not contain NUL - at `$.addresses[0]`"),
        (b"", "it is empty"),
    ):
        with pytest.raises(RequestValidationError) as refused:
            await reader(Addresses)(request(body))
        said = refused.value.errors()[0]["msg"]
        assert words in said and len(said) <= 301


async def test_a_deployment_is_read_in_pieces() -> None:
    plan = {"moved": [["a", "b"]], "summary": {"create": 1}, "impact": ["is control's own"]}
    asked, summary = await read_deployment(orjson.dumps({**BODY, "plan": plan, "allow": ["acl-widen"]}))
    assert (asked.changed, asked.moved, asked.allow, summary) == (
        {"site": None},
        [("a", "b")],
        ["acl-widen"],
        {"create": 1},
    )


@pytest.mark.parametrize(
    "change",
    [{"moon": 1}, {"changed": {}}, {"changed": {"site": 1}}, {"plan": {"summary": {"create": -1}}}, {"reason": "\0"}],
)
async def test_a_deployment_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RequestValidationError):
        await read_deployment(orjson.dumps({**BODY, **change}))


@pytest.mark.parametrize("shape", [Addresses, DevicePaths, DeploymentRequest, RunRequest, PublishRequest, Failure])
def test_a_schema_is_whole_in_itself(shape: Any) -> None:
    schema = schema_of(shape)
    assert b"$ref" not in orjson.dumps(schema) and set(schema["properties"]) == set(shape.__struct_fields__)
    content = documented(shape)["requestBody"]["content"]
    assert content == {"application/json": {"schema": schema}}


def test_the_schema_of_a_deployment_has_its_plan_in_it() -> None:
    plan = schema_of(DeploymentRequest)["properties"]["plan"]
    assert set(plan["properties"]) == set(PlanSummary.__struct_fields__)


def test_openapi_takes_them() -> None:
    app = FastAPI(responses={"default": {"description": "x", "content": {"application/json": schema_of(Failure)}}})

    @app.post("/x", openapi_extra=documented(DeploymentRequest))
    async def route() -> None: ...

    assert app.openapi()["paths"]["/x"]["post"]["requestBody"]["required"] is True
