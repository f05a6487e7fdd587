"""Damage for the tests that feed it to everything that reads: bytes changed, parts replaced, keys renamed.

How many damaged inputs each of them tries is `NEXUS_MUTATIONS` (else a default of its own that takes a second or two):
`NEXUS_MUTATIONS=10000 pytest -k mutated`.
"""

from __future__ import annotations

import os
import random
from copy import deepcopy
from typing import Any

import orjson

JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, 1e308, 2**53 + 1, 2**63, -(2**63), 2**64 - 1, "", " ", "x", "x" * 3000, "../.."),
    *("a\u0000b", "\u202e", "²", "--5", "é" * 200, "NaN", "1e999", "2026-01-31T06:00:00Z", "0000-00-00", "9" * 400, "${env:HOME}"),
    *([], [[]], [1, 2], ["x"], [None], {}, {"": {}}, {"a": {"b": [1]}}, [[1, 2], [2, 1]], [[0, 2**63 - 1]]),
)  # fmt: skip
KEYS = ("new", "tags", "connection", "value", "time", "epoch", "seq", "a/b/c", "é", "", "x" * 300)
BYTES = (
    b"\x00",
    b"null",
    b"1e999",
    b'"',
    b"{",
    b"[",
    b"-",
    b"9" * 30,
    b'"\\ud800"',
    b"\xff",
    b"\xed\xa0\x80",
    b"[" * 2000,
)


def mutations(default: int) -> int:
    """How many damaged inputs to try."""
    return int(os.environ.get("NEXUS_MUTATIONS") or default)


def mutated_bytes(payload: bytes, chance: random.Random) -> bytes:
    """The payload with one to four bytes changed, cut, doubled or put in."""
    data = bytearray(payload)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) or 1)
        kind = chance.randrange(4)
        if kind == 0 and data:
            data[at] = chance.randrange(256)
        elif kind == 1:
            data[at:at] = chance.choice(BYTES)
        elif kind == 2:
            del data[at : at + chance.randint(1, 30)]
        else:
            data[at:at] = data[: chance.randint(0, 40)]
    return bytes(data)


def mutated_json(body: object, chance: random.Random) -> Any:
    """A copy of JSON values with one to three places replaced, renamed or taken out."""
    copy = orjson.loads(orjson.dumps(body))
    for _ in range(chance.randint(1, 3)):
        node, parent, key = copy, None, None
        while isinstance(node, (dict, list)) and node and (parent is None or chance.random() < 0.8):
            parent = node
            key = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
            node = node[key]
        if parent is None:
            return deepcopy(chance.choice(JUNK))
        if isinstance(parent, dict) and chance.random() < 0.2:
            parent[chance.choice(KEYS)] = parent.pop(key)
        elif chance.random() < 0.1:
            del parent[key]
        else:
            parent[key] = deepcopy(chance.choice(JUNK))
    return copy


def mutated(body: object, chance: random.Random) -> bytes:
    """JSON text of the body, damaged as values or as bytes."""
    if chance.random() < 0.4:
        return mutated_bytes(orjson.dumps(body), chance)
    return orjson.dumps(mutated_json(body, chance))
