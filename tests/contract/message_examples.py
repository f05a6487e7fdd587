"""One whole message of each kind, every field given; and what is put into their fields to see what a schema takes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

DIGEST = "sha256:" + "0" * 64
CLOCK = {
    "synchronised": None, "by": "system", "error_us": 1, "steps": 0, "last_step_us": -1, "ahead_us": -1, "turns": 0,
    "refused_floor_us": 0, "doubt": "", "doubtful_since": 0,
}  # fmt: skip
COUNTERS = {
    "accepted": 1, "published": 1, "repeated": 0, "missed_cycles": 0, "live_published": 0, "live_conflated": 0,
}  # fmt: skip
EXAMPLES: dict[str, dict[str, Any]] = {
    "frame": {
        "epoch": "01J", "seq": 1, "time": 1, "samples": {"a": 1.5, "b": None, "c": [1], "d": {"x": "y"}},
        "quality": {"b": ["BAD", "link_lost", 7], "c": ["UNCERTAIN", None, 0]}, "source_time": {"a": 2},
    },
    "frame-batch": {
        "format": 1, "epoch": "01J", "seq": 1, "shapes": [["a/l/d", 0]], "tags": [["a", "b"]], "frame_shape": "AAA=",
        "frame_time": "AQAAAAAAAAA=", "frame_count": "AAA=", "values": "AAAAAAAA+H8AAAAAAAD4fw==", "positions": "",
        "others": {"0": "x"}, "quality": {"1": ["BAD", "link_lost", 7]}, "source_time": "",
    },
    "gap": {"epoch": "01J", "seq": 2, "device": "", "start": 1, "end": 2, "frames": 3, "reason": "overflow"},
    "committed": {
        "epoch": "01J", "ranges": [[1, 5], [7, 7]], "earlier": [{"epoch": "01H", "ranges": [[1, 2]]}],
    },
    "live": {
        "value": 84.0, "timestamp": 1, "quality": "GOOD", "source_timestamp": 1, "unit": "degC", "label": "on",
        "reason": "out_of_range",
    },
    "health": {
        "state": "running", "time": 1, "instance": "i", "host": "h", "pid": 1, "term": 1, "accounted_since": 1,
        "version": "1", "role": "gateway", "name": "gw", "counters": COUNTERS, "clock": CLOCK, "stalled": ["x"],
        "links": {
            "tcp:x:1": {
                "state": "connected", "detail": "", "since": 1, "devices": 2, "answering": 1,
                "connect_ms": 3.5, "cycle_ms": 12.5, "requests": 2, "request_ms": 6.25,
            }
        },
        "limited": {"a/l/d": {"polled": ["t"], "count": 1, "why": "w"}},
    },
    "alert": {
        "name": "hot", "state": "active", "severity": "info", "tag": "a/l/d/t", "since": 1, "value": None,
        "description": "", "acknowledged_by": None, "priority": "high", "group": "g", "response": "r", "consequence": "c",
        "occurrence": 1, "changed": 2, "first_out": True, "shelved_until": 3, "shelved_by": "p", "shelved_reason": "r",
        "out_of_service": 4, "out_of_service_by": "p", "out_of_service_reason": "r", "suppressed_by": "cause",
    },
    "config": {"deployment": 3, "digest": DIGEST, "again": True},
    "observed": {
        "deployment": 3, "digest": DIGEST, "time": 1, "instance": "i", "removed": ["a"],
        "devices": {"a/l/d": {"digest": "", "state": "failed", "detail": "x"}},
        "verification": {"a/l/d": {"good": 1, "bad": 0, "reachable": True, "detail": "x"}},
    },
    "command": {"id": "a.1", "value": {"x": [1]}, "expires_at": 1, "expect": False, "reason": "why"},
    "response": {
        "id": "a", "state": "done", "path": "a/l/d/t", "time": 1, "value": 1.5, "old": 1, "read_back": 1.5,
        "unit": "degC", "code": "NX6816", "detail": "d",
    },
    "command-report": {
        "epoch": "e", "seq": 1, "gateway": "g", "principal": "p", "received": 1, "asked": 1, "expect": 2,
        "expires_at": 1, "reason": "", "response": {"id": "a", "state": "unknown"},
    },
    "signed": {
        "nexus_signed": 1, "key": "k", "time": 1, "nonce": "00112233445566778899aabbccddeeff", "payload": "e30=",
        "signature": "e30=",
    },
    "browse": {
        "id": "x", "device": "a/l/d", "read": "t", "link": "l", "connection": {"unit": 1}, "start": "",
        "nodes": [["n", [], True, False]], "depth": 1, "properties": True, "cancel": False, "expires_at": 1,
    },
    "browse-page": {
        "id": "x", "page": 1, "items": [[["v"], "n", "float64", "", "", False, {}]], "done": True, "error": "e",
        "again": True,
        "read": {
            "asked": "x", "bytes": "01", "raw": 1, "value": 1, "quality": "GOOD", "reason": "", "problem": "", "time": 1,
        },
    },
}  # fmt: skip
VALUES: dict[str, Any] = {
    "null": None, "true": True, "0": 0, "1": 1, "-1": -1, "1.5": 1.5, "empty text": "", "text": "x", "GOOD": "GOOD",
    "running": "running", "connected": "connected", "long text": "x" * 600, "digest": DIGEST, "md5": "md5:0",
    "[]": [], "[1]": [1], "[1,2]": [1, 2], "[1,2,3]": [1, 2, 3], "[a,b]": ["a", "b"], "[[1,2]]": [[1, 2]],
    "[[1,2,3]]": [[1, 2, 3]], "[7]": [1] * 7, "[[7]]": [[1] * 7], "[8 texts]": ["a"] * 8, "{}": {}, "{a:1}": {"a": 1},
    "{a:x}": {"a": "x"}, "{a:{}}": {"a": {}}, "{a:[]}": {"a": []}, "{a:[a,null,1]}": {"a": ["a", None, 1]},
    "{a:{state:up}}": {"a": {"state": "up"}}, "{a:{state:1}}": {"a": {"state": 1}},
}  # fmt: skip
Path = tuple[str | int, ...]


def places(node: Any, at: Path = ()) -> Iterator[Path]:
    """The path of everything in a message."""
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield (*at, key)
        yield from places(node[key], (*at, key))


def replaced(message: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The message with another value at the path."""
    made = copy.deepcopy(message)
    _parent(made, path)[path[-1]] = value
    return made


def removed(message: dict[str, Any], path: Path) -> dict[str, Any]:
    """The message without what is at the path."""
    made = copy.deepcopy(message)
    del _parent(made, path)[path[-1]]
    return made


def _parent(node: Any, path: Path) -> Any:
    for key in path[:-1]:
        node = node[key]
    return node
