"""Keys keep the order in which they were declared, through a column that sorts them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.database.ordered import ORDER, RESOURCE, from_jsonb, to_jsonb

KEYS = st.text("ab/~$é0", min_size=1, max_size=4)
VALUES = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "parameters": st.dictionaries(KEYS, VALUES, max_size=5),
        "steps": st.lists(st.fixed_dictionaries({"do": st.just("publish"), "fields": st.dictionaries(KEYS, VALUES)})),
        "payload": VALUES,
        "tags": st.dictionaries(KEYS, VALUES, max_size=5),
    },
)


def as_jsonb(text: str) -> str:
    """What PostgreSQL makes of it."""

    def sort(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: sort(value[key]) for key in sorted(value, key=lambda key: (len(key.encode()), key.encode()))}
        return [sort(one) for one in value] if isinstance(value, list) else value

    return orjson.dumps(sort(orjson.loads(text))).decode()


@given(DOCUMENTS)
def test_declared_order_comes_back(document: dict[str, Any]) -> None:
    back = from_jsonb(as_jsonb(to_jsonb(document, RESOURCE)))
    assert back == document
    assert list(back.get("parameters", ())) == list(document.get("parameters", ()))
    for one, other in zip(back.get("steps", ()), document.get("steps", ()), strict=True):
        assert orjson.dumps(one["fields"]) == orjson.dumps(other["fields"])
    assert orjson.dumps(back.get("payload")) == orjson.dumps(document.get("payload"))


def test_what_is_sorted_anyway_and_what_nobody_ordered_has_nothing_added() -> None:
    assert ORDER not in to_jsonb({"parameters": {"n": 1, "flag": 2}, "tags": {"zz": 1, "a": 2}}, RESOURCE)


def test_keys_that_came_or_went_in_between_do_no_harm() -> None:
    text = to_jsonb({"parameters": {"zz": 1, "a": 2, "b": 3}}, RESOURCE).replace('"zz":1,', '"new":4,')
    assert list(from_jsonb(text)["parameters"]) == ["a", "b", "new"]
    assert from_jsonb('{"payload": 3, "$order": {"/payload": ["x"], "/steps/9/fields": ["y"]}}') == {"payload": 3}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("[]", []),
        ("3", 3),
        ('{"$order": 3, "a": 1}', {"a": 1}),
        ('{"$order": {"/a": 5}, "a": {}}', {"a": {}}),
        ('{"$order": {"": [[]]}, "a": 1}', {"a": 1}),
    ],
)
def test_what_a_stranger_wrote_into_a_column_is_read_as_it_is(text: str, read: object) -> None:
    found: object = from_jsonb(text)
    assert found == read
