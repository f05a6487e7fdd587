"""A change of rights in tags and names: what each principal gains and loses, and what is no change."""

from __future__ import annotations

from typing import Any

from nexus_cli.access.gains import Gain, gains
from nexus_cli.model.snapshot import Snapshot
from tests.unit.access.test_questions import site


def changed(**resources: dict[str, Any]) -> Snapshot:
    """The site with other resources, `role_operator` for `role.operator`."""
    named = {name.replace("_", ".", 1): value for name, value in resources.items()}
    return Snapshot.of("acme", "chicago", {**site().resources, **named})


def said(found: tuple[Gain, ...]) -> list[tuple[str, str, str, tuple[str, ...], tuple[str, ...]]]:
    return [(each.principal, each.action, each.kind, each.gained, each.lost) for each in found]


def role(**more: Any) -> dict[str, Any]:
    return {**site().resources["role.operator"], **more}


def test_a_wider_write_is_a_gain_in_writable_tags() -> None:
    found = gains(site(), changed(role_operator=role(write=["packaging/**"])))
    assert said(found) == [("ann", "write", "tag", ("packaging/line-2/capper/speed",), ())]
    assert found[0].widens


def test_a_denial_that_goes_is_a_gain_and_one_that_comes_a_loss() -> None:
    gate = "packaging/line-1/gate/open"
    found = gains(site(), changed(role_operator=role(deny={"publish": ["stop-order"]})))
    assert said(found) == [("ann", "write", "tag", (gate,), ())]
    found = gains(
        site(), changed(role_operator=role(deny={"write": ["packaging/line-1/**"], "publish": ["stop-order"]}))
    )
    assert said(found) == [("ann", "write", "tag", (), ("packaging/line-1/filler/setpoint",))]


def test_a_higher_clearance_is_a_gain() -> None:
    found = gains(site(), changed(role_operator=role(clearance="confidential")))
    assert said(found) == [("ann", "read", "tag", ("packaging/line-1/filler/recipe",), ())]


def test_the_same_right_in_other_words_is_no_change() -> None:
    assert gains(site(), changed(role_operator=role(read=["packaging/line-1/**", "packaging/line-2/**"]))) == ()


def test_names_and_admin() -> None:
    found = gains(site(), changed(user_boss={"roles": ["engineer", "root"]}, role_operator=role(run=[], deny=None)))
    assert said(found) == [
        ("ann", "write", "tag", ("packaging/line-1/gate/open",), ()),
        ("ann", "run", "sequence", (), ("warm-up",)),
        ("ann", "publish", "message", ("stop-order",), ()),
        ("boss", "admin", "site", ("the site",), ()),
    ]


def test_a_tag_that_becomes_writable_is_a_gain_of_those_who_had_the_right() -> None:
    device = site().resources["device.packaging/line-1/filler"]
    tags = {**device["tags"], "temperature": {"type": "float32", "writable": True}}
    after = Snapshot.of(
        "acme", "chicago", {**site().resources, "device.packaging/line-1/filler": {**device, "tags": tags}}
    )
    temperature = ("packaging/line-1/filler/temperature",)
    assert said(gains(site(), after)) == [
        ("ann", "write", "tag", temperature, ()),
        ("boss", "write", "tag", temperature, ()),
    ]


def test_a_user_that_goes_loses_everything_and_a_gateway_gains_topics() -> None:
    without = {name: value for name, value in site().resources.items() if name != "user.boss"}
    found = gains(site(), Snapshot.of("acme", "chicago", {**without, "gateway.gw-2": {}}))
    lost = {each.action: len(each.lost) for each in found if each.principal == "boss"}
    assert lost == {"write": 3, "apply": 4, "read": 5}
    mine = [each for each in found if each.principal == "nexus.gateway.gw-2"]
    assert {each.kind for each in mine} == {"topic"}
    assert "_nexus/acme/chicago/gap/gw-2" in mine[0].gained


def test_a_message_with_another_topic_is_a_gain_of_that_topic() -> None:
    one = changed(role_operator=role(publish=["m"]), message_m={"topic": "erp/orders/line-1"})
    other = changed(role_operator=role(publish=["m"]), message_m={"topic": "erp/orders/{line}"})
    control = ("nexus.control", "publish", "topic")
    assert said(gains(one, other)) == [
        ("ann", "publish", "topic", ("erp/orders/+",), ()),
        (*control, ("erp/orders/+",), ()),
        ("nexus.web", "subscribe", "topic", ("erp/orders/+",), ()),
    ]
    assert said(gains(other, one))[0] == ("ann", "publish", "topic", (), ("erp/orders/+",))
