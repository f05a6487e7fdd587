"""asyncua waits by `wait_for2`: its cancellation with a result is never taken for ours."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.opcua import driver as driver_module
from nexus_cli.drivers.opcua.channel import Channel
from nexus_cli.model.config import DeviceConfig
from tests.unit.diagnostics.test_foreign import WithResult

CONNECTION = {"endpoint": "opc.tcp://127.0.0.1:4840", "connect_timeout": 200}
DEVICE = DeviceConfig(path="a/l/one", protocol="opcua", link="opc", gateway="gw", tags={}, connection=CONNECTION)


def channel(*, timeout_s: float = 5.0) -> Channel:
    client: Any = SimpleNamespace(uaclient=SimpleNamespace(pre_request_hook=None, protocol=None))
    made = Channel(client, endpoint="opc.tcp://plc:4840", timeout_s=timeout_s)
    made._renew_at_s = float("inf")
    return made


async def test_a_cancellation_that_nobody_asked_for_is_a_lost_session() -> None:
    link = channel()

    async def service() -> None:
        raise WithResult("the answer", False)

    with pytest.raises(DriverError, match="the connection broke") as failed:
        await link.call("read", service)
    assert failed.value.scope is Scope.SESSION
    assert link.lost is failed.value


async def test_a_time_out_that_meets_the_answer_is_a_time_out() -> None:
    link = channel(timeout_s=0.05)

    async def service() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise WithResult("the answer", False) from None

    with pytest.raises(DriverError, match=r"did not answer within 0\.05 s"):
        await link.call("read", service)


@pytest.mark.parametrize("raised", [asyncio.CancelledError, None], ids=["plain", "with-result"])
async def test_a_connect_never_ends_as_a_cancellation(monkeypatch: pytest.MonkeyPatch, raised: Any) -> None:
    closed: list[Channel] = []

    async def opened(self: Channel, identity: Any) -> None:
        await asyncio.sleep(0)
        raise raised() if raised else WithResult("the answer", False)

    async def close(self: Channel) -> None:
        closed.append(self)

    monkeypatch.setattr(Channel, "open", opened)
    monkeypatch.setattr(Channel, "close", close)
    with pytest.raises(DriverError, match="the library broke off") as failed:
        await driver_module.OpcuaDriver({}).connect([DEVICE], home="/nowhere")
    assert failed.value.scope is Scope.SESSION
    assert len(closed) == 1


async def test_a_connect_whose_time_out_raises_the_library_s_own_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    async def opened(self: Channel, identity: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise WithResult("the answer", False) from None

    monkeypatch.setattr(Channel, "open", opened)
    with pytest.raises(DriverError, match=r"did not open a session within 0\.2 s"):
        await driver_module.OpcuaDriver({}).connect([DEVICE], home="/nowhere")
