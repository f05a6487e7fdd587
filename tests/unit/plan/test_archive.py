"""What a plan says about an archive: when data goes there, when it no longer does, and that this needs consent."""

from __future__ import annotations

from typing import Any

from tests.unit.plan.test_plan import plan, snapshot, texts

DAY = 86_400_000
KEPT = {"keep_ms": 60 * DAY, "rollups": []}


def archived(**more: Any) -> dict[str, Any]:
    return KEPT | {"archive_after_ms": 7 * DAY} | more


def test_an_archive_that_is_new() -> None:
    found = plan(snapshot(retention__fast=KEPT), snapshot(retention__fast=archived(), archive__store={"to": "/srv/a"}))
    assert texts(found) == [
        "database: old days go to /srv/a; nothing of an archived class is dropped before it is there",
        "database: days of class fast go to the archive 7d after they end, before they are dropped",
    ]
    assert found.hazards == ()


def test_a_class_that_is_archived_no_more_needs_consent() -> None:
    store = {"archive__store": {"to": "/srv/a"}}
    found = plan(snapshot(retention__fast=archived(), **store), snapshot(retention__fast=KEPT, **store))
    assert texts(found) == [
        "database: class fast is no longer archived: what is not there yet is dropped when its time is over",
        "database: what the archive has of class fast stays there",
    ]
    assert [(each.name, each.scope) for each in found.hazards] == [("data-loss", "fast")]


def test_ages_and_the_place_change() -> None:
    before = snapshot(retention__fast=archived(), archive__store={"to": "/srv/a"})
    after = snapshot(
        retention__fast=archived(archive_after_ms=14 * DAY, archive_keep_ms=365 * DAY), archive__store={"to": "s3://b"}
    )
    assert texts(plan(before, after)) == [
        "database: new days go to s3://b; days that are at /srv/a are to be moved there by hand",
        "database: days of class fast go to the archive after 14d instead of 7d",
        "database: the archive keeps days of class fast for 365d",
    ]
    found = plan(before, after)
    assert [each.message for each in found.hazards] == [
        "the archive keeps days of class fast for 365d: older ones are removed from it"
    ]
    back = plan(after, before)
    assert "database: the archive keeps days of class fast for ever" in texts(back)
    assert back.hazards == ()


def test_an_archive_that_is_removed() -> None:
    before = snapshot(retention__fast=archived(), archive__store={"to": "/srv/a"})
    found = plan(before, snapshot(retention__fast=KEPT))
    assert "database: nothing goes to /srv/a any more; what is there stays" in texts(found)
    assert [each.name for each in found.hazards] == ["data-loss"]
