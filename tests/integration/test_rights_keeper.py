"""Rights between deployments with a real database: a password and an elevation are at the broker when the request is answered."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nexus_cli.access.grants import principals
from nexus_cli.access.grants_file import Wanted, read_wanted
from tests.integration.control_world import World, applied, device, snapshot, world
from tests.waiting import until

__all__ = ["world"]
ROLES = {"role__viewer": {"read": ["**"]}, "user__anna": {"roles": ["viewer"]}, "user__ben": {"roles": []}}


def asked(home: Path) -> Wanted:
    """What the broker is asked for."""
    found = read_wanted(home)
    assert found is not None
    return found


def accounts(home: Path) -> set[str]:
    """Declared users' accounts with a right."""
    return {name for name in principals(asked(home).grants) if not name.startswith("nexus.")}


async def test_passwords_and_elevation_follow_at_once(world: World, tmp_path: Path) -> None:
    home = tmp_path / "home"
    leader = World(dataclasses.replace(world.settings, home=home), world.broker)
    other = leader.twin()
    other = World(dataclasses.replace(other.settings, home=tmp_path / "other"), world.broker)
    async with leader.control() as control, other.control(standby=True):
        await applied(control, snapshot(device("a/l/one"), **ROLES), allow=("acl-widen",))
        assert accounts(home) == {"anna"} and not asked(home).people
        (made,) = await control.rotate(["anna"], keep_old_s=60)
        assert (made.slot, set(asked(home).people)) == ("a", {"anna"})
        first = asked(home).people["anna"]
        assert not first.argon2id and first.sha512 and first.sha256, "no form of the login at the broker"
        await control.rotate(["anna"], keep_old_s=3)
        assert set(asked(home).people) == {"anna", "anna.b"} == accounts(home)
        assert asked(home).people["anna"] == first
        await until(lambda: set(asked(home).people) == {"anna.b"}, "the end of the old password")
        await control.rotate(["anna"], keep_old_s=0)
        assert set(asked(home).people) == {"anna"} == accounts(home), "at once"
        given = await control.elevate("ben", for_s=60, reason="a test")
        assert accounts(home) == {"anna", "ben"}
        assert await control.end_elevation(given.id)
        assert accounts(home) == {"anna"}
    assert not (tmp_path / "other" / "access.json").exists(), "a standby writes nothing"
