"""The steps of a deployment, and how it ends: pure."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from typing import Any

import msgspec
import orjson
import pytest

from nexus_cli.apply import table
from nexus_cli.apply.observation import Observations
from nexus_cli.apply.request import DeploymentRequest, changes_between, check_request
from nexus_cli.apply.rights import after_and_before
from nexus_cli.apply.run import Run, Work, gateway_digest, notice
from nexus_cli.apply.shapes import problem_of
from nexus_cli.apply.timing import Timing
from nexus_cli.database.deployments import Deployment, Recorded, Summary
from nexus_cli.model.config import digest
from nexus_cli.plan.stages import gateways_of, stages_of, verified_devices
from nexus_cli.wire.configuration import Observed, Verification


def device(path: str, **keys: Any) -> dict[str, Any]:
    tags = {"energy": {"type": "float32"}}
    return {"path": path, "protocol": "modbus", "link": "tcp:x:502", "gateway": "gw", "tags": tags, **keys}


def between(before: list[dict[str, Any]], after: list[dict[str, Any]], **others: Any):
    old = {f"device.{each['path']}": each for each in before}
    new = {f"device.{each['path']}": each for each in after}
    changed = {**dict.fromkeys(old), **new, **others}
    return changes_between({k: v for k, v in changed.items() if old.get(k) != v}, old)


def names(changes) -> list[str]:
    return [stage.step for stage in stages_of(changes)]


def test_nothing_to_do_has_no_steps() -> None:
    assert stages_of(()) == ()


def test_the_whole_list_in_order() -> None:
    changes = between([device("a/l/gone")], [device("a/l/new")])
    assert names(changes) == ["record", "rights", "notify", "observe", "clear", "revoke", "finalise", "verify"]
    assert [stage.text for stage in stages_of(changes)] == [
        "record 2 changed resources in one transaction",
        "grant the rights of the old and the new state together",
        "notify gateway gw",
        "wait until gateway gw runs 2 devices as planned",
        "clear 1 retained message",
        "revoke the rights that only the old state had",
        "write the audit trail and release the lock",
        "check that 1 device delivers GOOD values",
    ]


def test_a_changed_tag_touches_no_rights_and_clears_nothing() -> None:
    changed = device("a/l/one", tags={"energy": {"type": "float32", "deadband": 1.0}})
    assert names(between([device("a/l/one")], [changed])) == ["record", "notify", "observe", "finalise", "verify"]


def test_a_role_concerns_no_gateway() -> None:
    assert names(changes_between({"role.x": {"read": []}}, {})) == ["record", "rights", "revoke", "finalise"]


def test_a_device_that_changes_its_gateway_concerns_both() -> None:
    changes = between([device("a/l/one")], [device("a/l/one", gateway="other")])
    assert gateways_of(changes) == {"gw": ("a/l/one",), "other": ("a/l/one",)}
    assert "rights" in names(changes)


def test_external_and_disabled_devices_are_not_verified() -> None:
    external = device("a/l/ext", protocol="external", gateway="", link="")
    assert verified_devices(between([], [external, device("a/l/off", enabled=False), device("a/l/on")])) == ("a/l/on",)


def test_the_states_on_both_sides_are_what_is_kept_and_what_changes() -> None:
    after, before = after_and_before(
        {"b": {"v": 1}},
        changed={"a": {"v": 2}, "gone": None, "new": {"v": 9}},
        before={"a": {"v": 1}, "gone": {"v": 5}},
    )
    assert after == {"a": {"v": 2}, "b": {"v": 1}, "new": {"v": 9}}
    assert before == {"a": {"v": 1}, "b": {"v": 1}, "gone": {"v": 5}}


def test_the_gateways_digest_is_of_sorted_pairs() -> None:
    assert gateway_digest({"b": "2", "a": "1"}) == digest([["a", "1"], ["b", "2"]])
    assert notice(deployment=3, digest="x") == b'{"deployment":3,"digest":"x"}'


@pytest.mark.parametrize(
    ("verification", "was_reachable", "expected"),
    [
        (Verification(good=3), True, "verified"),
        (Verification(good=1, bad=2, reachable=True), False, "verified"),
        (Verification(bad=3, reachable=True), True, "unverified"),
        (Verification(bad=3), True, "failed"),
        (Verification(bad=3), False, "unverified"),
        (None, True, "unverified"),
    ],
)
def test_verification(verification: Verification | None, was_reachable: bool, expected: str) -> None:
    rows = table.rows_of(between([], [device("a/l/one")]))
    table.recorded(rows)
    assert rows[0].state == "unknown" and table.outcome_of(rows) == "partly"
    table.answered(rows, {"gw": Observed(deployment=1, digest="x")})
    found = {} if verification is None else {"a/l/one": verification}
    table.verified(rows, verifications=found, wanted=["a/l/one"], reachable_before=["a/l/one"] if was_reachable else [])
    assert rows[0].verification == expected
    assert table.outcome_of(rows) == ("partly" if expected == "failed" else "applied")


@pytest.mark.parametrize(
    ("before", "word"),
    [([], "is new and has not answered yet: no route"), (["x"], "does not answer, as before: no route")],
)
def test_a_first_deployment_speaks_of_no_before(before: list[str], word: str) -> None:
    changes = between([device("a/l/one", v=1)] if before else [], [device("a/l/one", v=2)])
    rows = table.rows_of(changes)
    table.recorded(rows)
    table.answered(rows, {"gw": Observed(deployment=1, digest="x")})
    found = {"a/l/one": Verification(bad=3, detail="no route")}
    table.verified(rows, verifications=found, wanted=["a/l/one"], reachable_before=[])
    assert rows[0].detail == f"the device {word}"


def test_a_failed_record_step_says_that_nothing_changed() -> None:
    rows = table.rows_of(changes_between({"role.x": {}, "role.y": {}}, {}))
    table.failed(rows, "disk full")
    assert table.outcome_of(rows) == "failed"
    assert table.summary_of(rows).counts["failed"] == 2


def test_a_long_table_keeps_what_is_not_well() -> None:
    rows = [table.Row(address=f"device.{n}", action="create", state="applied") for n in range(100)]
    rows[90].state = "failed"
    summary = table.summary_of(rows, limit=10)
    assert summary.table[0].address == "device.90" and summary.left_out == 90
    assert summary.counts["applied"] == 99


async def test_observations_wake_whoever_waits_and_survive_nonsense() -> None:
    seen = Observations()
    for nonsense in (b"", b"{", b"[]", b"\xff", b'{"deployment":"x"}', b'{"deployment":1,"digest":"d","devices":[]}'):
        assert seen.receive("gw", nonsense) is None and seen.hear_health("gw", nonsense) is None
    assert seen.unreadable == 12
    assert not await seen.until(lambda: seen.answer("gw", digest="d", deployment=2) is not None, timeout_s=0.01)
    seen.receive("gw", b'{"deployment":1,"digest":"d"}')
    assert seen.answer("gw", digest="d", deployment=2) is None, "an answer to an earlier deployment"
    seen.receive("gw", b'{"deployment":2,"digest":"d"}')
    assert await seen.until(lambda: seen.answer("gw", digest="d", deployment=2) is not None, timeout_s=0.01)
    seen.hear_health("gw", b'{"state":"running","links":{"tcp:x:502":{"state":"connected","detail":"","since":1}}}')
    assert seen.reachable("gw", "tcp:x:502") and not seen.reachable("gw", "tcp:y:502")
    seen.hear_health("gw", b'{"state":"lost"}')
    assert not seen.reachable("gw", "tcp:x:502")


def test_messages_and_alerts_that_come_or_go_carry_rights_with_them() -> None:
    for address in ("message.order", "alert.hot"):
        body = {"topic": "x", "tag": "a/l/d/t", "above": 1.0}
        assert "rights" in names(changes_between({address: body}, {}))
        assert "revoke" in names(changes_between({address: None}, {address: body}))
    louder = {"tag": "a/l/d/t", "above": 2.0}
    assert "rights" not in names(changes_between({"alert.hot": louder}, {"alert.hot": {**louder, "above": 1.0}}))


def test_what_says_who_reads_a_device_carries_rights_with_it() -> None:
    def steps(**keys: Any) -> list[str]:
        return names(between([device("a/l/one")], [device("a/l/one", **keys)]))

    for change in (
        {"gateway": "gw-2"},
        {"labels": {"zone": "1"}},
        {"classification": "restricted"},
        {"tags": {"energy": {"type": "float32", "classification": "restricted"}}},
        {"tags": {"energy": {"type": "float32"}, "more": {"type": "float32"}}},
    ):
        assert "rights" in steps(**change) and "revoke" in steps(**change), change
    for change in (
        {"link": "tcp:y:502"},
        {"tags": {"energy": {"type": "float32", "deadband": 1.0}}},
        {"connection": {}},
    ):
        assert "rights" not in steps(**change), change
    others = device("a/l/one", protocol="external", gateway="", connection={"globs": ["a/l/one/**"]})
    more = {**others, "connection": {"globs": ["a/l/**"]}}
    assert "rights" in names(between([others], [more]))
    site = {"enterprise": "acme", "site": "chicago"}
    for key, value in (("labels", {"a": {"zone": "1"}}), ("time_zone", "Europe/Berlin")):
        assert "rights" in names(changes_between({"site": {**site, key: value}}, {"site": site}))
    assert "rights" not in names(changes_between({"site": {**site, "description": "x"}}, {"site": site}))
    assert "rights" in names(changes_between({"group.shift": {"roles": ["x"]}}, {"group.shift": {"roles": []}}))
    alert = {"tag": "a/l/d/t", "above": 2.0}
    assert "rights" in names(changes_between({"alert.hot": {**alert, "tag": "a/l/d/u"}}, {"alert.hot": alert}))


@pytest.mark.parametrize("kind", ["user", "group"])
@pytest.mark.parametrize(
    "wrong", [{"valid_from": "soon"}, {"valid_until": "2026-02-30"}, {"hours": ["mon-fri 6"]}, {"hours": [""]}]
)
def test_a_period_that_is_none_is_refused(kind: str, wrong: dict[str, Any]) -> None:
    assert problem_of(kind, {"roles": [], **wrong})
    right = {"valid_from": "2026-01-01", "valid_until": "9999-12-31", "hours": ["mon-fri 06:00-22:00"]}
    assert problem_of(kind, {"roles": [], **right}) == ""


DEPLOYMENT = Deployment(
    id=1,
    site="acme/chicago",
    number=7,
    who="me",
    reason="because",
    outcome="running",
    base_digest="a",
    desired_digest="b",
    summary=Summary(),
    started=dt.datetime(2026, 12, 1, tzinfo=dt.UTC),
    ended=None,
    allow=[],
    run_url="",
    undoes=0,
)


def test_the_work_of_a_row_is_the_work_that_was_accepted() -> None:
    new, role = device("a/l/one"), {"read": ["**"], "write": []}
    recorded = Recorded(enterprise="acme", site="chicago", digests={"role.gone": digest(role)})
    desired = Recorded(enterprise="acme", site="chicago", digests={"device.a/l/one": digest(new)})
    request = DeploymentRequest(
        base_digest=recorded.digest,
        desired_digest=desired.digest,
        changed={"device.a/l/one": new, "role.gone": None},
        moved=[("a/l/old", "a/l/one")],
        allow=["data-loss=a/**"],
    )
    before = {"role.gone": role}
    checked = check_request(request, recorded, before)
    accepted = Work.accepted(request, checked, before=before, summary={"create": 1})
    assert list(accepted.document()) == ["changed", "before", "digests", "moved", "allow", "summary"]
    stored = Work.stored(orjson.dumps(accepted.document()).decode())
    assert stored == accepted
    assert stored.plan.changed == request.changed and stored.plan.digests == {"device.a/l/one": digest(new)}
    run = Run.of(DEPLOYMENT, stored, journal=[])
    assert [(row.address, row.action) for row in run.rows] == [("device.a/l/one", "create"), ("role.gone", "forget")]
    assert [stage.step for stage in run.stages] == names(checked.changes)


@pytest.mark.parametrize("plan", [{}, [], {"changed": [], "moved": 3, "allow": {}, "before": "x", "digests": 1}])
def test_a_row_without_a_plan_is_refused(plan: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        Work.stored(orjson.dumps(plan).decode())


HURRIED = Timing(absent_s=0.0, settle_s=0.0, observe_s=60.0)


async def test_a_gateway_that_has_never_reported_is_not_waited_for() -> None:
    seen = Observations()
    seen.connected()
    assert not await seen.there("gw", timing=HURRIED)
    seen.hear_health("other", b'{"state":"running"}')
    assert not await seen.there("gw", timing=HURRIED)


@pytest.mark.parametrize("state", ["running", "lost", "stopping", "waiting"])
async def test_the_last_report_of_a_gateway_is_enough(state: str) -> None:
    seen = Observations()
    seen.hear_health("gw", b'{"state":"%b","instance":"01J00000000000000000000000"}' % state.encode())
    assert await seen.there("gw", timing=HURRIED)


async def test_a_control_that_has_just_connected_waits_for_a_first_report() -> None:
    seen = Observations()
    seen.connected()
    waiting = asyncio.create_task(
        seen.there("gw", timing=dataclasses.replace(HURRIED, settle_s=600.0, observe_s=600.0))
    )
    await asyncio.sleep(0)
    assert not waiting.done()
    seen.receive("gw", b'{"deployment":1,"digest":"d"}')
    assert await waiting
