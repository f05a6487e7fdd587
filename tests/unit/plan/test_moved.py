"""Forgotten series that a `moved:` entry takes to a tag which begins."""

from __future__ import annotations

from nexus_cli.plan.moved import forgotten_moves


def test_a_forgotten_series_goes_to_a_tag_that_begins_and_has_none() -> None:
    moved = [("a/l/old", "a/l/new"), ("a/l/older", "a/l/new")]
    forgotten = ["a/l/old/x", "a/l/older/x", "a/l/old/y", "a/l/old/z", "b/x"]
    created = {"a/l/new/x", "a/l/new/y"}
    found = forgotten_moves(moved, forgotten=forgotten, created=created, present={"a/l/new/y"})
    assert found == [("a/l/old/x", "a/l/new/x")]
    assert forgotten_moves([], forgotten=forgotten, created=created, present=()) == []
