"""Which addresses of a plan are tried, and what is said of the answers."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.plan.probed import MOST_PROBED, MOST_SHOWN, Trial, probe_entry, probe_finding, probe_lines, trials_of
from tests.unit.plan.test_measured import device, plan_of, tag

TRIAL = Trial(device=device("a/l/one", "a", "b"), tags=("a", "b"))


def tried(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    return {str(each.device["path"]): each.tags for each in trials_of(plan_of(before, after).changes)[0]}


def test_what_is_new_or_read_in_another_way_is_tried() -> None:
    one = device("a/l/one", "a", "b")
    assert tried([], [one]) == {"a/l/one": ("a", "b")}
    assert tried([one], [device("a/l/one", "a", "b", "c")]) == {"a/l/one": ("c",)}
    assert tried([one], [{**one, "tags": {**one["tags"], "a": tag(address="holding:9")}}]) == {"a/l/one": ("a",)}
    assert tried([one], [{**one, "connection": {"host": "y"}}]) == {"a/l/one": ("a", "b")}, (
        "another device answers there"
    )


@pytest.mark.parametrize("key", ["description", "poll_ms", "deadband", "retention", "writable"])
def test_what_is_read_as_before_is_not_tried(key: str) -> None:
    one = device("a/l/one", "a")
    values = {"poll_ms": 7, "deadband": 1.0, "writable": True}
    changed = {**one, "tags": {"a": {**one["tags"]["a"], key: values.get(key, "other")}}}
    assert tried([one], [changed]) == {}


def test_what_can_not_be_read_is_not_tried() -> None:
    assert tried([], [device("a/l/one", "a", link="")]) == {}
    assert tried([], [device("a/l/one", "a", enabled=False)]) == {}
    off = {**device("a/l/one"), "tags": {"off": tag(enabled=False), "sum": tag(address="")}}
    assert tried([], [off]) == {}
    assert tried([device("a/l/one", "a")], []) == {}


def test_a_plan_tries_so_many_addresses_and_counts_the_rest() -> None:
    many = device("a/l/one", *(f"t{place}" for place in range(MOST_PROBED)))
    found, left_out = trials_of(plan_of([], [many, device("a/l/two", "a", "b")]).changes)
    assert sum(len(each.tags) for each in found) == MOST_PROBED and left_out == 2
    assert all(set(each.device["tags"]) == set(each.tags) for each in found)


@pytest.mark.parametrize(
    ("answer", "problem", "reason", "code", "text"),
    [
        ({"value": 3.5, "quality": "GOOD", "bytes": "01 02"}, "", "", None, "3.5 GOOD"),
        ({"value": 900, "quality": "UNCERTAIN", "reason": "out_of_range", "bytes": "03 84"}, "", "out_of_range", "NX4021", "900 UNCERTAIN: out of range"),
        ({"quality": "BAD", "reason": "not_a_number", "bytes": "7f c0 00 00"}, "", "not_a_number", "NX4021", "BAD: not a number"),
        ({"quality": "BAD", "reason": "illegal_address", "code": 2}, "", "illegal_address", "NX4020", "BAD: illegal address (code 2)"),
        ({"quality": "BAD", "reason": "device_timeout", "problem": "no answer in time"}, "", "device_timeout", "NX4022", "BAD: no answer in time"),
        ({}, "the link is backoff: refused", "", "NX4022", "BAD: the link is backoff: refused"),
    ],
)  # fmt: skip
def test_an_answer_in_words_and_the_warning_it_is_worth(
    answer: dict[str, Any], problem: str, reason: str, code: str | None, text: str
) -> None:
    entry = probe_entry(TRIAL, "a", problem=problem, answer=answer)
    assert entry["text"] == text
    assert (entry["path"], entry["address"], entry["link"], entry["type"]) == (
        "a/l/one/a",
        "holding:0",
        "tcp:x:502",
        "float64",
    )
    found = probe_finding(entry, reason=reason)
    assert (found.code if found is not None else None) == code
    if found is not None:
        assert found.severity.value == "warning" and found.hint and found.where[0] == "areas"


def test_a_text_begins_with_what_failed_and_counts_what_it_leaves_out() -> None:
    good = [probe_entry(TRIAL, "a", problem="", answer={"value": 1, "quality": "GOOD"})] * MOST_SHOWN
    bad = probe_entry(TRIAL, "b", problem="nobody", answer={})
    lines = list(probe_lines([*good, bad]))
    assert lines[0].startswith("a/l/one/b") and lines[-1].startswith("… and 1 more")
