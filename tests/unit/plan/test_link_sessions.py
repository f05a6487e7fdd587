"""Which sessions a change opens, closes and sets up again, and that the plan says it of each device."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.plan.link_sessions import Effect, sessions_of
from tests.unit.plan.test_plan import device, outcome, plan, snapshot, texts

A, B = "tcp:10.0.0.1:502", "tcp:10.0.0.2:502"


def on(link: str, path: str, *, timeout: int = 1000, **keys: Any) -> dict[str, Any]:
    host = link.split(":")[1]
    return device(path, link=link, connection={"host": host, "port": 502, "timeout": timeout}, **keys)


def effects(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, str]:
    new = snapshot(*after)
    found = sessions_of(plan(snapshot(*before), new).changes, new.resources)
    return {link: effect.value for (_, link), effect in found.effects.items()}


def said(before: list[dict[str, Any]], after: list[dict[str, Any]], **keys: Any) -> list[str]:
    lines = texts(plan(snapshot(*before), snapshot(*after), **keys))
    return [line.removeprefix("devices: ") for line in lines if line.startswith("devices: ")]


def test_the_last_device_in_service_keeps_a_session_open() -> None:
    one, two = on(A, "a/l/one"), on(A, "a/l/two")
    off = on(A, "a/l/two", enabled=False)
    assert effects([one, two], [one]) == {A: "stays"}
    assert said([one, two], [one]) == [f"{A} stays open for 1 device"]
    assert effects([two], [off]) == {A: "closes"}
    assert said([two], [off]) == [
        f"{A} closes: nothing on it is in service any more",
        "goes out of service: BAD out_of_service",
    ]
    assert effects([one, off], [off]) == {A: "closes"}
    assert said([one, off], [off]) == [f"{A} is closed"], "what is out of service keeps no session"
    assert effects([off], []) == {A: "none"}
    assert said([off], []) == [f"out of service: {A} had no session"]
    assert said([off], [two])[0].startswith(f"{A} opens; gap of about one connect")
    assert said([one], [one, off]) == [f"out of service: gateway gw does not read it over {A}"]


def test_a_device_goes_to_a_link_that_others_use() -> None:
    here, there, stays = on(A, "a/l/one"), on(B, "a/l/one"), on(A, "a/l/stays")
    beside = on(B, "a/l/beside")
    assert effects([here, stays, beside], [there, stays, beside]) == {A: "stays", B: "stays"}
    assert said([here, stays, beside], [there, stays, beside]) == [
        f"goes to another session: {A} stays open for 1 device, {B} is open"
    ]
    (line,) = said([here, stays], [there, stays])
    assert line.startswith(f"goes to another session: {A} stays open for 1 device, {B} opens; gap of")
    (line,) = said([here], [there])
    assert line.startswith(f"session restarts: {A} closes, {B} opens; gap of")
    (line,) = said([here, beside], [there, beside])
    assert line == f"goes to another session: {A} closes, {B} is open"


def test_a_session_is_set_up_again_for_what_it_is_opened_with_and_nothing_else() -> None:
    one, slow = on(A, "a/l/one"), on(A, "a/l/one", timeout=2000)
    assert effects([one], [slow]) == {A: "restarts"}
    assert effects([one], [on(A, "a/l/two", timeout=2000)]) == {A: "restarts"}, "another device, another time-out"
    assert effects([one], [on(A, "a/l/two")]) == {A: "stays"}, "another device alone"
    assert f"gateway gw reads it over {A}; its session is set up again" in said([one], [on(A, "a/l/two", timeout=2000)])
    unit = device("a/l/one", link=A, connection={**one["connection"], "unit_id": 7})
    assert said([one], [unit]) == [f"it is asked with the new unit_id; the session on {A} stays"]
    off = on(A, "a/l/one", enabled=False)
    slow_off = on(A, "a/l/one", enabled=False, timeout=2000)
    assert effects([off], [slow_off]) == {A: "none"}, "there is none"


@pytest.mark.parametrize(
    ("after", "restarts"),
    [
        ({"link": B}, 1),
        ({"connection": {"host": "10.0.0.1", "port": 502, "timeout": 2000}}, 1),
        ({"connection": {"host": "10.0.0.1", "port": 502, "timeout": 1000, "unit_id": 2}}, 0),
        ({"enabled": False}, 0),
    ],
)
def test_a_template_counts_sessions_and_not_devices(after: dict[str, Any], restarts: int) -> None:
    before = [on(A, f"a/l/d{n}") for n in range(3)]
    both = snapshot(*before), snapshot(*({**each, **after} for each in before))
    found = outcome(*both, template_of={f"a/l/d{n}": "motor" for n in range(3)}).unwrap()
    assert [reach.reached.restarts for reach in found.templates] == [restarts]


def test_a_link_of_another_gateway_is_another_session() -> None:
    one, moved = on(A, "a/l/one"), on(A, "a/l/one", gateway="other")
    found = sessions_of(plan(snapshot(one), snapshot(moved)).changes, snapshot(moved).resources)
    assert found.effects == {("gw", A): Effect.CLOSES, ("other", A): Effect.OPENS}
