"""What our encoders write is what the published schemas say."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import orjson
import pytest

from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.health import lost_payload
from nexus_cli.wire.frame import Committed, Frame, Gap, encode
from nexus_cli.wire.frame_batch import encode_batch, from_frame
from nexus_cli.wire.payload import encode_live
from nexus_cli.wire.sample import REASONS, Quality, Reason
from nexus_cli.wire.schemas import _MESSAGES, message_schemas
from tests.contract.message_examples import DIGEST, EXAMPLES, VALUES, places, removed, replaced

SCHEMAS = message_schemas()
ACCEPTED = Path(__file__).with_name("accepted_by_schemas.txt")
FRAME = Frame(
    epoch="01J",
    seq=1,
    time=1_700_000_000_000_000,
    samples={"a": 1.5, "b": None, "c": [1, 2], "d": {"x": "y"}, "e": True},
    quality={"b": ("BAD", Reason.LINK_LOST, 7), "a": ("UNCERTAIN", None, 0)},
    source_time={"a": 1_700_000_000_000_001},
)


def validator(name: str) -> Any:
    jsonschema.Draft7Validator.check_schema(SCHEMAS[name])
    return jsonschema.Draft7Validator(SCHEMAS[name])


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("frame", encode(FRAME)),
        ("gap", encode(Gap(epoch="01J", seq=2, device="", start=1, end=2, frames=3, reason="overflow"))),
        ("committed", encode(Committed(epoch="01J", ranges=[(1, 5), (7, 7)]))),
        ("live", encode_live(84.0, time_us=1, unit="degC", label="on", source_time_us=2)),
        ("live", encode_live(float("nan"), time_us=1)),
        ("live", encode_live(2**60, time_us=1, quality=Quality.UNCERTAIN, reason=Reason.OUT_OF_RANGE)),
        ("health", lost_payload(role="gateway", name="gw-1")),
        ("health", orjson.dumps({"state": "running", "clock": {**SystemClock().facts(), "doubtful_since": 0}})),
        ("config", json.dumps({"deployment": 3, "digest": DIGEST}).encode()),
    ],
)
def test_encoded_messages_fit(name: str, payload: bytes) -> None:
    validator(name).validate(json.loads(payload))


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_published(reason: Reason) -> None:
    payload = encode_live(None, time_us=1, quality=Quality.BAD, reason=reason)
    validator("live").validate(json.loads(payload))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("frame", {"epoch": "01J", "seq": 0, "time": 1, "samples": {}}),
        ("frame", {"epoch": "01J", "seq": 1, "time": 1.5, "samples": {}}),
        ("committed", {"epoch": "01J", "ranges": [[1, 2, 3]]}),
        ("live", {"value": 1, "timestamp": 1, "quality": "good"}),
        ("config", {"deployment": 1, "digest": "md5:0"}),
        ("command", {"id": "", "value": 1, "expires_at": 1}),
        ("response", {"id": "1", "state": "maybe"}),
        ("observed", {"deployment": 1, "digest": DIGEST}),
    ],
)
def test_what_does_not_fit_is_refused(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator(name).validate(wrong)


def as_json(value: Any) -> Any:
    """MessagePack as its schema says it: bin as base64, names as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): as_json(each) for key, each in value.items()}
    return [as_json(each) for each in value] if isinstance(value, list | tuple) else value


def test_a_frame_batch_is_what_its_schema_says() -> None:
    batch = encode_batch([from_frame("a/l/d", FRAME), from_frame("a/l/e", FRAME)], epoch="01J", seq=1)
    written = as_json(msgspec.msgpack.decode(batch, strict=False))
    validator("frame-batch").validate(written)
    assert written.keys() == EXAMPLES["frame-batch"].keys() - {"positions"}
    assert (written["shapes"], written["tags"]) == ([["a/l/d", 0], ["a/l/e", 0]], [list(FRAME.samples)])


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "frame-batch"])  # it is not JSON on the wire
def test_a_struct_reads_and_writes_what_its_schema_accepts(name: str) -> None:
    example = EXAMPLES[name]
    written = json.loads(msgspec.json.encode(msgspec.convert(example, _MESSAGES[name].type)))
    validator(name).validate(written)
    # A health message has more than is promised, and defaults stay out of the record.
    assert {key: written.get(key, value) for key, value in example.items()} == example


def accepted(name: str, takes: Callable[[Any], bool]) -> Iterator[str]:
    """What is accepted of a kind of message: by place, which values, and whether it may be left out."""
    example = EXAMPLES[name]
    assert takes(example), name
    yield f"{name}: {'other' if takes({**example, 'other': 1}) else 'no other'} fields"
    for path in places(example):
        values = " ".join(shown for shown, value in VALUES.items() if takes(replaced(example, path, value)))
        absent = "optional" if takes(removed(example, path)) else "required"
        yield f"{name} {'.'.join(map(str, path))}: {absent}; {values}"


def test_what_the_schemas_accept_does_not_change() -> None:
    """The file says what each field takes. A line that changes changes the contract with readers and senders."""
    assert EXAMPLES.keys() == SCHEMAS.keys()
    lines = [line for name in EXAMPLES for line in accepted(name, validator(name).is_valid)]
    if os.environ.get("NEXUS_SNAPSHOT"):
        ACCEPTED.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == ACCEPTED.read_text(encoding="utf-8").splitlines()
