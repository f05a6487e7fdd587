"""Rights between deployments: they change when a period, an hour, an elevation or a password begins or ends, and not before."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.access.grants import principals
from nexus_cli.access.grants_file import read_wanted
from nexus_cli.database.credentials import StoredCredential
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.control import rights_keeper
from nexus_cli.runtime.control.rights_keeper import LONGEST_WAIT_S, RETRY_S, RightsKeeper
from nexus_cli.settings import Settings
from tests.simulated_time import LoopClock

pytestmark = [pytest.mark.simulated_time]
DEVICE = {
    "path": "hall/line-1/press",
    "protocol": "external",
    "link": "",
    "gateway": "",
    "connection": {},
    "tags": {"force": {"type": "float64", "published_type": "float64"}},
}
SITE = {
    "site": {"enterprise": "acme", "site": "chicago"},
    "device.hall/line-1/press": DEVICE,
    "role.viewer": {"read": ["**"]},
}
HASHES = {"argon2id": "x", "sha512": "1000$c2FsdHNhbHRzYWx0$a2V5", "sha256": "s$k"}


@dataclass
class SetClock(LoopClock):
    """A wall clock that a test sets; 22:30:00 UTC of a Tuesday at its start."""

    ahead_us: int = 0

    def wall_us(self) -> int:
        return self.now_us() + self.ahead_us


def us(text: str) -> int:
    return round(datetime.fromisoformat(f"2023-11-14T{text}+00:00").timestamp() * 1e6)


def said(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%H:%M:%S")


@dataclass
class World:
    """What is on record, and what the broker is asked for.

    Attributes:
        behind_us: How far the database's clock is behind ours.
        reads: How often passwords were read: once for each writing.
    """

    home: Path
    clock: SetClock = field(default_factory=SetClock)
    state: dict[str, Any] = field(default_factory=lambda: dict(SITE))
    elevated: dict[str, int] = field(default_factory=dict)
    slots: list[StoredCredential] = field(default_factory=list)
    problem: NexusError | None = None
    leads: bool = True
    behind_us: int = 0
    reads: int = 0

    def keeper(self) -> RightsKeeper:
        settings = Settings(home=self.home, site="acme/chicago", principal="nexus.control")
        return RightsKeeper(settings=settings, pool=self, clock=self.clock, may_act=self.may_act)  # type: ignore[arg-type]

    def may_act(self) -> None:
        if not self.leads:
            raise NexusError("This control does not lead.", code="NX6408")

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[World]:
        if self.problem is not None:
            raise self.problem
        yield self

    @property
    def users(self) -> tuple[str, ...]:
        """Whom the broker is to know, without NEXUS's own."""
        wanted = read_wanted(self.home)
        return () if wanted is None else tuple(n for n in principals(wanted.grants) if not n.startswith("nexus."))

    def password(self, account: str) -> bool:
        wanted = read_wanted(self.home)
        return wanted is not None and account in wanted.people


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    one = World(tmp_path)

    async def every(_conn: World, _site: str) -> dict[str, list[StoredCredential]]:
        one.reads += 1
        there_us = one.clock.wall_us() - one.behind_us
        return {slot.slot: [slot] for slot in one.slots if slot.expires is None or slot.expires > there_us}

    async def elevated(_conn: World, _site: str) -> dict[str, int]:
        return {name: ends for name, ends in one.elevated.items() if ends > one.clock.wall_us() - one.behind_us}

    async def number(_conn: World, _site: str) -> int:
        return 1

    async def full_state(_conn: World, _site: str) -> dict[str, Any]:
        return one.state

    monkeypatch.setattr(rights_keeper.credentials, "every", every)
    monkeypatch.setattr(rights_keeper.elevations, "elevated", elevated)
    monkeypatch.setattr(rights_keeper.db, "recorded_number", number)
    monkeypatch.setattr(rights_keeper.db, "full_state", full_state)
    return one


@contextlib.asynccontextmanager
async def kept(
    world: World, *, watched: bool = True
) -> AsyncIterator[tuple[RightsKeeper, list[tuple[str, tuple[str, ...]]]]]:
    """The keeper runs; gives it, and who is to have rights from when on, looked at each second."""
    keeper, stop, seen = world.keeper(), asyncio.Event(), []  # type: ignore[var-annotated]

    async def watch() -> None:
        await asyncio.sleep(0.3)
        while watched:
            if not seen or seen[-1][1] != world.users:
                seen.append((said(world.clock.wall_us()), world.users))
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        running, watching = group.create_task(keeper.run(stop)), group.create_task(watch())
        await asyncio.sleep(0.5)
        try:
            yield keeper, seen
        finally:
            watching.cancel()
            stop.set()
            await running


async def test_a_period_begins_and_ends_at_its_moment(world: World) -> None:
    period = {"valid_from": "2023-11-14T22:40:00+00:00", "valid_until": "2023-11-14T23:10:00+00:00"}
    world.state["user.anna"] = {"roles": ["viewer"], **period}
    async with kept(world) as (_, seen):
        await asyncio.sleep(3600)
    assert seen == [("22:30:00", ()), ("22:40:00", ("anna",)), ("23:10:00", ())]
    assert world.reads == 3, "the start, and both moments"


async def test_hours_of_a_group(world: World) -> None:
    world.state["group.shift"] = {"roles": ["viewer"], "hours": ["tue 22:45-22:50"]}
    world.state["user.anna"] = {"roles": [], "groups": ["shift"]}
    async with kept(world) as (_, seen):
        await asyncio.sleep(7200)
    assert seen == [("22:30:00", ()), ("22:45:00", ("anna",)), ("22:50:00", ())]


async def test_an_elevation_is_there_when_it_was_given_and_ends_by_itself_or_by_hand(world: World) -> None:
    world.state |= {"user.ben": {"roles": []}, "user.carl": {"roles": []}}
    async with kept(world) as (keeper, seen):
        await asyncio.sleep(60)
        world.elevated = {"ben": us("22:41:00"), "carl": us("23:59:00")}
        await keeper.changed()
        assert world.users == ("ben", "carl"), "in force when the request is answered"
        await asyncio.sleep(1200)
        del world.elevated["carl"]
        await keeper.changed()
        assert world.users == ()
    assert [(at, names) for at, names in seen if at > "22:40"][:1] == [("22:41:00", ("carl",))]


async def test_a_database_whose_clock_is_behind_is_asked_again_and_not_all_the_time(world: World) -> None:
    world.state["user.anna"] = {"roles": ["viewer"]}
    common: dict[str, Any] = {"principal": "anna", "hashes": HASHES, "made": 0, "made_by": "nexus.cli"}
    world.slots = [
        StoredCredential(slot="a", active=False, expires=us("22:35:00"), **common),
        StoredCredential(slot="b", active=True, expires=None, **common),
    ]
    world.behind_us = 3_000_000
    async with kept(world):
        await asyncio.sleep(299)
        assert world.users == ("anna", "anna.b") and world.password("anna") and world.password("anna.b")
        await asyncio.sleep(6)
        assert not world.password("anna") and world.password("anna.b"), "its old password has ended"
        await asyncio.sleep(3600)
    assert world.reads < 12


async def test_a_deployments_own_periods_are_followed(world: World) -> None:
    async with kept(world) as (keeper, seen):
        await asyncio.sleep(10)
        world.state = {**SITE, "user.anna": {"roles": ["viewer"], "valid_until": "2023-11-14T22:40:00+00:00"}}
        await keeper.rights.hold(world.state)
        await asyncio.sleep(3600)
    assert [names for _, names in seen] == [(), ("anna",), ()]
    assert seen[-1][0] == "22:40:00"


async def test_while_a_deployment_runs_the_rights_of_both_states_stay(world: World) -> None:
    before = {**SITE, "user.anna": {"roles": ["viewer"]}, "user.old": {"roles": ["viewer"]}}
    after = {**SITE, "user.new": {"roles": ["viewer"], "valid_until": "2023-11-14T22:40:00+00:00"}}
    after["user.anna"] = {"roles": ["viewer"]}
    world.state = before
    async with kept(world) as (keeper, _):
        await keeper.rights.hold(after, before)
        assert world.users == ("anna", "new", "old")
        await keeper.changed()
        assert world.users == ("anna", "new", "old"), "a password that changes meanwhile takes nothing away"
        await asyncio.sleep(700)
        assert world.users == ("anna", "old"), "a period that ends meanwhile ends"
        world.state = after
        await keeper.rights.hold(after)
        await keeper.changed()
        assert world.users == ("anna",)


async def test_a_wall_clock_that_is_set_forth_and_back(world: World) -> None:
    world.state["user.anna"] = {"roles": ["viewer"], "valid_until": "2023-11-14T23:00:00+00:00"}
    async with kept(world):
        for ahead_us, has in ((3_600_000_000, ()), (0, ("anna",)), (-86_400_000_000, ("anna",)), (3_600_000_000, ())):
            world.clock.ahead_us = ahead_us
            await asyncio.sleep(LONGEST_WAIT_S + 1)
            assert world.users == has, ahead_us


async def test_a_database_that_is_away_is_said_once_and_asked_until_it_answers(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "nexus.control")
    world.problem = NexusError("The database does not answer.", code="NX6200", retriable=True)
    world.state["user.anna"] = {"roles": ["viewer"]}
    async with kept(world):
        await asyncio.sleep(600)
        assert world.users == ()
        world.problem = None
        await asyncio.sleep(RETRY_S + 1)
        assert world.users == ("anna",)
    assert [record.getMessage() for record in caplog.records].count("The database does not answer.") == 1


async def test_who_does_not_lead_writes_nothing(world: World) -> None:
    world.leads, world.state["user.anna"] = False, {"roles": ["viewer"]}
    async with kept(world) as (keeper, _):
        await asyncio.sleep(600)
        await keeper.changed()
        assert list(world.home.iterdir()) == [] and world.reads == 0


async def test_what_stays_is_not_written_again(world: World) -> None:
    world.state["user.anna"] = {"roles": ["viewer"]}
    async with kept(world, watched=False) as (keeper, _):
        file = world.home / "access.json"
        first = file.stat()
        await asyncio.sleep(86_400)
        await keeper.changed()
        await keeper.rights.hold(world.state, replace(world).state)
        await keeper.rights.hold(world.state)
        assert (file.stat().st_ino, file.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
        (world.home / "access.applied").write_text("another digest")
        with pytest.raises(NexusError, match="in line"):
            await keeper.rights.hold(world.state)
        assert file.stat().st_ino != first.st_ino, "what is not in force is asked for again"
