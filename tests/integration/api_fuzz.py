"""Requests made from what an API says of itself in `/openapi.json`: most of them fit, some do not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import httpx
import orjson

from tests.mutation import JUNK

WORDS = ("vera", "ada", "nexus.cli", "hot", "*", "state:read", "x" * 2000, "a\0b", "é", "")


def value_of(schema: dict[str, Any], chance: random.Random, *, depth: int = 0, words: Sequence[str] = WORDS) -> Any:
    """A value that a schema describes, or, now and then, one that it does not."""
    if chance.random() < 0.12 or depth > 5:
        return chance.choice(JUNK)
    if "enum" in schema:
        return chance.choice(schema["enum"])
    if "anyOf" in schema:
        return value_of(chance.choice(schema["anyOf"]), chance, depth=depth + 1, words=words)
    kind = schema.get("type", "string")
    if kind == "object":
        found = {}
        for name, inner in schema.get("properties", {}).items():
            if name in schema.get("required", ()) or chance.random() < 0.5:
                found[name] = value_of(inner, chance, depth=depth + 1, words=words)
        inner = schema.get("additionalProperties")
        if isinstance(inner, dict) and inner:
            name = chance.choice(("device.a/l/one", "user.vera", "role.x", "x", "", "a.b"))
            found[name] = value_of(inner, chance, depth=depth + 1, words=words)
        return found
    if kind == "array":
        return [
            value_of(schema.get("items") or {}, chance, depth=depth + 1, words=words)
            for _ in range(chance.randrange(3))
        ]
    if kind in ("integer", "number"):
        low = int(schema.get("minimum", 0))
        return chance.choice((low, low + 1, schema.get("maximum", 100), low - 1, 2**62))
    if kind == "boolean":
        return chance.random() < 0.5
    if kind == "null":
        return None
    return chance.choice(words)


def request_of(
    path: str, what: dict[str, Any], chance: random.Random, *, words: Sequence[str] = WORDS
) -> tuple[str, dict[str, str], bytes | None]:
    """Path, query and body of one request; enterprise and site are left open.

    Args:
        path: Of the route, as described.
        what: The description of its method.
        chance: Decides.
        words: Texts to choose from.
    """
    query = {}
    for one in what.get("parameters", ()):
        value = value_of(one["schema"], chance, words=words)
        if one["in"] == "path" and one["name"] not in ("enterprise", "site"):
            text = httpx.URL("http://x", params={"v": str(value)[:300] or "x"}).query.decode()[2:]
            path = path.replace("{" + one["name"] + "}", text.replace("+", "%20"))
        elif one["in"] == "query" and chance.random() < 0.7:
            query[one["name"]] = str(value)[:300]
    body = what.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    sent = None if body is None else orjson.dumps(value_of(body, chance, words=words), default=str)
    return path, query, sent
