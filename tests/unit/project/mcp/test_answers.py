"""Answers within their caps, and failures in a sentence."""

from __future__ import annotations

import pytest
from mcp_types import TextContent

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.mcp.answers import (
    MOST_CHARACTERS,
    ROWS_CHARACTERS,
    TEXT_CHARACTERS,
    capped,
    failed,
    reply,
    shown,
)
from nexus_cli.project.mcp.find import Finds, Found


def rows(count: int) -> list[Found]:
    return [Found(path=f"a/l/d/t{number}", kind="tag", description="x" * 150) for number in range(count)]


def test_rows_that_fit_are_given_and_the_others_are_counted() -> None:
    few, nothing = capped(rows(3), total=3, narrower="ask for less")
    assert (len(few), nothing) == (3, "")
    many, cut = capped(rows(1_000), total=5_000, narrower="ask for less", what="finds")
    assert 50 < len(many) < 1_000
    assert sum(len(each.model_dump_json()) for each in many) <= ROWS_CHARACTERS
    assert cut == f"{5_000 - len(many):,} of 5,000 finds are left out; ask for less"


def test_the_text_ends_where_its_room_ends() -> None:
    found = reply(Finds(found=[], total=0, cut="the rest"), [f"line {number} " + "y" * 80 for number in range(500)])
    (content,) = found.content
    assert isinstance(content, TextContent)
    assert len(content.text) <= TEXT_CHARACTERS
    assert content.text.endswith("more lines are in the structured answer.\nLeft out: the rest.")


def test_no_structure_is_larger_than_its_cap() -> None:
    with pytest.raises(NexusError) as raised:
        reply(Finds(found=rows(1_000), total=1_000), [])
    assert raised.value.code == "NX6943" and f"{MOST_CHARACTERS:,}" in raised.value.message


def test_the_caps_count_characters() -> None:
    found = [Found(path=f"a/l/d/t{number}", kind="tag", description="温" * 150) for number in range(1_000)]
    kept, _ = capped(found, total=1_000, narrower="ask for less")
    assert reply(Finds(found=kept, total=1_000), []).structured_content is not None


def test_a_long_value_is_cut() -> None:
    assert shown({"a": 1}) == {"a": 1}
    assert [shown(each) for each in (None, True, 4, 2.5, "text")] == [None, True, 4, 2.5, "text"]
    assert len(shown(["long"] * 1_000)) == 500 and shown("x" * 600).endswith("…")


def test_a_failure_is_a_sentence_with_code_cause_and_hint() -> None:
    error = NexusError("Web does not answer.", code="NX6941", cause="refused", hint="start it.", retriable=True)
    (content,) = failed(error).content
    assert isinstance(content, TextContent)
    assert content.text == "NX6941: Web does not answer. Cause: refused. Hint: start it. Trying again later can help."
