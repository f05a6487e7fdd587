"""The request bodies, and how a large one is parsed without blocking the process.

A deployment may have 64 MiB. Parsing it at once, on the event loop or in a thread, blocks the whole process for
seconds, since Python's parsers hold the GIL. So it is split by a scanner that builds no objects, and parsed resource by
resource.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nexus_cli.apply.request import DeploymentRequest

LARGEST_RESOURCE = 8 * 2**20
"""Limit of one resource, and of the rest of the body, in bytes: a device with 10,000 tags has about 4 MB."""
MOST_RESOURCES = 100_000

Name = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
"""A NUL can't be stored as text."""


class Body(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class PlanSummary(BaseModel):
    """The part of the plan that control needs; it computes the rest itself."""

    model_config = ConfigDict(extra="ignore")

    moved: list[tuple[Name, Name]] = Field(default_factory=list, max_length=10_000)
    summary: dict[Name, Annotated[int, Field(ge=0, lt=2**53)]] = Field(default_factory=dict, max_length=100)


class DeploymentBody(Body):
    """A deployment."""

    base_digest: Name
    desired_digest: Name
    changed: dict[Name, dict[str, Any] | None] = Field(min_length=1, max_length=MOST_RESOURCES)
    plan: PlanSummary = Field(default_factory=PlanSummary)
    reason: str = Field(default="", max_length=1000, pattern=r"^[^\x00]*$")
    allow: list[Name] = Field(default_factory=list, max_length=1000)


BODY_SCHEMA: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": DeploymentBody.model_json_schema()}}}
}
"""For `/openapi.json`, since the body is parsed by hand."""

_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def read_deployment(body: bytes) -> tuple[DeploymentRequest, dict[str, int]]:
    """A deployment and the counts of its plan, from JSON.

    Raises:
        RequestValidationError: It is not a deployment.
    """
    read = await asyncio.to_thread(_read, body)
    asked = DeploymentRequest(
        base_digest=read.base_digest,
        desired_digest=read.desired_digest,
        changed=read.changed,
        moved=read.plan.moved,
        allow=read.allow,
        reason=read.reason,
    )
    return asked, read.plan.summary


def _read(body: bytes) -> DeploymentBody:
    try:
        outer = _parts.decode(body)
        changed = _parts.decode(outer.pop("changed", b"{}"))
        if len(changed) > MOST_RESOURCES:
            raise _refused("changed", f"at most {MOST_RESOURCES} resources")
        values: dict[str, Any] = {name: _value(name, part) for name, part in outer.items()}
        values["changed"] = {address: _value(address, part) for address, part in changed.items()}
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refused("", str(error)) from None
    try:
        return DeploymentBody.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found[:1]]) from None


def _value(name: str, part: msgspec.Raw) -> Any:
    if len(memoryview(part)) > LARGEST_RESOURCE:
        raise _refused(name, f"larger than {LARGEST_RESOURCE // 2**20} MiB")
    return orjson.loads(memoryview(part))


def _refused(where: str, why: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", where) if where else ("body",), "msg": why, "type": "value_error"}])
