"""Newest values with everything that belongs to them: unit, range, quality, reason and age."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.json_value import JsonObject
from nexus_cli.project.mcp.answers import shown
from nexus_cli.project.mcp.words import age_words, reason_words, time_text
from nexus_cli.wire.web_client import WebClient, in_path

AT_ONCE = 8
"""Requests on their way for one call."""
NOT_THERE = "NX6802"


class Value(BaseModel):
    """The newest value of a tag."""

    path: str
    value: Any = Field(default=None, description="In `unit`; null when the quality is BAD.")
    unit: str = ""
    label: str = Field(default="", description="Name of an enumeration's code.")
    range: list[float | None] | None = Field(default=None, description="[low, high] as declared; null is open.")
    quality: str = Field(default="BAD", description="GOOD, UNCERTAIN or BAD.")
    reason: str = Field(default="", description="Why it is not GOOD; empty: it is.")
    reason_text: str = Field(default="", description="The reason in words.")
    time: str = Field(default="", description="When it was read at its source, or received where it has no time.")
    age_s: float | None = Field(default=None, description="Seconds since then; null without a value.")
    age: str = Field(default="", description="The same in words.")
    problem: str = Field(default="", description="Why there is no answer for this path.")


async def newest(web: WebClient, paths: Sequence[str]) -> list[Value]:
    """The newest values in the order of the paths; a path that is not there, or may not be read, says so.

    Raises:
        NexusError: Web is away, or refuses the caller.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(path: str) -> Value:
        async with turns:
            try:
                found = await web.get(f"/values{in_path(path)}")
                card = await web.get(f"/tags{in_path(path)}")
            except NexusError as error:
                if error.code != NOT_THERE:
                    raise
                return Value(path=path, problem=f"{error.code}: {error.message}")
            return value_of(found, card)

    async with Group() as group:
        tasks = [group.create_task(one(path), name=f"read {path}") for path in paths]
    return [task.result() for task in tasks]


def value_of(found: JsonObject, card: JsonObject) -> Value:
    """A body of `/values` and the card of its tag as one value."""
    at = found.get("time") or found.get("received") or 0
    age_s = round(max(0.0, time.time() - at / 1e6), 1) if at else None
    reason = found.get("reason") or ""
    return Value(
        path=found["path"],
        value=shown(found.get("value")),
        unit=found.get("unit") or "",
        label=found.get("label") or "",
        range=card.get("range"),
        quality=found["quality"],
        reason=reason,
        reason_text=reason_words(reason) if reason else "",
        time=time_text(at),
        age_s=age_s,
        age=age_words(age_s) if age_s is not None else "",
    )


def line_of(value: Value) -> str:
    """One value as a line of text."""
    if value.problem:
        return f"{value.path}: {value.problem}"
    said = "no value" if value.value is None else " ".join(filter(None, (str(value.value), value.unit, value.label)))
    why = f" ({value.reason_text})" if value.reason_text else ""
    age = f", {value.age} old" if value.age else ""
    return f"{value.path} = {said} [{value.quality}{why}{age}{range_text(value.range, value.unit)}]"


def range_text(range_: Sequence[float | None] | None, unit: str) -> str:
    """`, range 0 to 80 °C`; "" without one."""
    if not range_:
        return ""
    low, high = ("open" if each is None else f"{each:g}" for each in range_)
    return f", range {low} to {high} {unit}".rstrip()
