"""What every tool answers: a short text and a structure of the same, both within caps that say what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import orjson
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

from nexus_cli.diagnostics.errors import NexusError

MOST_CHARACTERS = 52_000
"""Of the structured part of an answer."""
ROWS_CHARACTERS = 45_000
"""Of its rows together: 500 points of a history."""
TEXT_CHARACTERS = 6_000
"""Of the text."""
LONGEST_VALUE = 500
"""Characters of one value, as JSON; of a longer one its beginning is given, as text."""
LONGEST_WORDS = 1_000

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
"""Of every tool but `write`: it changes nothing."""

Row = TypeVar("Row", bound=BaseModel)


class Answer(BaseModel):
    """What all answers have."""

    cut: str = Field(default="", description="What was left out, and how to ask more narrowly; empty: nothing was.")


def capped(
    rows: Sequence[Row], *, total: int, narrower: str, what: str = "rows", room: int = ROWS_CHARACTERS
) -> tuple[list[Row], str]:
    """The rows that fit, and what to say about those that don't.

    Args:
        rows: In order of importance.
        total: How many there are altogether, those included that are not in `rows`.
        narrower: How to ask for fewer.
        what: What a row is.
        room: Characters that they may have together.
    """
    kept: list[Row] = []
    size = 0
    for row in rows:
        size += len(row.model_dump_json()) + 1
        if size > room:
            break
        kept.append(row)
    left = total - len(kept)
    return kept, f"{left:,} of {total:,} {what} are left out; {narrower}" if left > 0 else ""


def short(text: str, *, most: int = LONGEST_WORDS) -> str:
    """A text, cut where it is long."""
    return text if len(text) <= most else text[: most - 1] + "…"


def shown(value: Any) -> Any:
    """A value as it is; of a long one the beginning of its JSON."""
    if value is None or isinstance(value, bool | int | float):
        return value
    written = value if isinstance(value, str) else orjson.dumps(value).decode()
    return value if len(written) <= LONGEST_VALUE else short(written, most=LONGEST_VALUE)


def reply(answer: Answer, lines: Iterable[str]) -> CallToolResult:
    """The answer of a tool: as many lines of text as fit, and the structure.

    Raises:
        NexusError: NX6943, the structure is too large all the same.
    """
    structure = answer.model_dump(mode="json")
    size = len(orjson.dumps(structure).decode())
    if size > MOST_CHARACTERS:
        raise NexusError(f"The answer has {size:,} characters; at most {MOST_CHARACTERS:,} are given.", code="NX6943")
    return CallToolResult(
        content=[TextContent(type="text", text=_text(list(lines), answer.cut))], structured_content=structure
    )


def _text(lines: list[str], cut: str) -> str:
    room = TEXT_CHARACTERS - len(cut) - 100
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            kept.append(f"… {len(lines) - len(kept):,} more lines are in the structured answer.")
            break
        kept.append(line)
    return "\n".join([*kept, *([f"Left out: {cut}."] if cut else [])])


def failed(error: NexusError) -> CallToolResult:
    """A failure as one plain sentence, with its code, cause and hint."""
    said = f"{error.code}: {error.message}"
    if error.cause:
        said += f" Cause: {error.cause.rstrip('.')}."
    if error.hint:
        said += f" Hint: {error.hint.rstrip('.')}."
    if error.retriable:
        said += " Trying again later can help."
    return CallToolResult(content=[TextContent(type="text", text=short(said, most=2_000))], is_error=True)
