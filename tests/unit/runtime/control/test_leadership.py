"""Who may act: a lead that was confirmed lately, and nobody else; the broker's client is one of the two doors."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from nexus_cli.database import leader as rows
from nexus_cli.database.leader import Leader, LeaderFacts, LeadLost
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.control import leadership as module
from nexus_cli.runtime.control.leadership import LeaderClient, Leadership, process_facts, process_lives
from nexus_cli.settings import Settings
from tests.clock import FakeClock

pytestmark = pytest.mark.simulated_time


class Site:
    """The leader's row, without a database."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.row: Leader | None = None
        self.away = False
        for name in ("observe", "take", "renew", "resign"):
            monkeypatch.setattr(rows, name, getattr(self, name))

    def lead(self, home: Path, now: list[float], *, alive: bool | None = None) -> Leadership:
        settings = Settings(home=home, site="acme/chicago")
        lead = Leadership(settings=settings, clock=FakeClock(), ttl_s=0.03, now_s=lambda: now[0], alive=lambda _: alive)

        async def ask(question: Any, *, timeout_s: float | None = None) -> Any:
            if self.away:
                raise NexusError("away", code="NX6200", retriable=True)
            return await question(None)

        lead._ask = ask  # type: ignore[method-assign]
        return lead

    async def observe(self, conn: Any, site: str) -> Leader | None:
        return self.row

    async def take(self, conn: Any, site: str, *, holder: str, facts: Any, seen: Leader | None) -> int | None:
        if (seen and (seen.term, seen.renewals)) != (self.row and (self.row.term, self.row.renewals)):
            return None
        term = 1 if self.row is None else self.row.term + 1
        self.row = Leader(term=term, renewals=0, holder=holder, facts=facts, resigned=False)
        return term

    async def renew(self, conn: Any, site: str, *, term: int, lock_ttl_s: float) -> bool:
        if self.row is None or self.row.term != term:
            return False
        self.beat()
        return True

    async def resign(self, conn: Any, site: str, *, term: int) -> None:
        assert self.row is not None
        self.row = Leader(term=term, renewals=0, holder=self.row.holder, facts=LeaderFacts(), resigned=True)

    def beat(self) -> None:
        assert self.row is not None
        facts = {"facts": self.row.facts, "resigned": False, "holder": self.row.holder}
        self.row = Leader(term=self.row.term, renewals=self.row.renewals + 1, **facts)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(monkeypatch)


async def campaigned(lead: Leadership, rounds: int) -> bool:
    """Let it look at the row some times; gives whether it leads then."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(lead.campaign(stop))
        for _ in range(rounds * 3):
            await asyncio.sleep(lead.pause_s / 2)
        stop.set()
    return task.result()


async def test_a_row_that_moves_is_left_alone_and_one_that_stands_still_is_taken(site: Site, tmp_path: Path) -> None:
    now = [100.0]
    site.row = Leader(term=7, renewals=0, holder="other", facts=LeaderFacts(), resigned=False)
    lead = site.lead(tmp_path, now)
    assert not await campaigned(lead, 3), "no time passed"
    assert "standby" in lead.why_not()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(lead.campaign(stop))
        for _ in range(20):
            now[0] += 0.02  # less than the limit, and it moves each time
            site.beat()
            await asyncio.sleep(lead.pause_s * 1.5)
        assert not task.done()
        while not task.done():
            now[0] += 0.02
            await asyncio.sleep(lead.pause_s / 2)
    assert task.result() and lead.term == 8


@pytest.mark.parametrize(("alive", "leads"), [(False, True), (True, False), (None, False)])
async def test_a_dead_process_of_this_machine_is_not_waited_for(
    site: Site, tmp_path: Path, alive: bool | None, leads: bool
) -> None:
    site.row = Leader(term=7, renewals=0, holder="other", facts=LeaderFacts(), resigned=False)
    assert await campaigned(site.lead(tmp_path, [100.0], alive=alive), 3) is leads


async def test_whoever_was_paused_asks_before_it_acts(site: Site, tmp_path: Path) -> None:
    now = [100.0]
    lead = site.lead(tmp_path, now)
    with pytest.raises(LeadLost):
        lead.assert_acting()
    assert await lead.campaign(asyncio.Event())
    assert lead.acting
    now[0] += 1.0  # the process stood still
    assert not lead.acting
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(lead.hold(over))
        await lead.confirmed()
        assert lead.acting
        assert site.row is not None
        site.row = Leader(term=site.row.term + 1, renewals=0, holder="other", facts=LeaderFacts(), resigned=False)
        now[0] += 1.0
        with pytest.raises(LeadLost):
            await lead.confirmed()
    assert lead.lost.is_set() and not lead.acting


async def test_nothing_is_published_without_the_lead(site: Site, tmp_path: Path) -> None:
    lead = site.lead(tmp_path, [100.0])
    settings = Settings(home=tmp_path, site="acme/chicago", broker_url="mqtt://127.0.0.1:1")
    client = LeaderClient(leadership=lead, settings=settings, client_id="x")
    for publish in (lambda: client.post("a", b""), lambda: client.publish("a", b"")):
        with pytest.raises(LeadLost):
            found = publish()
            if found is not None:
                await found
    assert await lead.campaign(asyncio.Event())
    with pytest.raises(NexusError) as error:
        await client.publish("a", b"")
    assert error.value.code == "NX6010", "it is let through, to a broker that is not there"


def test_a_process_is_known_by_its_machine_and_its_start() -> None:
    facts = process_facts()
    if not module.boot_id():
        assert process_lives(facts) is None
        return
    assert process_lives(facts) is True
    assert process_lives(replace(facts, started=1.0)) is False, "the number was given to another process"
    assert process_lives(replace(facts, boot="another")) is None
    assert process_lives(replace(facts, host="another")) is None
    assert process_lives(LeaderFacts()) is None
    gone = max(psutil.pids()) + 100_000
    assert process_lives(replace(facts, pid=gone)) is False
    assert facts.pid == os.getpid()
