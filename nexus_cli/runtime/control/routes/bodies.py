"""How bodies are read and answers written, and how a large one is read without holding up everything else.

Their shapes are in `wire/control.py`. A deployment may have 64 MiB. Read in one piece, on the loop or in a thread, it stops
the whole process for seconds: Python's parsers let no other thread run. So it is split by a scanner that builds nothing, and
read resource by resource.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import msgspec
import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from nexus_cli.apply import request as apply
from nexus_cli.json_value import JsonObject, JsonValue
from nexus_cli.wire import control
from nexus_cli.wire.control import MOST_RESOURCES, DeploymentRequest, Question

LARGEST_RESOURCE = 8 * 2**20
"""Bytes of one resource, and of everything beside them: a device of 10,000 tags has about 4 MB."""

LONGEST_WORDS = 300
"""Characters of a refusal."""

Name = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""In a path. A NUL can't be stored as text."""
Asked = TypeVar("Asked", bound=Question)

_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])


def answer(body: msgspec.Struct, *, status: int = 200) -> Response:
    """JSON."""
    return Response(control.encode(body), status_code=status, media_type="application/json")


def reader(shape: type[Asked]) -> Callable[[Request], Awaitable[Asked]]:
    """A dependency that reads the body of a request; raises RequestValidationError when it has another shape."""

    async def read(request: Request) -> Asked:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise _refused("", "the content type must be application/json")
        body = await request.body()
        if not body:
            raise _refused("", "it is empty")
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _refused("", _words(error)) from None

    return read


def documented(shape: type[msgspec.Struct]) -> JsonObject:
    """The entry of `/openapi.json` for a route whose body has this type."""
    content = {"application/json": {"schema": schema_of(shape)}}
    return {"requestBody": {"required": True, "content": content}}


def schema_of(shape: type[msgspec.Struct]) -> JsonObject:
    """The JSON Schema of a body, whole in itself."""
    (schema,), named = msgspec.json.schema_components([shape], ref_template="{name}")
    return _inlined(schema, named)


def _inlined(schema: JsonObject, named: JsonObject) -> JsonObject:
    """The same schema with what it refers to in the place of each reference."""

    def inner(part: JsonValue) -> JsonValue:
        if isinstance(part, list):
            return [inner(each) for each in part]
        return _inlined(part, named) if isinstance(part, dict) else part

    found = {**named[schema["$ref"]], **schema} if "$ref" in schema else schema
    return {key: inner(each) for key, each in found.items() if key != "$ref"}


async def read_deployment(body: bytes) -> tuple[apply.DeploymentRequest, dict[str, int]]:
    """A deployment and the counts of its plan, from JSON.

    Raises:
        RequestValidationError: It is not a deployment.
    """
    read = await asyncio.to_thread(_read, body)
    asked = apply.DeploymentRequest(
        base_digest=read.base_digest,
        desired_digest=read.desired_digest,
        changed=read.changed,
        moved=read.plan.moved,
        allow=read.allow,
        reason=read.reason,
    )
    return asked, read.plan.summary


def _read(body: bytes) -> DeploymentRequest:
    try:
        outer = _parts.decode(body)
        changed = _parts.decode(outer.pop("changed", b"{}"))
        if len(changed) > MOST_RESOURCES:
            raise _refused("changed", f"at most {MOST_RESOURCES} resources")
        values: JsonObject = {name: _value(name, part) for name, part in outer.items()}
        values["changed"] = {address: _value(address, part) for address, part in changed.items()}
        return msgspec.convert(values, DeploymentRequest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refused("", _words(error)) from None


def _words(error: Exception) -> str:
    """The parser's words, short: they repeat a name that the caller sent, however long."""
    text = str(error)
    if "matching regex" in text:  # the one pattern that a body has: `NO_NUL`
        _, _, where = text.rpartition(" - at ")
        text = f"text must not contain NUL - at {where}"
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"


def _value(name: str, part: msgspec.Raw) -> JsonValue:
    if len(memoryview(part)) > LARGEST_RESOURCE:
        raise _refused(name, f"larger than {LARGEST_RESOURCE // 2**20} MiB")
    value: JsonValue = orjson.loads(memoryview(part))
    return value


def _refused(where: str, why: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", where) if where else ("body",), "msg": why, "type": "value_error"}])
