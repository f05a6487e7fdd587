"""What is more than a site lets one deployment change: devices, tags, series and principals, each counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.apply.request import DeploymentRequest, check_request
from nexus_cli.database.deployments import Recorded
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.limits import Limits, MassChange, mass_change_of
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.consents import consents_to
from nexus_cli.plan.hazards import blocked
from nexus_cli.plan.mass_change import tags_by_class
from nexus_cli.plan.plan import Plan
from tests.unit.plan.test_plan import device, plan, snapshot, tag

CLASSES: dict[str, Any] = {"retention__default": {"keep_ms": 400}, "retention__short": {"keep_ms": 400}}


def site(limit: Any) -> dict[str, Any]:
    return {"enterprise": "acme", "site": "chicago", "mass_change": limit}


def mass(found: Plan) -> dict[str, str]:
    """Message by scope."""
    return {each.scope: each.message for each in found.hazards if each.name == "mass-change"}


def big(**changed: dict[str, Any] | None) -> dict[str, Any]:
    """A device of ten tags, some of them other than usual; None leaves one out."""
    tags: dict[str, Any] = {f"t{n}": tag(address=f"holding:{n}") for n in range(10)}
    return device("a/l/big", tags={name: one for name, one in {**tags, **changed}.items() if one is not None})


def others(count: int) -> list[dict[str, Any]]:
    return [device(f"a/l/d{n}", tags={}) for n in range(count)]


def test_one_device_of_many_may_be_most_of_the_tags() -> None:
    """1 of 20 devices, and 3 of 10 tags."""
    change = {f"t{n}": tag(address=f"holding:{n}", poll_ms=50) for n in range(3)}
    sides = [
        snapshot(big(**tags), *others(19), site=site({"devices": 0.05, "tags": 0.29, "series": 0.0}))
        for tags in ({}, change)
    ]
    assert mass(plan(*sides)) == {"site/tags": "3 of 10 tags change (30%); the site allows 29% at once"}
    # another poll interval is no end of a series: not even a limit of nothing is passed


def test_series_that_end_break_move_or_change_their_class_count() -> None:
    change: dict[str, Any] = {
        "t0": None,
        "t1": tag(address="holding:1", published_type="int16"),
        "t2": tag(address="holding:2", unit="kWh"),
        "t3": tag(address="holding:3", retention="short"),
        "t4": tag(address="holding:4", poll_ms=50),
        "t5": None,
        "other": tag(address="holding:5"),
        "fresh": tag(address="holding:99"),
    }
    limit = site({"series": 0.49, "tags": 0.6})
    found = plan(
        snapshot(big(), site=limit, **CLASSES),
        snapshot(big(**change), site=limit, **CLASSES),
        moved=[("a/l/big/t5", "a/l/big/other")],
    )
    assert mass(found) == {
        "site/series": "5 of 10 series end, break, move or are kept otherwise (50%); the site allows 49% at once"
    }


def test_a_class_that_keeps_otherwise_touches_each_of_its_series_once() -> None:
    """t0 and t1 are in the class `short`, which changes; t1 is forgotten as well, and t9 of another class too."""
    short = {f"t{n}": tag(address=f"holding:{n}", retention="short") for n in range(2)}
    limit = site({"series": 0.2})
    kept = {"retention__default": {"keep_ms": 400}}
    before = snapshot(big(**short), site=limit, retention__short={"keep_ms": 400}, **kept)
    after = snapshot(big(**{**short, "t1": None, "t9": None}), site=limit, retention__short={"keep_ms": 500}, **kept)
    assert mass(plan(before, after)) == {
        "site/series": "3 of 10 series end, break, move or are kept otherwise (30%); the site allows 20% at once"
    }
    rolled = snapshot(big(**short), site=limit, retention__short={"keep_ms": 400, "rollups": ["1m"]}, **kept)
    assert mass(plan(before, rolled)) == {}, "another rollup keeps the samples as they are"


def people(limit: Any, *, north: list[str], fresh: bool = False) -> Snapshot:
    users = {f"user__u{n}": {"roles": ["north" if n < 2 else "south"]} for n in range(4)}
    users |= {"user__new": {"roles": ["north"]}} if fresh else {}
    roles = {"role__north": {"read": north}, "role__south": {"read": ["a/**"]}}
    return snapshot(device("a/l/one"), device("a/l/two"), site=site(limit), **users, **roles)


def test_principals_whose_rights_change_count_and_new_ones_do_not() -> None:
    before = people({"rights": 0.49}, north=["a/l/one/*"])
    found = plan(before, people({"rights": 0.49}, north=["a/**"], fresh=True))
    assert mass(found) == {"site/rights": "2 of 4 principals gain or lose rights (50%); the site allows 49% at once"}
    assert mass(plan(before, people({"rights": 0.49}, north=["a/l/one/energy"]))) == {}, "other words, the same right"
    assert mass(plan(before, people({"rights": 0.5}, north=["a/**"]))).keys() == {"site/rights"}, "the limit on record"
    assert mass(plan(people({"rights": 0.5}, north=["a/l/one/*"]), people({"rights": 0.5}, north=["a/**"]))) == {}


def test_one_share_is_the_limit_of_each_kind() -> None:
    limit = site(0.2)
    found = plan(snapshot(big(), site=limit), snapshot(big(t0=None, t1=None, t2=None), site=limit))
    assert list(mass(found)) == ["site", "site/tags", "site/series"]
    hazards = [each for each in found.hazards if each.name == "mass-change"]
    assert consents_to(hazards) == ["mass-change"] and not blocked(hazards, ["mass-change"])
    assert [each.scope for each in blocked(hazards, ["mass-change=site/tags"])] == ["site", "site/series"]


def test_nothing_of_a_first_plan_is_a_change() -> None:
    assert mass(plan(Snapshot("acme", "chicago", {}, {}), snapshot(big(), site=site(0.0)))) == {}


def test_limits_as_they_are_written() -> None:
    assert mass_change_of(Limits.model_validate({"mass_change": "0.7%"})) == 0.007
    assert mass_change_of(Limits.model_validate({"mass_change": {"devices": "20%", "series": "1%"}})) == {
        "devices": 0.2,
        "series": 0.01,
    }
    same = dict.fromkeys(("devices", "tags", "series", "rights"), "20%")
    assert mass_change_of(Limits(mass_change=MassChange(**same))) == 0.2, "said in another way, the same"
    assert mass_change_of(Limits()) is mass_change_of(Limits(mass_change=MassChange())) is None


@pytest.mark.parametrize(("allow", "refused"), [([], True), (["mass-change"], False)])
def test_control_weighs_by_what_it_counted(allow: list[str], refused: bool) -> None:
    limit = site({"tags": 0.1})
    before, after = snapshot(big(), site=limit), snapshot(big(t0=tag(poll_ms=50), t1=tag(poll_ms=50)), site=limit)
    made = plan(before, after)
    request = DeploymentRequest(
        base_digest=made.base_digest, desired_digest=made.desired_digest, changed=made.desired, allow=allow
    )
    recorded = Recorded(
        enterprise="acme",
        site="chicago",
        digests=before.digests,
        tags=tags_by_class(value for address, value in before.resources.items() if address.startswith("device.")),
    )
    was = {address: before.resources[address] for address in made.desired}
    kept = {"site": before.resources["site"]}
    if not refused:
        assert check_request(request, recorded, was, kept=kept).changes == made.changes
        return
    with pytest.raises(NexusError, match="2 of 10 tags change") as caught:
        check_request(request, recorded, was, kept=kept)
    assert (caught.value.code, caught.value.hint) == ("NX4002", "if this is intended: --allow mass-change")
