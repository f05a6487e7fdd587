"""NUL in JSON for columns of jsonb."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.database.nul import storable

TEXTS = st.text(alphabet=["\0", "\\", "u", "0", "a", '"', "\ufffd"], max_size=12)


@given(value=st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2)))
def test_only_a_nul_is_changed(value: Any) -> None:
    for instead, by in (("\\ufffd", "\ufffd"), ("", "")):
        assert orjson.loads(storable(orjson.dumps(value).decode(), instead=instead)) == replaced(value, by)


def replaced(value: Any, by: str) -> Any:
    if isinstance(value, str):
        return value.replace("\0", by)
    if isinstance(value, list):
        return [replaced(each, by) for each in value]
    return {replaced(key, by): replaced(each, by) for key, each in value.items()}


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "C:\\u0000"])
def test_a_text_that_only_looks_like_the_escape_stays(text: str) -> None:
    assert orjson.loads(storable(orjson.dumps(text).decode(), instead="")) == text
