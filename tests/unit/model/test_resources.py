"""Every kind of resource has one Struct: what is written is read back, and what is on record keeps its digest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_cli.apply.shapes import KINDS, problem_of
from nexus_cli.model.access_config import RoleConfig, UserConfig
from nexus_cli.model.config import DeviceConfig, DeviceOutline, digest
from nexus_cli.model.resources import (
    CONFIG_OF,
    LONGEST_MS,
    AlertConfig,
    RetentionConfig,
    decode,
    encode,
    every,
)
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.text import load

SITES = Path(__file__).parents[3] / "sites"
ALWAYS = {
    "role": ("read", "write"),
    "user": ("roles",),
    "retention": ("keep_ms", "rollups"),
    "alert": ("on_bad", "severity"),
}


@pytest.mark.parametrize("site", ["demo", "boilers", "meter-and-drive"])
def test_every_resource_of_a_site_is_read_and_written_without_a_change(site: str) -> None:
    snapshot = load(SITES / site).unwrap().snapshot
    for address, attributes in snapshot.resources.items():
        kind = address.partition(".")[0]
        written = encode(decode(attributes, CONFIG_OF[kind]), *ALWAYS.get(kind, ()))
        assert digest(written) == snapshot.digests[address], address


def test_an_outline_says_the_same_as_the_device() -> None:
    snapshot = load(SITES / "demo").unwrap().snapshot
    outlines = dict(every(snapshot, "device", DeviceOutline))
    devices = dict(every(snapshot, "device", DeviceConfig))
    assert list(outlines) == list(devices) != []
    for path, device in devices.items():
        outline = outlines[path]
        assert (outline.path, outline.protocol, outline.gateway) == (device.path, device.protocol, device.gateway)
        assert (list(outline.tags), outline.globs) == (list(device.tags), device.globs)
    external = DeviceOutline(connection={"globs": ["a/l/d/*"], "max_series": 3})
    assert external.globs == ("a/l/d/*",)


def test_digests_are_those_that_earlier_versions_recorded() -> None:
    assert digest(encode(RoleConfig(read=["**"]), "read", "write")) == digest({"read": ["**"], "write": []})
    alert = encode(AlertConfig(tag="a/l/d/t", above=5.0, for_ms=3000), "on_bad", "severity")
    assert list(alert.items()) == [
        ("on_bad", "hold"),
        ("severity", "warning"),
        ("tag", "a/l/d/t"),
        ("above", 5.0),
        ("for_ms", 3000),
    ]
    assert encode(RetentionConfig(keep_ms=1), "keep_ms", "rollups") == {"keep_ms": 1, "rollups": []}
    assert encode(AlertConfig(tag="t", equals=False))["equals"] is False, "a value that is no default is kept"


def test_a_user_has_each_of_its_roles_once() -> None:
    assert UserConfig(roles=["b", "a", "b"], role="a").every_role() == ["b", "a"]
    assert UserConfig(role="a").every_role() == ["a"] and UserConfig().every_role() == []


def test_resources_of_one_kind_come_in_the_order_of_their_addresses() -> None:
    roles: Mapping[str, dict[str, Any]] = {"role.b": {"read": ["x"]}, "role.a": {}, "user.u": {"roles": ["b"]}}
    found = every(Snapshot.of("acme", "chicago", roles), "role", RoleConfig)
    assert list(found) == [("a", RoleConfig()), ("b", RoleConfig(read=["x"]))]


@pytest.mark.parametrize(
    ("kind", "attributes", "word"),
    [
        ("retention", {}, "keep_ms"),
        ("retention", {"keep_ms": True}, "keep_ms"),
        ("retention", {"keep_ms": 0}, "keep_ms"),
        ("retention", {"keep_ms": LONGEST_MS}, "keep_ms"),
        ("role", {"read": [""]}, "read"),
        ("user", {"roles": "op"}, "roles"),
        ("alert", {"above": 1}, "tag"),
        ("alert", {"tag": "t", "for_ms": -1}, "for_ms"),
        ("gateway", {"select": 1}, "select"),
        ("message", {}, "topic"),
        ("sequence", {"steps": {}}, "steps"),
        ("site", {"site": "chicago"}, "enterprise"),
    ],
)
def test_attributes_of_another_shape_are_named(kind: str, attributes: dict[str, Any], word: str) -> None:
    assert word in problem_of(kind, attributes)
    with pytest.raises(msgspec.ValidationError):
        decode(attributes, CONFIG_OF[kind])


def test_what_a_later_version_adds_passes() -> None:
    assert problem_of("retention", {"keep_ms": 1, "colour": "red"}) == ""
    assert set(KINDS) | {"site", "device"} == set(CONFIG_OF)
