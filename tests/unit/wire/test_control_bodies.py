"""The bodies of control's API: what is on the wire, byte for byte, and what is refused."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import orjson
import pytest

from nexus_cli.diagnostics.printable import plain
from nexus_cli.wire import control, control_audit, control_sequences
from nexus_cli.wire.control import Body, Question, as_object, encode

SHAPES = [
    shape
    for module in (control, control_audit, control_sequences)
    for _, shape in inspect.getmembers(module, inspect.isclass)
    if issubclass(shape, (Body, Question)) and shape.__module__ == module.__name__
]
PROGRESS: dict[str, Any] = {
    "number": 7,
    "who": "nexus.cli",
    "reason": "",
    "state": "ended",
    "outcome": "partly",
    "started": 1,
    "ended": None,
    "counts": {"applied": 1},
    "left_out": 0,
    "allow": ["data-loss"],
    "run_url": "",
    "undoes": 2,
    "confirmation": {
        "number": 7,
        "state": "waiting",
        "within_s": 300,
        "left_s": 12.5,
        "who": "",
        "reason": "",
        "at": 3,
        "undone_by": 0,
        "problem": "",
    },
    "journal": [{"id": 1, "step": "record", "subject": "", "state": "begun", "detail": {"b": [1.5], "a": {}}, "at": 2}],
    "table": [
        {"state": "applied", "action": "create", "detail": "", "address": "site", "gateway": "", "verification": ""}
    ],
}
ABORTED: dict[str, Any] = {
    "id": "r1",
    "name": "fill",
    "who": "anna",
    "reason": "order 17",
    "state": "running",
    "detail": {"code": "NX6836", "step": 2, "detail": "aborted", "aborted_by": "anna", "abort_branch": "done"},
    "steps": 3,
    "set": {"z": 1, "a": "x"},
    "started": 5,
    "ended": 6,
    "journal": [
        {
            "id": 9,
            "step": 1,
            "branch": "steps",
            "text": "write",
            "state": "done",
            "detail": {"old": None, "command": "r1.1", "written": 18446744073709551615, "read_back": [1, {"a": None}]},
            "at": 7,
        }
    ],
    "again": True,
}


@pytest.mark.parametrize(
    ("shape", "document"),
    [
        (control.DeploymentProgress, PROGRESS),
        (control_sequences.RunAborted, ABORTED),
        (
            control_audit.AuditTrail,
            {
                "entries": [
                    {
                        "at": 1,
                        "kind": "command",
                        "what": "command",
                        "who": "desk",
                        "subject": "a/l/d/t",
                        "id": "x",
                        "state": "refused",
                        "value": None,
                        "old": 1e17,
                        "unit": "degC",
                        "gateway": "gw",
                    },
                    {"at": 2, "kind": "deployment", "what": "apply", "who": "ci", "subject": "deployment 3"},
                ],
                "truncated": False,
            },
        ),
        (
            control.DeploymentRequest,
            {
                "base_digest": "sha256:1",
                "desired_digest": "sha256:2",
                "changed": {"role.x": {"read": ["**"]}, "role.y": None},
                "plan": {"moved": [["a", "b"]], "summary": {"create": 1}},
                "reason": "",
                "allow": [],
            },
        ),
        (control_sequences.RunRequest, {"run": "r1", "reason": ""}),
        (control_sequences.RunRequest, {"run": "r1", "reason": "", "set": {"amount": 35.5}, "agreed": "sha256:3"}),
        (control.LockHeld, {"lock": None}),
        (
            control_sequences.Sequences,
            {
                "sequences": [
                    {
                        "name": "fill",
                        "steps": 1,
                        "writes": ["a/l/d/t"],
                        "parameters": {"amount": {"type": "float64", "range": [0.0, None]}, "note": {}},
                        "description": "",
                    }
                ],
                "runs": [],
            },
        ),
    ],
)
def test_what_is_read_is_written_byte_for_byte(shape: type[msgspec.Struct], document: dict[str, Any]) -> None:
    wire = orjson.dumps(document)
    assert encode(msgspec.json.decode(wire, type=shape)) == wire
    assert encode(msgspec.convert(document, shape)) == wire


@pytest.mark.parametrize("shape", [control.TableRow, control_sequences.RunEnd, control_sequences.StepFacts])
def test_what_is_kept_as_jsonb_has_its_order(shape: type[msgspec.Struct]) -> None:
    """By length, then by bytes (PostgreSQL 15, 8.14): rows that earlier versions wrote print as they did."""
    names = list(shape.__struct_fields__)
    assert names == sorted(names, key=lambda name: (len(name), name))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_body_is_frozen_has_named_fields_and_says_what_it_is(shape: type[msgspec.Struct]) -> None:
    assert shape.__struct_config__.frozen and shape.__doc__
    assert shape.__struct_config__.forbid_unknown_fields is issubclass(shape, Question)
    with pytest.raises(TypeError):
        shape("by position")


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (control.Addresses, b'{"addresses": [], "moon": 1}'),
        (control.Addresses, b'{"addresses": [""]}'),
        (control.Addresses, b'{"addresses": ["a\\u0000"]}'),
        (control.Addresses, b'{"addresses": ["' + b"a" * 501 + b'"]}'),
        (control.DevicePaths, b'{"paths": "all"}'),
        (control.DeploymentRequest, b'{"base_digest": "a", "desired_digest": "b", "changed": {}}'),
        (control.DeploymentRequest, b'{"base_digest": "a", "desired_digest": "b", "changed": {"site": 1}}'),
        (control_sequences.RunRequest, b'{"run": ""}'),
        (control_sequences.RunRequest, b'{"run": "r", "set": {"a": [1]}}'),
        (control_sequences.PublishRequest, b'{"set": []}'),
    ],
)
def test_a_question_of_another_shape_is_refused(shape: type[msgspec.Struct], body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=shape)


def test_a_plan_may_say_more_than_control_reads() -> None:
    body = b'{"base_digest": "a", "desired_digest": "b", "changed": {"site": null}, "plan": {"impact": []}}'
    assert msgspec.json.decode(body, type=control.DeploymentRequest).plan == control.PlanSummary()


def test_foreign_text_in_a_body_is_shown_as_text() -> None:
    line = control.JournalLine(id=1, step="record", state="failed", detail={"a\x1b": ["b\n"]})
    assert plain(line) == msgspec.structs.replace(line, detail={"a\\x1b": ["b\\n"]})
    assert as_object(control_sequences.RunEnd(step=1)) == {"step": 1}
    with pytest.raises(TypeError):
        as_object({})
