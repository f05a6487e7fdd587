"""Answers to many ids."""

from __future__ import annotations

from typing import Any

import orjson

from nexus_cli.runtime.web.i3x.envelopes import MOST_REPEATED, Problem, bulk, each

LARGE = "x" * (1 << 20)


def test_an_id_that_comes_again_is_looked_up_once() -> None:
    asked: list[str] = []

    def result_of(found: str) -> Any:
        asked.append(found)
        if found == "gone":
            raise Problem(404, "there is none")
        return {"value": len(asked)}

    answer = orjson.loads(bulk(each(["a", "gone", "a", "b", "gone", "a"], result_of)).body)
    assert [item.get("result") for item in answer["results"]] == [
        *({"value": 1}, None, {"value": 1}),
        *({"value": 3}, None, {"value": 1}),
    ]
    assert [item["elementId"] for item in answer["results"]] == ["a", "gone", "a", "b", "gone", "a"]
    assert asked.count("a") == 1


def test_what_is_repeated_is_bounded_and_what_is_not_is_whole() -> None:
    ids = ["a"] * 20 + ["b", "b"]
    found = bulk(each(ids, lambda _: LARGE))
    items = orjson.loads(found.body)["results"]
    assert len(found.body) < MOST_REPEATED + 3 * len(LARGE)
    assert [item["success"] for item in items] == [True] * 4 + [False] * 16 + [True, False]
    assert items[20]["result"] == LARGE
    assert items[19]["responseDetail"]["status"] == 400
