"""How a deployment is read without holding up everything else.

It may have 64 MiB. Read in one piece, on the loop or in a thread, it stops the whole process for seconds: Python's parsers
let no other thread run. So it is split by a scanner that builds nothing, and read resource by resource.
"""

from __future__ import annotations

import asyncio

import msgspec
import orjson

from nexus_cli.apply import request as apply
from nexus_cli.json_value import JsonObject, JsonValue
from nexus_cli.runtime.api.bodies import refused, words
from nexus_cli.wire.approval import Approval
from nexus_cli.wire.control import MOST_RESOURCES, DeploymentRequest

LARGEST_RESOURCE = 8 * 2**20
"""Bytes of one resource, and of everything beside them: a device of 10,000 tags has about 4 MB."""

_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])


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
        effect=read.effect or "",
        approvals=_approvals(read.approvals or []),
        confirm_within_s=read.confirm_within_s or 0,
        undoes=read.undoes or 0,
        run_url=read.run_url or "",
        rollout=read.rollout or None,
        reach=read.plan.reach or None,
    )
    return asked, read.plan.summary


def _approvals(given: list[JsonObject]) -> list[Approval]:
    try:
        return msgspec.convert(given, list[Approval])
    except (msgspec.ValidationError, RecursionError) as error:
        raise refused("approvals", words(error)) from None


def _read(body: bytes) -> DeploymentRequest:
    try:
        outer = _parts.decode(body)
        changed = _parts.decode(outer.pop("changed", b"{}"))
        if len(changed) > MOST_RESOURCES:
            raise refused("changed", f"at most {MOST_RESOURCES} resources")
        values: JsonObject = {name: _value(name, part) for name, part in outer.items()}
        values["changed"] = {address: _value(address, part) for address, part in changed.items()}
        return msgspec.convert(values, DeploymentRequest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise refused("", words(error)) from None


def _value(name: str, part: msgspec.Raw) -> JsonValue:
    if len(memoryview(part)) > LARGEST_RESOURCE:
        raise refused(name, f"larger than {LARGEST_RESOURCE // 2**20} MiB")
    value: JsonValue = orjson.loads(memoryview(part))
    return value
