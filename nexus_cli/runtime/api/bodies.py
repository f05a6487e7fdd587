"""How bodies are read and answers written. Their shapes are in `wire/control*.py` and `wire/web*.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from nexus_cli.json_value import JsonObject, JsonValue
from nexus_cli.wire import control
from nexus_cli.wire.control import NO_NUL, Question

LONGEST_WORDS = 300
"""Characters of a refusal."""

Name = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""In a path. A NUL can't be stored as text."""
Asked = TypeVar("Asked", bound=Question)


def answer(body: msgspec.Struct, *, status: int = 200) -> Response:
    """JSON."""
    return Response(control.encode(body), status_code=status, media_type="application/json")


def reader(shape: type[Asked], *, without: Asked | None = None) -> Callable[[Request], Awaitable[Asked]]:
    """A dependency that reads the body of a request; raises RequestValidationError when it has another shape.

    Args:
        shape: Of the body.
        without: What a request without a body means; None: it needs one.
    """

    async def read(request: Request) -> Asked:
        if without is not None and not await request.body():
            return without
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise refused("", "the content type must be application/json")
        body = await request.body()
        if not body:
            raise refused("", "it is empty")
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise refused("", words(error)) from None

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


def words(error: Exception) -> str:
    """The parser's words, short: they repeat a name that the caller sent, however long."""
    text = str(error)
    if "matching regex" in text:  # it would be shown as a pattern
        _, _, where = text.rpartition(" - at ")
        said = "must not contain NUL" if repr(NO_NUL) in text else "has a character that has no place there"
        text = f"text {said} - at {where}"
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"


def refused(where: str, why: str) -> RequestValidationError:
    """The error of a body that can't be read: at which part, and why."""
    return RequestValidationError([{"loc": ("body", where) if where else ("body",), "msg": why, "type": "value_error"}])
