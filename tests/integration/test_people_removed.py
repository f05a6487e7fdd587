"""A user that is removed takes everything with him: who has the name later is somebody else."""

from __future__ import annotations

import dataclasses

import httpx
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.control_audit import AuditEntry
from nexus_cli.wire.http_access import AccessClient
from tests.integration.control_world import FakeGateway, World, applied, device, snapshot, world
from tests.waiting import until_found

__all__ = ["world"]

ROLE = {"role__operator": {"read": ["**"], "write": [], "run": ["*"]}}
ALLOW = ("acl-widen=otto", "acl-widen=ada@acme.com", "acl-widen")


def plant(*people: str) -> Snapshot:
    users = {f"user__{name}": {"roles": ["operator"]} for name in people}
    return snapshot(device("a/l/one"), **ROLE, **users)


async def test_one_who_is_removed_and_declared_again_has_nothing_of_before(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, plant("otto", "vera"))
        passwords = {made.principal: made.password for made in await control.rotate(["otto", "vera"])}
        token = (await control.make_token(principal="otto", ttl_s=86_400)).token
        session = (await control.login("otto", passwords["otto"])).token
        kept = (await control.login("vera", passwords["vera"])).token
        await control.elevate("otto", for_s=3600, reason="a valve is stuck")
        assert {await who(world, each) for each in (token, session, kept)} == {"otto", "vera"}

        await applied(control, plant("vera"))
        assert [await who(world, each) for each in (token, session)] == ["NX6413", "NX6413"]

        found = await applied(control, plant("otto", "vera"), allow=ALLOW)
        assert found.outcome == "applied"
        assert [await who(world, each) for each in (token, session, kept)] == ["NX6413", "NX6413", "vera"]
        with pytest.raises(NexusError) as refused:
            await control.login("otto", passwords["otto"])
        assert refused.value.code == "NX6415"
        account = {each.principal: each for each in (await control.access()).accounts}["otto"]
        assert (account.password, account.tokens, account.sessions, account.elevated_until) == (False, 0, 0, None)
        assert account.roles == ["operator"]
        assert (await control.login("vera", passwords["vera"])).principal == "vera", "others keep theirs"


async def test_names_that_a_site_may_have_can_be_deployed(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        assert (await applied(control, plant("otto"))).outcome == "applied"
        desired = snapshot(device("a/l/one"), **ROLE)
        desired = Snapshot.of("acme", "chicago", {**desired.resources, "user.Ada@acme.com": {"roles": ["operator"]}})
        assert (await applied(control, desired, allow=("acl-widen=Ada@acme.com", *ALLOW))).outcome == "applied"
        assert [each.principal for each in (await control.access()).accounts] == ["Ada@acme.com"]
        (made,) = await control.rotate(["Ada@acme.com"])
        assert (await control.login("Ada@acme.com", made.password)).principal == "Ada@acme.com"


async def who(world: World, token: str) -> str:
    """Whose a token is, or why it is refused."""
    async with AccessClient(dataclasses.replace(world.settings, control_token=token)) as client:
        try:
            return (await client.identity()).principal
        except NexusError as error:
            return error.code


async def test_the_address_of_a_client_is_that_of_its_connection(world: World) -> None:
    async with world.control() as control, httpx.AsyncClient(base_url=world.settings.control_url) as http:
        for number in range(3):
            answer = await http.post(
                f"/v1/sites/{world.settings.site}/login",
                json={"user": "otto", "password": "wrong"},
                headers={"x-forwarded-for": f"192.0.2.{number}", "forwarded": f"for=192.0.2.{number}"},
            )
            assert (answer.status_code, answer.json()["code"]) == (401, "NX6415")

        async def seen() -> list[AuditEntry]:
            return [each for each in (await control.audit(kind="access")).entries if each.what == "refused"]

        assert {each.subject for each in await until_found(seen, bool)} == {"127.0.0.1"}
