"""Policies over a plan: which hold, what they look at, when and why they are judged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from nexus_cli.cli.views.plan_markdown import plan_markdown
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.hazards import blocked
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.plan.policies import Violation
from nexus_cli.plan.text import plan_text

FRIDAY_LATE = datetime(2026, 12, 5, 2, 0, tzinfo=UTC)
"""Saturday in UTC, and Friday evening in Chicago."""
MONDAY = datetime(2026, 12, 7, 18, 0, tzinfo=UTC)
TAG = {"type": "float32", "published_type": "float32", "address": "holding:0"}


def device(path: str, **tags: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": path,
        "protocol": "modbus",
        "link": "tcp:10.0.0.9:502",
        "gateway": "gw",
        "connection": {"host": "10.0.0.9"},
        "tags": tags or {"energy": TAG},
    }


def site(*devices: dict[str, Any], zone: str = "America/Chicago", **policies: dict[str, Any]) -> Snapshot:
    resources: dict[str, Any] = {"site": {"enterprise": "acme", "site": "chicago", "time_zone": zone}}
    resources |= {f"device.{each['path']}": each for each in devices}
    return Snapshot.of("acme", "chicago", resources | {f"policy.{name}": one for name, one in policies.items()})


def judged(before: Snapshot, after: Snapshot, *, at: datetime = MONDAY, reason: str = "") -> Plan:
    base = Base(deployment=1, digest=before.digest, digests=before.digests, resources=before.resources)
    return make_plan(base, after, at=at, reason=reason).unwrap()


def found(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.name, one.paths) for one in plan.violations]


NO_WRITES = {"subject": "hazard", "deny": "hazard == 'write-enable' and weekday == 'friday'"}
METER, WRITABLE = device("a/l/meter"), device("a/l/meter", energy={**TAG, "writable": True})


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [
        ("America/Chicago", FRIDAY_LATE, [("no-writes", ("a/l/meter/energy",))]),
        ("UTC", FRIDAY_LATE, []),
        ("", FRIDAY_LATE, []),
        ("America/Chicago", MONDAY, []),
    ],
)
def test_the_day_is_that_of_the_site(zone: str, at: datetime, expected: list[Any]) -> None:
    sides = (site(one, zone=zone, **{"no-writes": NO_WRITES}) for one in (METER, WRITABLE))
    assert found(judged(next(sides), next(sides), at=at)) == expected


def test_the_policy_that_forbids_a_plan_still_holds_when_the_plan_removes_or_weakens_it() -> None:
    strict = {"subject": "change", "deny": "type == 'tag' and writable and not was_writable"}
    before = site(METER, strict=strict)
    for after in (site(WRITABLE), site(WRITABLE, strict={**strict, "severity": "info"})):
        plan = judged(before, after)
        assert found(plan)[0] == ("strict", ("a/l/meter/energy",)) and plan.violations[0].recorded
        assert not plan.applyable
        assert "policy-change" in {one.name for one in plan.hazards}


def test_policies_of_the_state_look_at_what_is_written_and_at_everything_when_they_are_new() -> None:
    units = {"subject": "tag", "require": "unit != ''"}
    other = device("a/l/other", power=TAG)
    assert found(judged(site(METER, other, units=units), site(WRITABLE, other, units=units))) == [
        ("units", ("a/l/meter/energy",))
    ]
    assert found(judged(site(METER, other), site(METER, other, units=units))) == [
        ("units", ("a/l/meter/energy", "a/l/other/power"))
    ]
    scoped = {**units, "where": "a/*/other/**"}
    assert found(judged(site(METER, other), site(METER, other, units=scoped))) == [("units", ("a/l/other/power",))]


def test_data_loss_only_with_a_reason() -> None:
    rule = {"subject": "hazard", "when": "hazard == 'data-loss'", "require": "reason != ''"}
    before = site(METER, device("a/l/other"), reasons=rule)
    after = site(METER, reasons=rule)
    assert found(judged(before, after)) == [("reasons", ("a/l/other/energy",))]
    assert found(judged(before, after, reason="   ")) == [("reasons", ("a/l/other/energy",))]
    assert judged(before, after, reason="scrapped").violations == ()


def test_a_policy_that_may_be_overridden_is_a_hazard_with_its_name() -> None:
    rule = {
        "subject": "plan",
        "deny": "tags_forgotten > 0",
        "overridable": True,
        "owner": "ops",
        "message": "keep tags",
    }
    plan = judged(site(METER, device("a/l/other"), keep=rule), site(METER, keep=rule))
    assert [(one.severity, one.blocking) for one in plan.violations] == [("error", False)]
    assert [one.scope for one in blocked(plan.hazards, ["data-loss"])] == ["keep"]
    assert blocked(plan.hazards, ["data-loss", "policy=keep"]) == ()
    assert len(blocked(plan.hazards, ["data-loss", "policy=other"])) == 1


def test_an_evaluation_without_a_result_counts_as_a_violation() -> None:
    rule = {"subject": "plan", "require": "1 / (hazards * 0) > 0"}
    assert found(judged(site(METER), site(WRITABLE, sums=rule))) == [("sums", ("plan",))]


def test_text_markdown_and_json_name_policy_owner_message_and_paths() -> None:
    rule = {
        "subject": "change",
        "deny": "type == 'tag'",
        "owner": "ops",
        "message": "no new tags",
        "severity": "warning",
    }
    many = device("a/l/other", **{f"t{number:02}": TAG for number in range(60)})
    document = plan_document(judged(site(METER, stop=rule), site(METER, many, stop=rule)))
    text = plan_text(document, style=lambda part, _: part)
    assert "  ! warning stop (ops): no new tags\n      a/l/other/t00\n" in text and "… and 55 more" in text
    assert f"Effect: {document['effect']}  (what an approval signs)\nPlan:" in text
    markdown = plan_markdown(document)
    assert "**warning: policy `stop`**, owner: ops: no new tags" in markdown
    assert "<details><summary>60 × change</summary>" in markdown and f"Effect: `{document['effect']}`" in markdown
    assert document["policies"][0]["paths"][-1] == "a/l/other/t59" and document["applyable"]
    assert orjson.loads(orjson.dumps(document)) == document


def test_only_errors_without_an_override_block() -> None:
    one = {"name": "n", "owner": "", "message": "", "subject": "plan", "paths": ("plan",), "recorded": True}
    kinds = [("error", False), ("error", True), ("warning", False), ("info", False)]
    blocking = [Violation(severity=severity, overridable=over, **one).blocking for severity, over in kinds]
    assert blocking == [True, False, False, False]


def test_a_policy_that_asks_for_a_reason_says_how_to_give_one() -> None:
    rule = {"subject": "plan", "require": "reason != ''", "owner": "quality"}
    other = {"subject": "plan", "deny": "first == first", "owner": "safety"}
    before, after = (
        site(device("a/l/one"), why=rule, never=other),
        site(device("a/l/one", power=TAG), why=rule, never=other),
    )
    hints = {one["name"]: one.get("hint") for one in plan_document(judged(before, after))["policies"]}
    assert hints == {"why": "say why with --reason TEXT; its owner is quality", "never": "its owner is safety"}
    given = {one["name"]: one.get("hint") for one in plan_document(judged(before, after, reason="shift"))["policies"]}
    assert given == {"never": "its owner is safety"}
