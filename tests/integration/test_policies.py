"""Policies, effects and approvals against a real control: what a person sees, and what control refuses whoever asks."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import msgspec
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import digest
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.approve import Approvable, Signer, approve
from nexus_cli.wire.approval import Approval
from nexus_cli.wire.control import DeploymentRequest
from tests.integration.control_world import FakeGateway, World, applied, body_of, device, ended, plan_against, world
from tests.integration.test_control_cli import SITE, Shell, running

__all__ = ["world"]

POWER = '              power: {address: "holding:2", type: float32}\n'
REASON = "policies:\n  reasons:\n    for: hazard\n    when: hazard == 'data-loss'\n    require: reason != ''\n    owner: data office\n    message: losing data needs a reason\n"


class Person:
    """Somebody with a key."""

    def __init__(self, name: str) -> None:
        self.name, self._key = name, Ed25519PrivateKey.generate()
        self.public = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def pem(self, folder: Path) -> str:
        path = folder / f"{self.name}.pem"
        path.write_bytes(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path.name

    def approves(
        self, effect: str, *, site: str = "acme/chicago", expires: str = "1d", now_us: int | None = None
    ) -> Approval:
        return approve(
            Approvable(site=site, effect=effect),
            Signer(name=self.name, sign=self._key.sign),
            expires=expires,
            now_us=now_us,
        )


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Shell:
    folder = tmp_path / "work"
    folder.mkdir()
    return Shell(world, folder)


def test_a_policy_blocks_until_it_is_kept_and_cannot_be_removed_by_the_plan_that_it_forbids(
    world: World, shell: Shell
) -> None:
    shell.site.write_text(SITE + REASON)
    with running(world):
        assert shell("apply", "--yes").returncode == 0
        shell.edit(POWER, "")
        consent = ("apply", "--yes", "--allow", "data-loss=**", "--allow", "policy-change")
        blocked = shell(*consent)
        assert blocked.returncode == 3, blocked.stderr
        assert (
            "error[NX4032]: blocked by policy reasons, and nothing was changed: losing data needs a reason"
            in blocked.stderr
        )
        assert "its owner is data office" in blocked.stderr and "packaging/line-1/meter/power" in blocked.stderr
        assert "reasons (data office): losing data needs a reason [can't be overridden, on record]" in blocked.stdout
        assert "Violates policies:" not in shell("plan", "--reason", "meter is gone").stdout
        kept = shell.site.read_text()
        shell.site.write_text(kept.replace(REASON, ""))
        evaded = shell(*consent)
        assert evaded.returncode == 3 and "blocked by policy reasons" in evaded.stderr
        shell.site.write_text(kept)
        assert shell("apply", "--yes", "--allow", "data-loss=**", "--reason", "meter is gone").returncode == 0
        shell.site.write_text(kept.replace(REASON, ""))
        asked = shell("apply", "--yes")
        assert asked.returncode == 3 and "--allow policy-change=reasons" in asked.stderr
        assert shell("apply", "--yes", "--allow", "policy-change=reasons").returncode == 0


def test_a_saved_plan_is_judged_by_control_at_the_time_of_apply(world: World, shell: Shell) -> None:
    shell.site.write_text(SITE + REASON)
    with running(world):
        assert shell("apply", "--yes").returncode == 0
        shell.edit(POWER, "")
        assert shell("plan", "--reason", "gone", "--out", "gone.plan").returncode == 0
        refused = shell("apply", "gone.plan", "--yes", "--allow", "data-loss")
        assert refused.returncode == 3 and "NX4032" in refused.stderr and "data office" in refused.stderr
        assert shell("apply", "gone.plan", "--yes", "--allow", "data-loss", "--reason", "gone").returncode == 0
        trail = orjson.loads(shell("audit", "--kind", "deployment", "--format", "json").stdout)
        assert any(line["what"] == "refuse-plan" and line["code"] == "NX4032" for line in trail["entries"])


def test_an_effect_outlives_reformatting_and_ends_with_another_change(world: World, shell: Shell) -> None:
    with running(world):
        effect = orjson.loads(shell("plan", "--format", "json").stdout)["effect"]
        assert f"Effect: {effect}" in shell("plan").stdout and effect in shell("plan", "--format", "markdown").stdout
        shell.edit(
            'energy: {address: "holding:0", type: float32, unit: kWh}',
            "# reformatted\n              energy:\n                unit: kWh\n                type: float32\n                address: 'holding:0'",
        )
        assert orjson.loads(shell("plan", "--format", "json").stdout)["effect"] == effect
        shell.edit("unit: kWh", "unit: MWh")
        other = shell("apply", "--yes", "--effect", effect)
        assert (
            other.returncode == 5
            and "NX4033" in other.stderr
            and "something else than what was approved" in other.stderr
        )
        shell.edit("unit: MWh", "unit: kWh")
        assert shell("apply", "--yes", "--effect", effect).returncode == 0


def test_approvals_from_plan_to_apply(world: World, shell: Shell) -> None:
    ann, bob = Person("ann"), Person("bob")
    shell.site.write_text(f"{SITE}approvals: {{required: 2, keys: {{ann: '{ann.public}', bob: '{bob.public}'}}}}\n")
    ann_key, bob_key = ann.pem(shell.folder), bob.pem(shell.folder)
    with running(world):
        assert shell("apply", "--yes").returncode == 0, "the first deployment brings the keys"
        shell.edit("unit: kWh", "unit: kWh, description: main")
        signed = shell("plan", "--out", "one.plan", "--sign", ann_key)
        assert signed.returncode == 0 and "signed by ann in one.plan.approval.json" in signed.stderr
        assert "\nNeeds approval: 2 approvals, by ann, bob (`nexus approve`)\n" in signed.stdout
        assert orjson.loads(shell("plan", "--format", "json").stdout)["approvals"] == {
            "required": 2,
            "keys": ["ann", "bob"],
        }
        few = shell("apply", "one.plan", "--yes", "--approval", "one.plan.approval.json")
        assert few.returncode == 3 and "NX4034" in few.stderr and "needs 2 approvals, and has 1" in few.stderr
        assert "with a key of bob; then" in few.stderr, "ann has signed"
        again = shell("approve", "one.plan", "--key", ann_key)
        assert again.returncode == 0, again.stderr
        twice = shell(
            "apply",
            "one.plan",
            "--yes",
            "--approval",
            "one.plan.approval.json",
            "--approval",
            "one.plan.ann.approval.json",
        )
        assert twice.returncode == 3 and "'ann' signed twice" in twice.stderr
        assert shell("approve", "one.plan", "--key", bob_key, "--who", "Bob").returncode == 0
        both = ("--approval", "one.plan.approval.json", "--approval", "one.plan.bob.approval.json")
        done = shell("apply", "one.plan", "--yes", *both)
        assert done.returncode == 0, done.stderr
        few = shell("rollback", "--yes")
        assert few.returncode == 3 and "needs 2 approvals, and has 0" in few.stderr
        effect = orjson.loads(shell("rollback", "--plan", "--format", "json").stdout)["effect"]
        for key in (ann_key, bob_key):
            of = ("approve", "--effect", effect, "--site", "acme/chicago", "--key", key, "--out", f"back.{key}.json")
            assert shell(*of).returncode == 0
        back = [part for key in (ann_key, bob_key) for part in ("--approval", f"back.{key}.json")]
        taken = shell("rollback", "--yes", *back)
        assert taken.returncode == 0, taken.stderr
        keyed = shell.site.read_text()
        shell.site.write_text(keyed.replace("required: 2", "required: 1"))
        weaker = shell("apply", "--yes", "--allow", "policy-change")
        assert weaker.returncode == 3 and "needs 2 approvals" in weaker.stderr, "the old rules hold"


async def test_control_refuses_each_approval_that_does_not_count(world: World) -> None:
    ann, bob, eve = Person("ann"), Person("bob"), Person("eve")
    rules = {"keys": {"ann": ann.public, "bob": bob.public}}
    here = device("packaging/line-1/meter")
    first = Snapshot.of(
        "acme",
        "chicago",
        {
            "site": {"enterprise": "acme", "site": "chicago"},
            "gateway.gw-1": {},
            "device.packaging/line-1/meter": here,
            "approvals.rules": rules,
        },
    )
    there = Snapshot.of(
        "acme",
        "chicago",
        {**first.resources, "device.packaging/line-1/meter": device("packaging/line-1/meter", description="new")},
    )
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, first)
        plan = await plan_against(control, there)
        body = body_of(plan)
        stranger = Person("ann")
        old = time.time_ns() // 1000 - 3 * 86_400_000_000
        forged = msgspec.to_builtins(ann.approves(plan.effect))
        forged["dsseEnvelope"]["payload"] = base64.b64encode(
            base64.b64decode(forged["dsseEnvelope"]["payload"]).replace(b"acme/chicago", b"acme/chicagO")
        ).decode()
        cases = {
            "needs 1 approval": [],
            "is no key on record": [msgspec.to_builtins(eve.approves(plan.effect))],
            "is forged or damaged": [msgspec.to_builtins(stranger.approves(plan.effect))],
            "forged": [forged],
            "is for another effect": [msgspec.to_builtins(ann.approves("sha256:" + "0" * 64))],
            "is for the site acme/berlin": [msgspec.to_builtins(ann.approves(plan.effect, site="acme/berlin"))],
            "has expired": [msgspec.to_builtins(ann.approves(plan.effect, now_us=old))],
            "in the future": [msgspec.to_builtins(ann.approves(plan.effect, now_us=2 * 10**15))],
        }
        for sentence, approvals in cases.items():
            with pytest.raises(NexusError) as refused:
                await control.deploy(msgspec.structs.replace(body, approvals=approvals))
            assert sentence in refused.value.message, (sentence, refused.value.message)
            assert refused.value.exit_code == 3
        good = msgspec.to_builtins(ann.approves(plan.effect))
        number = await control.deploy(msgspec.structs.replace(body, approvals=[good]))
        assert (await ended(control, number)).outcome == "applied"
        back = await plan_against(control, first)
        undo = msgspec.structs.replace(body_of(back), approvals=[msgspec.to_builtins(bob.approves(back.effect))])
        await ended(control, await control.deploy(undo))
        again = await plan_against(control, there)
        assert again.effect == plan.effect
        with pytest.raises(NexusError, match=f"was used by deployment {number}"):
            await control.deploy(msgspec.structs.replace(body_of(again), approvals=[good]))


async def test_nothing_of_the_clients_document_counts(world: World, shell: Shell) -> None:
    """A saved plan whose hazards and policies were taken out and whose digest was computed again."""
    shell.site.write_text(SITE + REASON)
    with running(world):
        assert shell("apply", "--yes").returncode == 0
        shell.edit(POWER, "")
        assert shell("plan", "--reason", "x", "--out", "one.plan").returncode == 0
        path = shell.folder / "one.plan"
        data = orjson.loads(path.read_bytes())
        data["plan"] |= {"hazards": [], "policies": [], "summary": dict.fromkeys(data["plan"]["summary"], 0)}
        data["digest"] = digest({key: data[key] for key in ("plan", "changed", "source")})
        path.write_bytes(orjson.dumps(data))
        refused = shell("apply", "one.plan", "--yes", "--reason", "x")
        assert refused.returncode == 3 and "NX4002" in refused.stderr, refused.stderr
        refused = shell("apply", "one.plan", "--yes", "--allow", "data-loss")
        assert refused.returncode == 3 and "NX4032" in refused.stderr, refused.stderr


async def test_a_new_policy_looks_at_what_the_plan_leaves_alone(world: World) -> None:
    base = Snapshot.of(
        "acme",
        "chicago",
        {
            "site": {"enterprise": "acme", "site": "chicago"},
            "gateway.gw-1": {},
            "device.packaging/line-1/meter": device("packaging/line-1/meter"),
        },
    )
    policy = {"subject": "tag", "require": "unit != ''"}
    wanted = Snapshot.of("acme", "chicago", {**base.resources, "policy.units": policy})
    override = Snapshot.of("acme", "chicago", {**base.resources, "policy.units": {**policy, "overridable": True}})
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, base)
        with pytest.raises(NexusError) as refused:
            await control.deploy(body_of(await plan_against(control, wanted)))
        assert refused.value.code == "NX4032" and "packaging/line-1/meter/energy" in refused.value.message
        with pytest.raises(NexusError) as refused:
            await control.deploy(body_of(await plan_against(control, override)))
        assert refused.value.code == "NX4002"
        assert (await applied(control, override, allow=("policy=units",))).outcome == "applied"
        with pytest.raises(NexusError) as refused:  # a policy that can't be judged forbids
            broken = Snapshot.of(
                "acme", "chicago", {**override.resources, "policy.other": {"subject": "tag", "deny": "nope"}}
            )
            await control.deploy(body_of(await plan_against(control, broken)))
        assert refused.value.code == "NX4032"
        assert isinstance(body_of(await plan_against(control, base)), DeploymentRequest)
