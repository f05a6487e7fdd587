"""Confirming, rolling back and resuming deployments, by a control with a real database and a real broker."""

from __future__ import annotations

import dataclasses
import signal
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import digest
from nexus_cli.wire.control import Deployment, DeploymentRequest, PlanSummary
from nexus_cli.wire.control_undo import RollbackPlan
from nexus_cli.wire.http import ControlClient
from tests.integration.control_world import (
    FAST,
    FakeGateway,
    World,
    applied,
    body_of,
    device,
    ended,
    journal_has,
    plan_against,
    rows,
    snapshot,
    steps,
    tag,
    world,
)
from tests.waiting import until, until_found

__all__ = ["world"]

ONE, TWO = device("a/l/one"), device("a/l/two")


def rollback_of(plan: RollbackPlan, *, allow: tuple[str, ...] = ()) -> DeploymentRequest:
    """The request of the command line."""
    return DeploymentRequest(
        base_digest=plan.base_digest,
        desired_digest=plan.desired_digest,
        changed=plan.changed,
        plan=PlanSummary(moved=plan.moved),
        allow=list(allow),
        undoes=plan.undoes,
    )


async def rolled_back(control: ControlClient, number: int = 0, *, to: bool = False, allow: tuple[str, ...] = ()) -> Any:
    plan = await control.rollback_plan(number, to=to)
    return await ended(control, await control.deploy(rollback_of(plan, allow=allow)))


async def unconfirmed(control: ControlClient, *devices: Any, within_s: int = 600) -> Deployment:
    """Apply these devices, to be confirmed; gives the deployment at its end."""
    body = body_of(await plan_against(control, snapshot(*devices)))
    return await ended(control, await control.deploy(msgspec.structs.replace(body, confirm_within_s=within_s)))


async def refused(call: Any) -> NexusError:
    with pytest.raises(NexusError) as found:
        await call
    return found.value


async def test_what_waits_holds_off_the_next_and_stays_when_it_is_confirmed(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        found = await unconfirmed(control, ONE)
        assert found.confirmation is not None and found.confirmation.state == "waiting"
        assert 0 < found.confirmation.left_s <= found.confirmation.within_s == 600
        second = body_of(await plan_against(control, snapshot(ONE, TWO)))
        error = await refused(control.deploy(second))
        assert (error.code, error.exit_code, error.hint) == (
            "NX5011",
            5,
            "`nexus confirm 1` keeps it, `nexus rollback 1` takes it back",
        )
        status = await until_found(world.status, lambda said: said.get("unconfirmed") is not None)
        assert status["unconfirmed"]["number"] == 1
        assert await control.confirm() == 1
        assert (await refused(control.confirm(1))).message == "Deployment 1 was confirmed by nexus.cli."
        late = await refused(control.confirm())
        assert late.message == "No deployment waits to be confirmed: deployment 1 was confirmed by nexus.cli."
        assert late.code == "NX5012"
        assert (await refused(control.confirm(7))).code == "NX5006"
        assert (await ended(control, await control.deploy(second))).outcome == "applied"
        (first,) = [each for each in await control.deployments() if each.number == 1]
        assert first.confirmation is not None
        assert (first.confirmation.state, first.confirmation.who) == ("confirmed", "nexus.cli")
        trail = await control.audit(kind="deployment")
        assert [(each.what, each.subject) for each in trail.entries].count(("confirm", "deployment 1")) == 1


async def test_nobody_confirms_so_control_takes_it_back_and_says_why(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(ONE))
        before = (await control.state()).digest
        assert (await unconfirmed(control, ONE, TWO)).outcome == "applied"
        assert sorted(gateway.running) == ["a/l/one", "a/l/two"]
        await rows(world, "UPDATE nexus.confirmation SET left_us = 1000")  # the rest of the time passes
        found = await ended(control, 3) if await until_found(control.deployments, lambda all_: len(all_) == 3) else None
        assert found is not None and (found.outcome, found.undoes, found.who) == ("applied", 2, "nexus.control")
        assert found.reason == "deployment 2 was not confirmed within 10m"
        assert (await control.state()).digest == before
        await until(lambda: sorted(gateway.running) == ["a/l/one"], "the gateway's former configuration")
        undone = await control.deployment(2)
        assert undone.confirmation is not None
        assert (undone.confirmation.state, undone.confirmation.undone_by) == ("rolled-back", 3)
        assert "deployment rolled back" in caplog.text
        for late, subject in (
            (control.confirm(2), "Deployment 2"),
            (control.confirm(), "No deployment waits to be confirmed: deployment 2"),
        ):
            error = await refused(late)
            assert error.message == f"{subject} was rolled back by deployment 3."
            assert error.cause == "deployment 2 was not confirmed within 10m"
            assert "nexus apply" in error.hint
        assert "without --confirm-within" in (await refused(control.confirm(1))).message


async def test_what_keeps_control_from_taking_it_back_is_said_where_it_waits(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        until_high = {"do": "until", "subject": "{a/l/two/energy} > 5", "timeout_ms": 600_000}
        watch = {"steps": [until_high], "on_change": "refuse"}
        body = body_of(await plan_against(control, snapshot(ONE, TWO, sequence__watch=watch)))
        assert (await ended(control, await control.deploy(body))).outcome == "applied"
        moved = device("a/l/two", host="10.0.0.7")
        plan = await plan_against(control, snapshot(ONE, moved, sequence__watch=watch))
        body = msgspec.structs.replace(body_of(plan), confirm_within_s=600)
        assert (await ended(control, await control.deploy(body))).outcome == "applied"
        run = await control.start_sequence("watch", run="watching")
        assert run.state == "running"
        await rows(world, "UPDATE nexus.confirmation SET left_us = 1000")
        status = await until_found(world.status, lambda said: bool((said.get("unconfirmed") or {}).get("problem")))
        assert "watch" in status["unconfirmed"]["problem"]
        (found,) = [each for each in await control.deployments() if each.number == 2]
        assert found.confirmation is not None and found.confirmation.problem == status["unconfirmed"]["problem"]
        assert (found.confirmation.state, found.confirmation.left_s) == ("waiting", 0.0)
        assert await control.confirm(2) == 2, "late is better than never"
        await until_found(world.status, lambda said: said.get("unconfirmed") is None)


async def test_a_second_rollback_has_to_be_named_and_says_what_comes_back(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(ONE))
        bad = device("a/l/one", host="10.0.0.66")
        await applied(control, snapshot(bad))
        spoilt = (await control.state()).digest
        assert (await rolled_back(control)).undoes == 2
        good = (await control.state()).digest
        error = await refused(control.rollback_plan(0))
        assert (error.code, error.exit_code) == ("NX4013", 1)
        assert error.message == "Deployment 3 is a rollback itself: it took back from deployment 2 on."
        assert (
            "`nexus rollback 3` brings back" in error.hint
            and "`nexus rollback 1` takes back deployment 1" in error.hint
        )
        assert (await control.state()).digest == good
        plan = await control.rollback_plan(3)
        assert (plan.base, plan.again, plan.desired_digest) == (2, [(3, 2)], spoilt)
        further = await control.rollback_plan(1)
        assert (further.base, further.again, further.undone) == (0, [], [3, 2, 1])
        assert (await control.rollback_plan(2)).plan["resource_changes"] == []
        await rolled_back(control, 3)
        error = await refused(control.rollback_plan(0))
        assert error.message.startswith("Deployment 4 is a rollback itself") and "`nexus rollback 2`" in error.hint
        await until(lambda: len(gateway.notices) == 4, "the gateway's configuration")


async def test_the_time_goes_on_while_control_is_killed_and_under_the_next_one(world: World) -> None:
    process = world.control_process()
    try:
        async with world.client() as control, FakeGateway(world.settings).up():
            await world.until_leads()
            await unconfirmed(control, ONE)
            process.kill()
            process.wait()
            # It was away for longer than was left.
            await rows(world, "UPDATE nexus.confirmation SET left_us = 5000000, at = now() - interval '6 seconds'")
            process = world.control_process()
            await world.until_leads()
            await until_found(control.deployments, lambda all_: len(all_) == 2)
            assert (await ended(control, 2)).undoes == 1
            assert (await control.state()).digests == {}
    finally:
        process.kill()
        process.wait()


async def test_a_clock_that_was_set_takes_no_time_off_and_gives_none(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await unconfirmed(control, ONE)
        for moved in ("+ interval '5 hours'", "- interval '5 hours'"):
            await rows(world, f"UPDATE nexus.confirmation SET at = now() {moved}, left_us = 600000000")
            counted = await until_found(
                lambda: rows(
                    world, "SELECT left_us FROM nexus.confirmation WHERE abs(extract(epoch FROM now() - at)) < 60"
                ),
                bool,
            )
            assert counted[0]["left_us"] > 500_000_000
        assert len(await control.deployments()) == 1


async def test_page_takes_back_at_once_what_waits_and_nothing_else(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(ONE))
        assert (await refused(control.roll_back(1))).code == "NX5012"
        await unconfirmed(control, ONE, TWO)
        assert await control.roll_back(2, reason="the pump stopped") == 3
        found = await ended(control, 3)
        assert (found.outcome, found.undoes, found.reason) == ("applied", 2, "the pump stopped")
        assert (await refused(control.roll_back(2))).code == "NX5012"


async def test_a_rollback_of_several_is_the_state_before_the_first(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(ONE))
        first = await control.state()
        await applied(control, snapshot(ONE, TWO))
        changed = device("a/l/one", host="10.0.0.7")
        await applied(control, snapshot(changed, TWO), allow=("data-loss",))
        assert (await control.rollback_plan(2)).undone == [3, 2]
        assert (await refused(control.rollback_plan(9))).code == "NX5006"
        assert (await refused(control.rollback_plan(3, to=True))).code == "NX5014"
        to_one = await control.rollback_plan(1, to=True)
        assert (to_one.undoes, to_one.base, to_one.desired_digest) == (2, 1, first.digest)
        found = await rolled_back(control, 2, allow=("data-loss",))
        assert (found.outcome, found.undoes) == ("applied", 2)
        state = await control.state()
        assert (state.digest, state.digests) == (first.digest, first.digests)
        assert gateway.running == {"a/l/one": first.digests["device.a/l/one"]}
        # A rollback is a deployment: taken back, it brings back what it took.
        again = await rolled_back(control, 4)
        assert again.undoes == 4 and sorted(gateway.running) == ["a/l/one", "a/l/two"]


async def test_forgotten_and_renamed_series_come_back_with_their_history(world: World) -> None:
    query = "SELECT path, ulid FROM nexus.series WHERE active ORDER BY path"
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(ONE, TWO))
        before = await rows(world, query)
        assert len(before) == 4
        renamed = device("a/l/uno")
        await applied(control, snapshot(renamed), moved=[("a/l/one", "a/l/uno")], allow=("data-loss",))
        assert await rows(world, query) != before
        plan = await control.rollback_plan(0)
        assert plan.moved == [("a/l/uno", "a/l/one")]
        assert (await ended(control, await control.deploy(rollback_of(plan)))).outcome == "applied"
        assert await rows(world, query) == before


async def test_the_reverse_of_more_rights_needs_no_consent_and_the_reverse_of_fewer_does(world: World) -> None:
    def site(*read: str) -> Any:
        return snapshot(ONE, role__r={"read": list(read), "write": []}, user__anna={"roles": ["r"]})

    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site("a/l/none/**"))
        await applied(control, site("a/**"), allow=("acl-widen",))
        plan = await control.rollback_plan(2)
        assert plan.plan["hazards"] == []
        assert (await ended(control, await control.deploy(rollback_of(plan)))).outcome == "applied"
        plan = await control.rollback_plan(3)
        assert [each["name"] for each in plan.plan["hazards"]] == ["acl-widen"]
        assert (await refused(control.deploy(rollback_of(plan)))).code == "NX4002"


async def test_a_rollback_that_makes_another_state_is_refused(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(ONE))
        await unconfirmed(control, ONE, TWO)
        sly = body_of(await plan_against(control, snapshot(ONE, TWO, device("a/l/three"))))
        error = await refused(control.deploy(msgspec.structs.replace(sly, undoes=2)))
        assert (error.code, error.exit_code) == ("NX5013", 5)
        assert (await rolled_back(control, 2, allow=("data-loss",))).outcome == "applied"
        found = await control.deployment(2)
        assert found.confirmation is not None and found.confirmation.state == "rolled-back"


async def test_a_value_that_jsonb_writes_in_another_way_comes_back_as_it_was(world: World) -> None:
    large = device("a/l/one", tags={"energy": tag(scale=1e17)})
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(large))
        before = await control.state()
        assert before.digests["device.a/l/one"] == digest(large)
        await applied(control, snapshot(large, TWO))
        await applied(control, snapshot(ONE, TWO), allow=("data-loss",))
        await rolled_back(control, 2, allow=("data-loss",))
        assert (await control.state()).digests == before.digests


async def test_what_a_silent_gateway_left_is_resumed_and_only_that(world: World) -> None:
    quick = dataclasses.replace(FAST, observe_s=1.0, verify_s=1.0)
    both = snapshot(ONE, device("a/l/two", gateway="gw-2"))
    async with world.control(quick) as control, FakeGateway(world.settings).up() as good:
        async with FakeGateway(world.settings, name="gw-2", silent=True).up():
            assert (await applied(control, both)).outcome == "partly"
        asked = len(good.notices)
        async with FakeGateway(world.settings, name="gw-2").up() as late:
            assert await control.resume(reason="the gateway is back") == 1
            found = await until_found(lambda: control.deployment(1), lambda one: one.state == "ended")
            assert (found.outcome, found.number) == ("applied", 1)
            assert list(late.running) == ["a/l/two"] and len(good.notices) == asked
        said = steps(found)
        assert ("resume", "begun") in said and said.count(("record", "done")) == 1
        assert "gw-1" in [line.subject for line in found.journal if (line.step, line.state) == ("notify", "skipped")]
        assert (await refused(control.resume(1))).code == "NX5015"


async def test_what_was_overtaken_is_not_resumed(world: World) -> None:
    quick = dataclasses.replace(FAST, observe_s=0.5)
    async with world.control(quick) as control:
        assert (await refused(control.resume())).code == "NX5015"
        async with FakeGateway(world.settings, silent=True).up():
            assert (await applied(control, snapshot(ONE))).outcome == "partly"
            assert (await applied(control, snapshot(ONE, TWO))).outcome == "partly"
            error = await refused(control.resume(1))
            assert (error.code, error.exit_code) == ("NX5016", 5)
            assert (await refused(control.resume(5))).code == "NX5006"
            assert (await rolled_back(control, 1, allow=("data-loss", "empty-target"))).outcome == "partly"
            assert (await control.state()).digests == {}


async def test_a_broken_lock_is_audited_and_its_deployment_finishes_nothing_under_the_next_control(
    world: World,
) -> None:
    first, second = world.control_process(leader_ttl_s=3.0, stop_at="before observe begun"), world.twin()
    patient_one = dataclasses.replace(FAST, observe_s=600.0, leader_ttl_s=2.0)
    try:
        await world.until_leads()
        async with (
            second.control(patient_one, standby=True) as control,
            FakeGateway(second.settings, silent=True).up() as gateway,
        ):
            async with world.client() as old:
                number = await old.deploy(body_of(await plan_against(old, snapshot(ONE)), reason="slow"))
            await second.until_leads()  # the first one is stopped, and its term is over
            await until_found(control.lock, lambda lock: lock is not None and not lock.expired)
            held = await control.lock()
            assert held is not None and (held.deployment, held.owner) == (number, "nexus.cli")
            broken = await control.break_lock("it hangs")
            assert broken.broken and broken.lock is not None and broken.lock.owner == "nexus.cli"
            found = await ended(control, number)
            assert [line.detail["reason"] for line in found.journal if line.step == "lock"] == ["it hangs"]
            gateway.silent = False
            back = await rolled_back(control, number, allow=("data-loss", "empty-target"))
            first.send_signal(signal.SIGCONT)
            await world.until_leads(False)
            assert (await control.deployment(number)).journal == found.journal, "the first one wrote nothing more"
            assert (await control.state()).digests == {} and back.outcome == "applied"
            (line,) = [each for each in (await control.audit(kind="deployment")).entries if each.what == "break-lock"]
            assert (line.reason, line.owner, line.subject) == ("it hangs", "nexus.cli", f"deployment {number}")
    finally:
        first.kill()
        first.wait()


async def test_a_lock_that_was_taken_after_one_looked_at_it_is_not_broken(world: World) -> None:
    """Two people look at the lock of a deployment; one breaks it and lets the deployment go on, the other one says yes only then."""
    patient_one = dataclasses.replace(FAST, observe_s=600.0)
    async with world.control(patient_one) as control, FakeGateway(world.settings, silent=True).up() as gateway:
        number = await control.deploy(body_of(await plan_against(control, snapshot(ONE))))
        await journal_has(control, number, ("observe", "begun"))
        seen = await control.lock()
        assert seen is not None and seen.deployment == number
        assert (await control.break_lock("ann", acquired=seen.acquired)).broken
        await ended(control, number)
        assert not (await control.break_lock("bob", acquired=seen.acquired)).broken, "it is free"
        await control.resume(number)
        with pytest.raises(NexusError) as refused:
            await control.break_lock("bob", acquired=seen.acquired)
        assert refused.value.code == "NX4313"
        now = await control.lock()
        assert now is not None and now.deployment == number and now.acquired > seen.acquired, "it is still held"
        gateway.silent = False
        found = await ended(control, number)
        assert found.outcome == "applied"
        assert [line.detail["reason"] for line in found.journal if line.step == "lock"] == ["ann"]


async def test_a_control_that_is_killed_after_the_break_does_not_go_on_either(world: World) -> None:
    process = world.control_process(observe_s=600.0, stop_at="before finalise failed")
    try:
        async with world.client() as control, FakeGateway(world.settings, silent=True).up() as gateway:
            await world.until_leads()
            number = await control.deploy(body_of(await plan_against(control, snapshot(ONE))))
            await journal_has(control, number, ("observe", "begun"))
            await control.break_lock("it hangs")
            await until(
                lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "meeting the broken lock"
            )
            process.kill()
            process.wait()
            gateway.silent = False
            process = world.control_process()
            await world.until_leads()
            found = await ended(control, number)
            assert ("finalise", "done") not in steps(found) and steps(found)[-1] == ("finalise", "failed")
            assert await control.lock() is None
            assert await control.resume(number) == number, "somebody who asks for it lets it go on"
            assert (await ended(control, number)).outcome == "applied"
    finally:
        process.kill()
        process.wait()


async def test_the_list_of_deployments_is_filtered(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        body = body_of(await plan_against(control, snapshot(ONE)), reason="first", allow=("data-loss",))
        await ended(control, await control.deploy(msgspec.structs.replace(body, run_url="https://ci.example/runs/7")))
        async with world.client("nexus.cli") as again:
            await applied(again, snapshot(ONE, TWO))
        newest, oldest = await control.deployments()
        assert (oldest.run_url, oldest.allow, oldest.reason) == ("https://ci.example/runs/7", ["data-loss"], "first")
        assert [each.number for each in await control.deployments(before=2)] == [1]
        assert [each.number for each in await control.deployments(limit=1)] == [2]
        assert await control.deployments(who="anna") == [] == await control.deployments(outcome="partly")
        assert [each.number for each in await control.deployments(since_us=newest.started)] == [2]


NARROW: dict[str, Any] = {"role__narrow": {"read": ["**"], "apply": ["a/k/**"]}, "user__anna": {"roles": ["narrow"]}}
"""Somebody who may change another line, and nothing of the line `a/l`."""


async def test_who_may_not_change_it_neither_confirms_it_nor_takes_it_back(world: World) -> None:
    """The route once compared what a rollback makes with itself: then nothing is outside of anybody's rights."""
    near = device("a/k/near")
    async with world.control() as control, FakeGateway(world.settings).up(), world.client("anna") as anna:
        await applied(control, snapshot(ONE, near, **NARROW))
        body = body_of(await plan_against(control, snapshot(ONE, TWO, near, **NARROW)))
        await ended(control, await control.deploy(msgspec.structs.replace(body, confirm_within_s=600)))
        async with httpx.AsyncClient(base_url=world.settings.control_url) as http:
            for verb in ("confirm", "rollback"):
                answer = await http.post(
                    f"/v1/sites/acme/chicago/deployments/2/{verb}",
                    headers={"authorization": "Bearer anna-token"},
                    json={"reason": "mine"},
                )
                assert (answer.status_code, answer.json()["code"]) == (403, "NX6411"), verb
                assert answer.json()["message"] == "anna may not change device.a/l/two."
        assert (await refused(anna.confirm())).code == "NX6411"
        found = await control.deployment(2)
        assert found.confirmation is not None and found.confirmation.state == "waiting"
        assert [each.number for each in await control.deployments()] == [2, 1], "nothing was taken back"
        assert await control.confirm() == 2

        moved = {**near, "description": "the next"}
        body = body_of(await plan_against(control, snapshot(ONE, TWO, moved, **NARROW)))
        await ended(control, await control.deploy(msgspec.structs.replace(body, confirm_within_s=600)))
        assert await anna.confirm() == 3, "it is hers"


async def test_who_may_not_change_it_does_not_resume_it(world: World) -> None:
    quick = dataclasses.replace(FAST, observe_s=1.0, verify_s=1.0)
    both = snapshot(ONE, device("a/l/two", gateway="gw-2"), **NARROW)
    async with world.control(quick) as control, FakeGateway(world.settings).up(), world.client("anna") as anna:
        async with FakeGateway(world.settings, name="gw-2", silent=True).up():
            assert (await applied(control, both)).outcome == "partly"
        assert (await refused(anna.resume(1))).code == "NX6411"
        found = await control.deployment(1)
        assert (found.state, found.outcome) == ("ended", "partly")
        assert "resume" not in [step for step, _ in steps(found)]
        assert await control.resume(1) == 1, "it can still be resumed"
