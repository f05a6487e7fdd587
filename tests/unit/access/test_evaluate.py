"""One meaning of grants: publish, subscribe and receive, with QoS and retain."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.access.evaluate import GrantRules, covers, evaluate, is_filter
from nexus_cli.access.grants import Grant
from nexus_cli.access.request import Request

GRANTS = (
    Grant("a", "publish", "cmd/+/a", "kept never", retain=False),
    Grant("a", "publish", "state", "kept always", retain=True),
    Grant("a", "publish", "fast/#", "at most once", qos=(0,)),
    Grant("a", "subscribe", "x/+/z", "z"),
    Grant("a", "subscribe", "+/#", "all"),
    Grant("b", "subscribe", "x/#", "x"),
    Grant("b", "subscribe", "x/y", "y"),
)
RULES = GrantRules(GRANTS)


@pytest.mark.parametrize(
    ("user", "wish", "topic", "qos", "retain", "allowed"),
    [
        ("a", "publish", "cmd/1/a", 1, False, True),
        ("a", "publish", "cmd/1/a", 1, True, False),
        ("a", "publish", "state", 1, True, True),
        ("a", "publish", "state", 1, False, False),
        ("a", "publish", "fast", 0, False, True),
        ("a", "publish", "fast/x", 1, False, False),
        ("a", "publish", "fast/+", 0, False, False),
        ("a", "publish", "", 0, False, False),
        ("a", "subscribe", "#", 0, False, True),
        ("a", "subscribe", "$SYS/#", 0, False, False),
        ("a", "receive", "any/topic", 2, True, True),
        ("a", "receive", "$SYS/x", 0, False, False),
        ("b", "receive", "x", 0, False, True),
        ("b", "receive", "y", 0, False, False),
        ("b", "receive", "x/+", 0, False, False),
        ("b", "subscribe", "$share/g/x/+", 0, False, True),
        ("b", "subscribe", "$share/g/y", 0, False, False),
        ("b", "subscribe", "$share/x/#", 0, False, False),
        ("b", "subscribe", "x/#/y", 0, False, False),
        ("b", "subscribe", "x/a+", 0, False, False),
        ("b", "subscribe", "+/y", 0, False, False),
        ("b", "publish", "x/y", 0, False, False),
        ("c", "receive", "x/y", 0, False, False),
        ("", "receive", "x/y", 0, False, False),
    ],
)
def test_one_answer(
    user: str, wish: Literal["publish", "subscribe", "receive"], topic: str, qos: int, retain: bool, allowed: bool
) -> None:
    verdict = RULES.decide(Request(user=user, wish=wish, topic=topic, qos=qos, retain=retain))
    assert verdict.allowed is allowed, verdict
    assert verdict.why


def test_the_grant_is_named_and_a_stranger_is_one() -> None:
    found = evaluate(GRANTS, principal="a", action="publish", topic="state", retain=True)
    assert found.grant is GRANTS[1] and found.why == "kept always"
    assert "not a user" in evaluate(GRANTS, principal="c", action="publish", topic="state").why


_level = st.sampled_from(["a", "b", "+", ""])
_filter = st.tuples(st.lists(_level, min_size=1, max_size=4), st.sampled_from([[], ["#"]])).map(
    lambda parts: "/".join(parts[0] + parts[1])
)


@given(granted=st.lists(_filter, max_size=6), wanted=_filter)
def test_the_index_answers_as_the_list_does(granted: list[str], wanted: str) -> None:
    grants = [Grant("u", "subscribe", filter_, filter_) for filter_ in granted]
    found = GrantRules(grants).decision(Request(user="u", wish="subscribe", topic=wanted))
    assert found.allowed is (bool(wanted) and any(covers(filter_, wanted) for filter_ in granted))
    assert found.grant is None or covers(found.grant.filter, wanted)
    assert is_filter(wanted) is bool(wanted)
