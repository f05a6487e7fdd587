"""How many retained messages a plan clears, by the recorded state: counted by hand."""

from __future__ import annotations

from typing import Any

from nexus_cli.project.measure import _cleared
from tests.unit.plan.test_plan import device, plan, snapshot, tag


def one(**tags: Any) -> dict[str, Any]:
    return device("a/l/one", tags=tags)


def test_what_was_retained_and_goes_is_counted() -> None:
    both = one(x=tag(), y=tag(address="holding:2"))
    assert _cleared(plan(snapshot(both), snapshot(one(x=tag())))) == 1
    assert _cleared(plan(snapshot(both), snapshot())) == 2
    assert _cleared(plan(snapshot(both), snapshot(one(x=tag(), y=tag(address="holding:2", live_retain=False))))) == 1
    never = one(x=tag(), y=tag(address="holding:2", live_retain=False))
    assert _cleared(plan(snapshot(never), snapshot(one(x=tag())))) == 0


def test_names_that_change_places_and_old_paths_that_are_kept_are_not() -> None:
    both = one(x=tag(), y=tag(address="holding:2"))
    swapped = one(y=tag(), x=tag(address="holding:2"))
    moved = [("a/l/one/x", "a/l/one/y"), ("a/l/one/y", "a/l/one/x")]
    assert _cleared(plan(snapshot(both), snapshot(swapped), moved=moved)) == 0
    renamed = snapshot(one(z=tag(), y=tag(address="holding:2")))
    assert _cleared(plan(snapshot(both), renamed, moved=[("a/l/one/x", "a/l/one/z")])) == 1
    alias: dict[str, Any] = {"alias__a/l/one/x": {"to": "a/l/one/z", "for_ms": 3_600_000, "gateways": ["gw"]}}
    kept = snapshot(one(z=tag(), y=tag(address="holding:2")), **alias)
    assert _cleared(plan(snapshot(both), kept, moved=[("a/l/one/x", "a/l/one/z")])) == 0
