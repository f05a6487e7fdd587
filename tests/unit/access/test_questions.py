"""Who may do what on a site with groups, hours, labels, classes and denials; each answer with the line that decides."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from nexus_cli.access.lines import Right
from nexus_cli.access.people import ANY_TIME, Moment
from nexus_cli.access.questions import Answer, Book, ask
from nexus_cli.access.subjects import Subject, Unknown, subject_of
from nexus_cli.model.snapshot import Snapshot

MORNING, NIGHT = "2026-12-01T08:00:00-06:00", "2026-12-01T20:00:00-06:00"


def site(**roles: dict[str, Any]) -> Snapshot:
    """Two lines of two teams; `ann` through a group with hours, `boss` alone."""
    devices = {
        "packaging/line-1/filler": {
            "temperature": {"type": "float32"},
            "setpoint": {"type": "float32", "writable": True},
            "recipe": {"type": "uint16", "classification": "confidential"},
        },
        "packaging/line-1/gate": {"open": {"type": "bool", "writable": True}},
        "packaging/line-2/capper": {"speed": {"type": "float32", "writable": True}},
    }
    labels = {"packaging/line-1": {"team": "north"}, "packaging/line-2": {"team": "south"}}
    return Snapshot.of(
        "acme",
        "chicago",
        {
            "site": {"enterprise": "acme", "site": "chicago", "time_zone": "America/Chicago", "labels": labels},
            "gateway.gw-1": {},
            **{
                f"device.{path}": {"path": path, "protocol": "modbus", "gateway": "gw-1", "tags": tags}
                for path, tags in devices.items()
            },
            "message.start-order": {"topic": "erp/orders/line-1"},
            "message.stop-order": {"topic": "erp/stops/line-1"},
            "sequence.warm-up": {},
            "alert.too-hot": {"tag": "packaging/line-1/filler/temperature"},
            "role.operator": {
                "read": ["packaging/**"],
                "write": [{"path": "packaging/**", "labels": {"team": "north"}}],
                "run": ["warm-up"],
                "acknowledge": ["*"],
                "publish": ["*-order"],
                "deny": {"write": ["packaging/line-1/gate/**"], "publish": ["stop-order"]},
                **roles.get("operator", {}),
            },
            "role.engineer": {"read": ["**"], "write": ["**"], "apply": ["packaging/line-1/**"], "clearance": "confidential", **roles.get("engineer", {})},
            "role.root": {"read": [], "write": [], "admin": True},
            "group.shift-a": {"roles": ["operator"], "hours": ["mon-fri 06:00-14:00"]},
            "user.ann": {"roles": [], "groups": ["shift-a"]},
            "user.boss": {"roles": ["engineer"]},
            "user.root": {"roles": ["root"], "valid_until": "2026-11-30"},
        },
    )  # fmt: skip


def at(text: str) -> Moment:
    return Moment(at_us=round(datetime.fromisoformat(text).timestamp() * 1e6))


def one(who: str, right: Right, what: str, *, when: str = MORNING, **more: Any) -> Answer:
    snapshot = site()
    book = Book(snapshot, at(when))
    holder = book.holder(who)
    subject = subject_of(snapshot, right, what)
    assert holder is not None
    assert isinstance(subject, Subject), subject
    return ask(book, holder, right, subject, **more)[0]


@pytest.mark.parametrize(
    ("who", "right", "what", "reason", "line"),
    [
        ("ann", "read", "packaging/line-2/capper/speed", "given", "read packaging/**"),
        ("ann", "read", "packaging/line-1/filler/recipe", "clearance", "read packaging/**"),
        ("boss", "read", "packaging/line-1/filler/recipe", "given", "read **"),
        ("ann", "write", "packaging/line-1/filler/setpoint", "given", "write packaging/** (labels team=north)"),
        ("ann", "write", "packaging/line-1/gate/open", "deny", "deny write packaging/line-1/gate/**"),
        ("ann", "write", "packaging/line-1/filler/temperature", "not_writable", "write packaging/** (labels team=north)"),
        ("ann", "write", "packaging/line-2/capper/speed", "no_role", None),
        ("ann", "run", "warm-up", "given", "run warm-up"),
        ("boss", "run", "warm-up", "no_role", None),
        ("ann", "acknowledge", "too-hot", "given", "acknowledge *"),
        ("ann", "alerts", "too-hot", "given", "acknowledge *"),
        ("ann", "publish", "start-order", "given", "publish *-order"),
        ("ann", "publish", "stop-order", "deny", "deny publish stop-order"),
        ("boss", "apply", "packaging/line-1/filler/setpoint", "given", "apply packaging/line-1/**"),
        ("boss", "apply", "packaging/line-2/capper/speed", "no_role", None),
        ("nexus.historian", "read", "packaging/line-1/filler/recipe", "given", None),
        ("nexus.historian", "write", "packaging/line-1/filler/setpoint", "no_role", None),
        ("nexus.cli", "run", "warm-up", "given", None),
        ("root", "admin", "", "not_now", "admin"),
    ],
)  # fmt: skip
def test_an_answer_and_its_line(who: str, right: Right, what: str, reason: str, line: str | None) -> None:
    found = one(who, right, what)
    assert (found.reason, found.line.text if found.line else None) == (reason, line)
    assert found.allowed == (reason == "given")


def test_hours_are_those_of_the_site() -> None:
    found = one("ann", "run", "warm-up", when=NIGHT)
    assert (found.reason, found.role, found.via) == ("not_now", "operator", "group shift-a")
    assert found.why == "not at this hour (mon-fri 06:00-14:00)"
    assert one("root", "admin", "", when="2026-11-30T23:59:00-06:00").allowed  # its last day has 24 hours
    assert one("root", "admin", "", when="2026-12-01T00:00:00-06:00").why == "over since 2026-11-30"


def test_a_denial_of_one_role_binds_another() -> None:
    snapshot = Snapshot.of(
        "acme", "chicago", {**site().resources, "user.ann": {"roles": ["engineer"], "groups": ["shift-a"]}}
    )
    book = Book(snapshot, ANY_TIME)
    holder = book.holder("ann")
    assert holder is not None
    subject = subject_of(snapshot, "write", "packaging/line-1/gate/open")
    assert isinstance(subject, Subject)
    assert ask(book, holder, "write", subject)[0].reason == "deny"


def test_a_glob_is_counted_by_line_and_reason() -> None:
    snapshot = site()
    book = Book(snapshot, at(MORNING))
    holder, subject = book.holder("ann"), subject_of(snapshot, "read", "packaging/line-1")
    assert holder is not None
    assert isinstance(subject, Subject)
    found = ask(book, holder, "read", subject)
    assert [(each.reason, each.count, each.total) for each in found] == [("given", 3, 4), ("clearance", 1, 4)]
    assert found[1].example == "packaging/line-1/filler/recipe"


def test_a_raw_topic_is_asked_at_the_broker() -> None:
    topic = "_nexus/acme/chicago/cmd/packaging/line-1/filler/setpoint/"
    found = one("ann", "publish", topic + "ann")
    assert found.allowed
    assert found.line is not None
    assert found.line.text == "write packaging/** (labels team=north)"
    assert one("ann", "publish", topic + "boss").reason == "no_role"  # in another one's name
    assert one("ann", "publish", topic + "ann", retain=True).reason == "limits"
    assert one("ann", "subscribe", "acme/chicago/#").reason == "no_role"
    assert one("boss", "subscribe", "$share/desk/acme/chicago/#").allowed


@pytest.mark.parametrize(
    ("right", "text", "hint"),
    [
        ("read", "packaging/line-1/filer/temperature", "did you mean 'packaging/line-1/filler/temperature'?"),
        ("read", "packing/line-1/filler/temperature", "did you mean 'packaging/line-1/filler/temperature'?"),
        ("read", "packaging/line-1/filler/pressure", "'packaging/line-1/filler' has recipe, setpoint, temperature"),
        ("read", "too-hot", "ask for alerts"),
        ("run", "warmup", "did you mean 'warm-up'?"),
        ("run", "too-hot", "ask for alerts"),
        ("run", "packaging/line-1/filler/setpoint", "known here: warm-up"),
        ("publish", "packaging/line-1/filler/setpoint", "for the tag ask for write; its topic is acme/chicago/packaging/line-1/filler/setpoint"),
    ],
)  # fmt: skip
def test_a_mistake_gets_a_hint(right: Right, text: str, hint: str) -> None:
    found = subject_of(site(), right, text)
    assert isinstance(found, Unknown)
    assert found.hint == hint


@pytest.mark.parametrize(
    "text",
    [
        "acme/chicago/packaging/line-1/filler/setpoint",
        "_nexus/acme/chicago/cmd/packaging/line-1/filler/setpoint/ann",
        "/packaging/line-1/filler/setpoint",
    ],
)
def test_a_topic_in_place_of_a_path_is_understood(text: str) -> None:
    found = subject_of(site(), "write", text)
    assert isinstance(found, Subject)
    assert [tag.path for tag in found.tags] == ["packaging/line-1/filler/setpoint"]
