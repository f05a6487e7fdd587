"""What `who-can` says is what the broker is given: the lines of roles and the compiled grants agree on every tag."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from nexus_cli.access.evaluate import evaluate
from nexus_cli.access.gains import gains
from nexus_cli.access.people import ANY_TIME
from nexus_cli.access.questions import Book, ask
from nexus_cli.access.subjects import Subject
from nexus_cli.model.snapshot import Snapshot
from tests.properties.test_rights import _sites, _snapshot


def may(book: Book, right: str, path: str) -> bool:
    holder = book.holder("u")
    assert holder is not None
    subject = Subject(kind="tags", text=path, tags=(book.facts[path],))
    answer = ask(book, holder, right, subject)[0]  # type: ignore[arg-type]
    return answer.allowed or answer.reason == "not_writable"  # the gateway refuses that, not the broker


def granted(book: Book, right: str, path: str) -> bool:
    topics, external = book.topics, book.facts[path].external
    action = "subscribe" if right == "read" else "publish"
    topic = topics.command(path, "u") if right == "write" and not external else topics.tag(path)
    return evaluate(book.grants, principal="u", action=action, topic=topic).allowed  # type: ignore[arg-type]


@given(_sites)
@settings(max_examples=100, deadline=None)
def test_the_lines_and_the_grants_agree(site: dict[str, Any]) -> None:
    book = Book(_snapshot(site), ANY_TIME)
    for right in ("read", "write"):
        wrong = [path for path in book.facts if may(book, right, path) != granted(book, right, path)]
        assert wrong == [], right


@given(_sites, _sites)
@settings(max_examples=60, deadline=None)
def test_gains_are_what_differs(one: dict[str, Any], other: dict[str, Any]) -> None:
    same_tree = {**other, "devices": one["devices"], "labels": one["labels"]}
    before, after = _snapshot(one), _snapshot(same_tree)
    sides = Book(before, ANY_TIME), Book(after, ANY_TIME)
    found = {gain.action: gain for gain in gains(before, after) if gain.principal == "u" and gain.kind == "tag"}
    reads = [{path for path in book.facts if granted(book, "read", path)} for book in sides]
    assert set(found["read"].gained if "read" in found else ()) == reads[1] - reads[0]
    assert set(found["read"].lost if "read" in found else ()) == reads[0] - reads[1]
    assert gains(after, after) == ()


def test_a_new_tag_below_an_old_right_is_no_gain() -> None:
    def site(tags: list[str]) -> Snapshot:
        device = {"path": "a/l/d", "protocol": "modbus", "tags": {tag: {"type": "bool"} for tag in tags}}
        role = {"read": ["a/**"], "write": []}
        return Snapshot.of("e", "s", {"device.a/l/d": device, "role.r": role, "user.u": {"roles": ["r"]}})

    assert [gain for gain in gains(site(["t1"]), site(["t1", "t2"])) if gain.principal == "u"] == []
