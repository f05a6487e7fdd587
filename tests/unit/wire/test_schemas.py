"""What gateways and clients write is what the published schemas say."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest

from nexus_cli.wire.command import Command, Report, Response, State, encode
from nexus_cli.wire.schemas import message_schemas

SCHEMAS = message_schemas()
RESPONSE = Response(id="a", state=State.DONE, path="a/l/d/t", time=1, value=1.5, old=1, read_back=1.5, unit="degC")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("command", Command(id="a.1", value={"x": [1]}, expires_at=1)),
        ("command", Command(id="a", value="on", expires_at=1, expect=False, reason="why")),
        ("response", RESPONSE),
        ("response", msgspec.structs.replace(RESPONSE, state=State.UNKNOWN, code="NX6816", detail="lost")),
        ("command-report", Report(epoch="e", seq=1, gateway="g", principal="p", received=1, response=RESPONSE)),
    ],
)
def test_messages_fit(name: str, message: Command | Response | Report) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMAS[name])
    jsonschema.Draft7Validator(SCHEMAS[name]).validate(json.loads(encode(message)))


def test_what_we_refuse_the_schema_refuses() -> None:
    validator = jsonschema.Draft7Validator(SCHEMAS["command"])
    for wrong in (
        {"id": "a/b", "value": 1, "expires_at": 1},
        {"id": "a", "value": 1},
        {"id": "a", "value": 1, "expires_at": 1, "other": 1},
        {"id": "a", "value": 1, "expires_at": 1, "reason": "x" * 501},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(wrong)
