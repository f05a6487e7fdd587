"""Which changes are within the `apply` globs of a role."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.apply_scope import refuse_outside
from nexus_cli.runtime.identity.held import Held

DEVICE = {"path": "a/l/one", "gateway": "gw", "tags": {"energy": {"type": "float64"}, "power": {"type": "int16"}}}


def refused(
    changed: dict[str, Any], before: dict[str, Any], *globs: str, admin: bool = False, access: bool = True
) -> str:
    """What is outside, as the message lists it; "" when everything is within."""
    try:
        refuse_outside(Held(apply=globs, admin=admin), changed, before, who="lars", access=access)
    except NexusError as error:
        assert error.code == "NX6411"
        return error.message.removeprefix("lars may not change ").removesuffix(".")
    return ""


def changed_tag(name: str) -> dict[str, Any]:
    return {**DEVICE, "tags": {**DEVICE["tags"], name: {"type": "uint32"}}}  # type: ignore[dict-item]


BEFORE = {"device.a/l/one": DEVICE}


@pytest.mark.parametrize("glob", ["**", "a/**", "a/l/**", "a/l/one", "*/*/one", "a/l-*/**"])
def test_a_glob_that_covers_a_device_covers_its_tags(glob: str) -> None:
    inside = glob != "a/l-*/**"
    for after in (None, changed_tag("energy"), {**DEVICE, "gateway": "other"}):
        assert (refused({"device.a/l/one": after}, BEFORE, glob) == "") == inside, after
    assert (refused({"device.a/l/one": DEVICE}, {}, glob) == "") == inside


def test_a_glob_of_tags_covers_those_tags_alone() -> None:
    globs = ("a/l/one/energy", "a/l/one/new*")
    assert refused({"device.a/l/one": changed_tag("energy")}, BEFORE, *globs) == ""
    assert refused({"device.a/l/one": changed_tag("new-1")}, BEFORE, *globs) == ""
    assert refused({"device.a/l/one": changed_tag("power")}, BEFORE, *globs) == "a/l/one/power"
    assert refused({"device.a/l/one": {**changed_tag("energy"), "gateway": "x"}}, BEFORE, *globs) == "device.a/l/one"
    fewer = {**DEVICE, "tags": {"energy": {"type": "float64"}}}
    assert refused({"device.a/l/one": fewer}, BEFORE, *globs) == "a/l/one/power"
    assert refused({"device.a/l/one": None}, BEFORE, *globs) == "device.a/l/one"
    assert refused({"device.a/l/two": DEVICE}, BEFORE, *globs) == "device.a/l/two"


@pytest.mark.parametrize("address", ["gateway.gw", "retention.x", "alert.hot", "sequence.s", "message.m", "site"])
def test_the_rest_needs_the_whole_site(address: str) -> None:
    assert refused({address: {"x": 1}}, {}, "a/**", "*/**") == address
    assert refused({address: {"x": 1}}, {}, "**") == ""


@pytest.mark.parametrize("address", ["role.engineer", "user.lars", "group.shift", "login.api"])
def test_access_needs_an_administrator(address: str) -> None:
    for after in ({"x": 1}, None):
        assert refused({address: after}, {address: {"x": 2}}, "**") == address
        assert refused({address: after}, {address: {"x": 2}}, admin=True) == ""
        assert refused({address: after}, {address: {"x": 2}}, "**", admin=True, access=False) == address


def test_what_does_not_change_needs_nothing() -> None:
    assert refused({"device.a/l/one": dict(DEVICE), "user.x": None}, BEFORE) == ""


def test_the_first_five_are_listed() -> None:
    many = {f"alert.{number}": None for number in range(9)}
    assert refused(many, {each: {} for each in many}) == "alert.0, alert.1, alert.2, alert.3, alert.4 and 4 more"


def test_a_rename_needs_both_sides() -> None:
    moved = {"device.a/l/one": None, "device.b/l/one": DEVICE}
    assert refused(moved, BEFORE, "a/**") == "device.b/l/one"
    assert refused(moved, BEFORE, "a/**", "b/**") == ""
