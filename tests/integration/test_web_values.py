"""Newest values over HTTP: who may read which, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.integration.web_world import TOPICS, served_web, web_world
from tests.servers import TestBroker, new_broker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database]
ENERGY, VOLTAGE = "a/l/one/energy", "a/l/one/voltage"


async def test_a_value_is_read_by_who_may_read_it(database: Settings, tmp_path: Path) -> None:
    async with web_world(
        database, tmp_path, role__half={"read": ["a/l/one/voltage"]}, user__hal={"roles": ["half"]}
    ) as web:
        web.say(ENERGY, 4.5, unit="kWh")
        answer = await web.ask("GET", f"/values/{ENERGY}", user="vera")
        assert answer.status_code == 200
        assert answer.json() | {"received": 0} == {
            "path": ENERGY,
            "value": 4.5,
            "quality": "GOOD",
            "unit": "kWh",
            "time": 1_767_225_600_000_000,
            "received": 0,
            "reason": "",
            "label": "",
        }
        for user, path in (("hal", ENERGY), ("nina", ENERGY), ("vera", "a/l/one/nothing")):
            refused = await web.ask("GET", f"/values/{path}", user=user)
            assert (refused.status_code, refused.json()["code"]) == (404, "NX6802"), user
        silent = await web.ask("GET", f"/values/{VOLTAGE}", user="hal")
        found = silent.json()
        assert (found["value"], found["quality"], found["reason"], found["time"]) == (None, "BAD", "no_value", None)
        assert (await web.ask("GET", f"/values/{ENERGY}")).status_code == 401


async def test_many_values_come_in_the_order_of_the_question(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        web.say(ENERGY, 1)
        web.say(VOLTAGE, 2)
        body = {"paths": [VOLTAGE, ENERGY, VOLTAGE]}
        answer = await web.ask("POST", "/values", user="vera", json=body)
        assert [one["value"] for one in answer.json()["values"]] == [2, 1, 2]
        assert (await web.ask("POST", "/values", user="vera", json={"paths": []})).status_code == 422


async def test_rights_of_a_new_deployment_hold_at_the_next_look(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        web.say(ENERGY, 1)
        token = await web.people.token("vera")
        assert (await web.ask("GET", f"/values/{ENERGY}", token=token)).status_code == 200
        await web.record({"role.viewer": {"read": [VOLTAGE]}})
        assert (await web.ask("GET", f"/values/{ENERGY}", token=token)).status_code == 404


@pytest.mark.needs_broker
async def test_the_whole_role_reads_the_broker(database: Settings, tmp_path: Path) -> None:
    (folder := tmp_path / "broker").mkdir()
    broker = new_broker(folder).start()
    try:
        await _reads_the_broker(database, tmp_path, broker)
    finally:
        broker.stop()


async def _reads_the_broker(database: Settings, home: Path, broker: TestBroker) -> None:
    async with served_web(database, home, broker_url=broker.url) as web:
        client = BrokerClient(settings=broker.settings(), client_id="publisher")
        async with client.session():
            await client.publish(TOPICS.tag(ENERGY), b'{"value": 7, "timestamp": 1767225600000}')
        cache = web.web.parts.cache
        await until(lambda: cache.read(cache.slot(TOPICS.tag(ENERGY))).value == 7, "the value in the cache")
        assert (await web.ask("GET", f"/values/{ENERGY}", user="vera")).json()["value"] == 7
        status = (await web.http.get("/status")).json()
        assert (status["role"], status["ready"], status["broker"], status["database"]) == (
            "web",
            True,
            "connected",
            "connected",
        )
