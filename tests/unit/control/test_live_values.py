"""Conditions over what others publish: a value that is not of the tag's type is none."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.control.live_values import Condition, LiveValues
from nexus_cli.wire.topic import Topics

TOPICS = Topics("acme", "chicago")
PATH = "a/l/d/t"


def holds(value: Any, *, kind: str, text: str) -> bool | None:
    values = LiveValues(TOPICS)
    values.want([PATH])
    values.hear(TOPICS.tag(PATH), orjson.dumps({"value": value, "quality": "GOOD"}))
    return Condition(text, {PATH: TagConfig(type=kind)}).holds(values)


@pytest.mark.parametrize("value", ["9" * 5_000, "\u0663" * 3, "--1", [1], {"a": 1}, [[1]] * 3])
def test_what_is_no_integer_decides_nothing(value: Any) -> None:
    assert holds(value, kind="int64", text="{a/l/d/t} > 5") is None


def test_a_64_bit_integer_comes_as_text() -> None:
    assert holds(str(-(2**63)), kind="int64", text="{a/l/d/t} == 0 - 9223372036854775807 - 1") is True
    assert holds(str(2**64 - 1), kind="uint64", text="{a/l/d/t} > 5") is True
