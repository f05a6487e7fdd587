"""A push to EMQX that is cut and resumed while somebody publishes: a right that both versions of the site give is never refused.

Against the tests' own stand-in: it decides each message by the state that the API has just written, and passes none on.
"""

from __future__ import annotations

import asyncio
import copy

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.emqx_mqtt import EmqxMqtt
from tests.emqx_server import authenticator
from tests.emqx_site import PASSWORD, SUFFIX
from tests.emqx_world import EmqxWorld
from tests.waiting import until

BENS = "_nexus/acme/chicago/cmd/packaging/line-1/filler/setpoint/ben"
CAPPER = "acme/chicago/packaging/line-1/capper/torque"


def client(mqtt: EmqxMqtt, name: str) -> BrokerClient:
    settings = Settings(
        site="acme/chicago",
        broker_url=f"mqtt://127.0.0.1:{mqtt.port}",
        broker_user=f"{name}{SUFFIX}",
        broker_password=PASSWORD + name,
    )
    return BrokerClient(settings=settings, client_id=f"{name}-load")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_publisher_whose_right_stays_is_never_refused(emqx: EmqxWorld, after: bool) -> None:
    emqx.server.state.authenticators = [authenticator(name="sha256", salt_position="suffix")]  # costs little
    await emqx.push(emqx.old)
    begun, memory = copy.deepcopy(emqx.server.state), (emqx.home / "emqx.json").read_bytes()
    emqx.server.log.clear()
    await emqx.push(emqx.new)
    count = len(emqx.server.log)
    mqtt, total = EmqxMqtt(emqx.server.state, sessions=True), 0
    async with mqtt.running():
        for cut in range(1, count + 1, 2):
            emqx.server.cut_at = None
            emqx.server.state = mqtt.state = copy.deepcopy(begun)
            (emqx.home / "emqx.json").write_bytes(memory)
            mqtt.published.clear()
            ben, stop = client(mqtt, "ben"), asyncio.Event()

            async def publish(one: BrokerClient = ben, stop: asyncio.Event = stop) -> None:
                async with one.session():
                    while not stop.is_set():
                        await one.publish(BENS, b"1")  # raises when the connection is gone

            async with asyncio.TaskGroup() as group:
                group.create_task(publish())
                await until(lambda: len(mqtt.published) > 3)
                emqx.server.log.clear()
                emqx.server.cut_at, emqx.server.cut_after = cut, after
                with pytest.raises(NexusError):
                    await emqx.push(emqx.new)
                at = len(mqtt.published)
                await until(lambda at=at: len(mqtt.published) > at + 3)  # type: ignore[misc]
                emqx.server.cut_at = None
                await emqx.push(emqx.new)
                at = len(mqtt.published)
                await until(lambda at=at: len(mqtt.published) > at + 3)  # type: ignore[misc]
                stop.set()
            assert {granted for _, _, granted in mqtt.published} == {True}, cut
            total += len(mqtt.published)
        assert total > 10 * count and mqtt.refused_logins == []
        with pytest.raises(NexusError) as refused:
            async with client(mqtt, "carl").session():
                pass
        assert refused.value.code == "NX6011", "who is gone is gone"
        async with (one := client(mqtt, "anna")).session():
            with pytest.raises(NexusError):
                await one.subscribe([(CAPPER, 1)])


async def test_the_stand_in_refuses_and_ends_what_it_should(emqx: EmqxWorld) -> None:
    """Otherwise the test above could not fail."""
    emqx.server.state.authenticators = [authenticator(name="sha256", salt_position="suffix")]
    await emqx.push(emqx.old)
    mqtt = EmqxMqtt(emqx.server.state, sessions=True)
    async with mqtt.running():
        one = client(mqtt, "anna")
        async with one.session():
            await one.publish(CAPPER, b"1")
            assert mqtt.published == [(f"anna{SUFFIX}", CAPPER, False)]
            await emqx.push(emqx.new)  # anna loses a right: her session is kicked
            with pytest.raises(NexusError):
                await one.publish(CAPPER, b"2")
