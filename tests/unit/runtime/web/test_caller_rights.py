"""What a caller may read and write is what the broker would say, tag by tag."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.evaluate import GrantRules
from nexus_cli.access.request import Request
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.held import Held, held_by_platform
from nexus_cli.runtime.web.caller_rights import rights_of
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.topic import Topics

TOPICS = Topics("acme", "chicago")
DEVICES = ("a/l/c", "a/l/c-1", "a/l-2/d", "b/l/c")
GLOBS = ["**", "a/**", "a/l/c/**", "a/*/c*/x", "*/l/*/x", "b/l/c/y", "a/l/c-1/x"]


def site(roles: dict[str, dict[str, Any]]) -> dict[str, Any]:
    tags = {
        "x": {"type": "float64", "address": "holding:0", "writable": True},
        "y": {"type": "float64", "address": "holding:1", "classification": "restricted"},
        "z": {"type": "int16", "address": "holding:2", "writable": True, "classification": "public"},
    }
    devices = {f"device.{path}": {"path": path, "protocol": "modbus", "tags": tags} for path in DEVICES}
    devices["device.a/l/mes"] = {"path": "a/l/mes", "protocol": "external", "tags": {"x": {"type": "float64"}}}
    people = {"user.ann": {"roles": list(roles)}}
    return {
        "site": {"enterprise": "acme", "site": "chicago"},
        **devices,
        **people,
        **{f"role.{name}": role for name, role in roles.items()},
    }


role = st.fixed_dictionaries(
    {"read": st.lists(st.sampled_from(GLOBS), max_size=3), "write": st.lists(st.sampled_from(GLOBS), max_size=2)},
    optional={
        "clearance": st.sampled_from(["public", "internal", "restricted"]),
        "deny": st.fixed_dictionaries({"read": st.lists(st.sampled_from(GLOBS[1:]), max_size=2)}),
    },
)


@given(st.lists(role, min_size=1, max_size=2))
@settings(max_examples=150, deadline=None)
def test_equal_to_the_broker_for_every_tag(roles: list[dict[str, Any]]) -> None:
    named = {f"r{number}": each for number, each in enumerate(roles)}
    resources = site(named)
    view = SiteView.of(TOPICS, 1, resources, LiveCache(now_us=lambda: 0))
    assert [tag.path for tag in view.tags] == sorted(tag.path for tag in view.tags)
    rules = GrantRules(compile_grants(Snapshot("acme", "chicago", resources)))
    found = rights_of(view, Caller("ann", Held(kind="user", roles=tuple(named))))
    for tag in view.tags:
        topic, command = TOPICS.tag(tag.path), TOPICS.command(tag.path, "ann")
        assert found.may_read(tag) == rules.decide(Request(user="ann", wish="receive", topic=topic)).allowed, tag.path
        asked = rules.decide(Request(user="ann", wish="publish", topic=command)).allowed
        assert found.may_write(tag) == (asked and tag.writable), tag.path
        assert found.may_hear(topic) == found.may_read(tag)


@pytest.mark.parametrize(
    ("principal", "every"), [("nexus.cli", True), ("nexus.web", False), ("nexus.gateway.g", False)]
)
def test_of_the_platform_the_command_line_reads_everything(principal: str, every: bool) -> None:
    view = SiteView.of(TOPICS, 1, site({}), LiveCache(now_us=lambda: 0))
    found = rights_of(view, Caller(principal, held_by_platform(principal)))
    assert all(found.may_read(tag) == every for tag in view.tags)
    assert found.may_hear("acme/chicago/other") == every
    assert sum(map(found.may_write, view.tags)) == (8 if every else 0)
