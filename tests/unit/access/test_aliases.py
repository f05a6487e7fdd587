"""Rights on old topics are those of the new ones, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.access.aliases import alias_grants, with_old_paths
from nexus_cli.access.compile import compile_grants
from nexus_cli.access.grants import Grant
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import Topics, matches

TOPICS = Topics("acme", "chicago")
LINE = {"to": "packaging/line-2", "for_ms": 1000, "gateways": ["gw-1"]}


def site(aliases: dict[str, Any], **resources: Any) -> Snapshot:
    found = {"site": {"enterprise": "acme", "site": "chicago"}, **resources}
    return Snapshot.of("acme", "chicago", {**found, **{f"alias.{old}": value for old, value in aliases.items()}})


@pytest.mark.parametrize(
    ("filter_", "old"),
    [
        ("packaging/line-2/#", "packaging/line-1/#"),
        ("packaging/line-2/filler/speed", "packaging/line-1/filler/speed"),
        ("packaging/+/filler/speed", "packaging/line-1/filler/speed"),
        ("+/+/+/speed", "packaging/line-1/+/speed"),
        ("packaging/#", "packaging/line-1/#"),
        ("#", "packaging/line-1/#"),
        ("packaging/line-3/#", None),
        ("packaging", None),
        ("boxing/line-2/filler/speed", None),
    ],
)
def test_a_filter_below_the_new_path_is_one_below_the_old(filter_: str, old: str | None) -> None:
    given = [Grant("anna", "subscribe", f"acme/chicago/{filter_}", "role r")]
    found = [each.filter for each in alias_grants(given, site({"packaging/line-1": LINE}), TOPICS)]
    assert found == ([f"acme/chicago/{old}"] if old else [])


def test_a_command_has_no_old_topic_and_a_user_publishes_on_none() -> None:
    given = [
        Grant("anna", "publish", TOPICS.command("packaging/line-2/filler/speed", "anna"), "role r"),
        Grant("anna", "publish", TOPICS.tag("packaging/line-2/scale/weight"), "role r"),
    ]
    assert list(alias_grants(given, site({"packaging/line-1": LINE}), TOPICS)) == []


def test_the_gateway_publishes_there_and_readers_of_the_new_path_hear_it_and_others_do_not() -> None:
    device = {"path": "packaging/line-2/filler", "protocol": "modbus", "link": "tcp:h:502", "gateway": "gw-1",
              "connection": {"host": "h"}, "tags": {"speed": {"type": "int16", "published_type": "int16"}}}  # fmt: skip
    state = site(
        {"packaging/line-1": LINE},
        **{
            "device.packaging/line-2/filler": device,
            "gateway.gw-1": {},
            "role.new": {"read": ["packaging/line-2/**"]},
            "role.other": {"read": ["packaging/line-7/**"]},
            "user.anna": {"roles": ["new"]},
            "user.ben": {"roles": ["other"]},
        },
    )
    old = TOPICS.tag("packaging/line-1/filler/speed")
    may = {(each.principal, each.action) for each in compile_grants(state) if matches(each.filter, old)}
    assert ("nexus.gateway.gw-1", "publish") in may and ("anna", "subscribe") in may
    assert not {who for who, _ in may} & {"ben"}
    without = Snapshot.of(
        "acme", "chicago", {name: value for name, value in state.resources.items() if not name.startswith("alias.")}
    )
    left = {(each.principal, each.action) for each in compile_grants(without) if matches(each.filter, old)}
    assert ("anna", "subscribe") not in left and ("nexus.control", "publish") in left


def test_a_role_of_the_old_path_goes_on_to_hear_it_but_for_data_of_a_higher_class() -> None:
    tags = {
        "speed": {"type": "int16", "published_type": "int16"},
        "recipe": {"type": "int16", "published_type": "int16", "classification": "restricted", "writable": True},
    }
    device = {"path": "packaging/line-2/filler", "protocol": "modbus", "link": "tcp:h:502", "gateway": "gw-1",
              "connection": {"host": "h"}, "tags": tags}  # fmt: skip
    state = site(
        {"packaging/line-1": LINE},
        **{
            "device.packaging/line-2/filler": device,
            "gateway.gw-1": {},
            "role.old": {"read": ["packaging/line-1/**"], "write": ["packaging/line-1/**"]},
            "user.carl": {"roles": ["old"]},
        },
    )
    grants = [each for each in compile_grants(state) if each.principal == "carl"]

    def hears(tag: str) -> bool:
        return any(
            each.action == "subscribe" and matches(each.filter, TOPICS.tag(f"packaging/line-1/filler/{tag}"))
            for each in grants
        )

    assert hears("speed") and not hears("recipe")
    command = TOPICS.command("packaging/line-1/filler/recipe", "carl")
    assert not any(each.action == "publish" and matches(each.filter, command) for each in grants)


def test_an_old_tag_of_a_declared_device_is_beside_its_tags() -> None:
    tags = {"new": {"type": "int16", "writable": True}, "other": {"type": "bool"}}
    device = {"path": "a/l/d", "protocol": "modbus", "gateway": "gw-1", "tags": tags}
    found = with_old_paths(site({"a/l/d/old": {"to": "a/l/d/new", "for_ms": 1}}, **{"device.a/l/d": device}))
    assert found.resources["device.a/l/d"]["tags"] == {**tags, "old": {"type": "int16", "writable": False}}
    plain = site({}, **{"device.a/l/d": device})
    assert with_old_paths(plain) is plain
