"""What is shown of a plan to who signs it: bounded, counted, the worst first."""

from __future__ import annotations

from typing import Any

from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.document import PlanDocument, plan_document
from nexus_cli.plan.plan import Base, make_plan
from nexus_cli.plan.review import MOST_LISTED, MOST_TAGS, review_of
from nexus_cli.wire.control_plans import DeploymentReview
from tests.unit.plan.test_policies import MONDAY, TAG, device, site

EMPTY = DeploymentReview(number=3, base=2)
UNITS = {"subject": "tag", "require": "unit != ''", "severity": "warning", "owner": "quality"}


def planned(before: Snapshot, after: Snapshot, **keys: Any) -> PlanDocument:
    base = Base(deployment=2, digest=before.digest, digests=before.digests, resources=before.resources)
    return plan_document(make_plan(base, after, at=MONDAY).unwrap(), **keys)


def wide(writable: bool, count: int = MOST_TAGS + 30) -> dict[str, Any]:
    tags = {f"t{number:03}": {**TAG, "address": f"holding:{2 * number}"} for number in range(count)}
    return device("a/l/wide", **{name: {**one, "writable": True} if writable else one for name, one in tags.items()})


def test_each_list_has_its_whole_length_and_a_bounded_part() -> None:
    plan = planned(site(wide(False), units=UNITS), site(wide(True), units=UNITS))
    found = review_of(plan, EMPTY)
    assert (found.number, found.base, found.effect) == (3, 2, plan["effect"])
    assert found.hazards.total == len(plan["hazards"]) > MOST_LISTED == len(found.hazards.shown)
    (policy,) = found.policies.shown
    assert (len(policy["paths"]), policy["more"]) == (MOST_TAGS, 30)
    (change,) = found.changes
    assert (change.address, change.action) == ("device.a/l/wide", "update")
    assert change.lines[0] == "  ~ device.a/l/wide" and sum(" ~ t" in line for line in change.lines) == MOST_TAGS
    assert any("and 30 tags more" in line for line in change.lines)
    assert not any("names" in each for one in found.impact for each in one.shown)
    assert [one.total for one in found.impact] == [
        sum(each["plane"] == one.plane for each in plan["impact"]) for one in found.impact
    ]


def test_what_nobody_consented_to_comes_first() -> None:
    two = site(device("a/l/one"), device("a/l/two"))
    plan = planned(two, site(device("a/l/three")), allow=("data-loss=a/l/one/**",))
    allowed = [one["allowed"] for one in review_of(plan, EMPTY).hazards.shown]
    assert True in allowed and False in allowed and allowed == sorted(allowed)


def test_pages_have_every_change_once_in_order() -> None:
    before = site(*(device(f"a/l/unit-{number}") for number in range(25)))
    plan = planned(before, site(*(device(f"a/l/unit-{number}", other=TAG) for number in range(25))))
    pages = [review_of(plan, EMPTY, offset=offset, limit=10) for offset in (0, 10, 20, 30)]
    assert [len(one.changes) for one in pages] == [10, 10, 5, 0]
    assert [one.address for page in pages for one in page.changes] == [
        each["address"] for each in plan["resource_changes"]
    ]
    assert {one.total for one in pages} == {25}


def test_a_plan_of_an_older_version_has_what_it_has() -> None:
    plan = planned(site(device("a/l/one")), site(device("a/l/two")))
    for key in ("effect", "load", "readers", "templates", "rights", "sessions", "policies"):
        del plan[key]  # type: ignore[misc]
    found = review_of(plan, EMPTY)
    assert (found.effect, found.policies.total, found.rights) == ("", 0, []) and found.total == 2
