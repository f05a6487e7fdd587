"""Signed commands over a real broker to a real Modbus server: forged, replayed, late, early, by another's or an ended key."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexus_cli.wire.signature import ED25519, HMAC, KeyRules, Signature, SignatureRules, hmac_signature, seal
from tests.commanding import TOPICS, Asker, Bench, CountingServer, counting, drive
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = pytest.mark.needs_broker
TAG = "a/l/drive/setpoint"
OLD, NEW = "old-secret-of-at-least-32-bytes-00", "new-secret-of-at-least-32-bytes-00"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()


def rules(**keys: KeyRules) -> SignatureRules:
    now_us = int(time.time() * 1e6)
    return SignatureRules(
        require=["command"],
        keys={
            "old": KeyRules(algorithm=HMAC, secret="${env:OLD_KEY}", principals=["desk"], until_us=now_us - 1),
            "new": KeyRules(algorithm=HMAC, secret="${env:NEW_KEY}", principals=["desk"]),
            "later": KeyRules(
                algorithm=HMAC, secret="${env:NEW_KEY}", principals=["desk"], from_us=now_us + 3_600_000_000
            ),
            "mes": KeyRules(algorithm=ED25519, public=PUBLIC, principals=["mes", "desk"]),
            "other": KeyRules(algorithm=HMAC, secret="${env:NEW_KEY}", principals=["scada"]),
            "unset": KeyRules(algorithm=HMAC, secret="${env:NOT_SET_HERE}", principals=["desk"]),
            **keys,
        },
    )


@contextlib.asynccontextmanager
async def plant(
    broker: TestBroker, home: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Bench, CountingServer]]:
    monkeypatch.setenv("OLD_KEY", OLD)
    monkeypatch.setenv("NEW_KEY", NEW)
    async with counting([drive()]) as server:
        bench = Bench(broker, home, [drive(port=server.port)])
        bench.source.signatures = rules()
        async with bench.running():
            yield bench, server


def command(value: float, command_id: str) -> bytes:
    return json.dumps({"id": command_id, "value": value, "expires_at": int((time.time() + 20) * 1e6)}).encode()


def sealed(payload: bytes, *, key: str = "new", sign: Signature | None = None, ahead_s: float = 0.0) -> bytes:
    return seal(
        key=key,
        sign=sign or hmac_signature(NEW),
        topic=TOPICS.command(TAG, "desk"),
        payload=payload,
        time_us=int((time.time() + ahead_s) * 1e6),
    )


async def send(bench: Bench, command_id: str, payload: bytes, *, count: int = 1) -> dict[str, Any]:
    await bench.asker.client.publish(TOPICS.command(TAG, "desk"), payload, qos=2)
    return await bench.asker.answer(command_id, count=count)


def changed(payload: bytes, /, **fields: object) -> bytes:
    return json.dumps({**json.loads(payload), **fields}).encode()


async def test_each_kind_of_wrong_message_is_refused_and_reported_and_the_right_ones_are_done(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plant(broker, tmp_path, monkeypatch) as (bench, server):
        ids = {name: f"{name}-{uuid.uuid4().hex[:8]}" for name in CASES}
        right = sealed(command(42.0, "right"))
        answer = await send(bench, "right", right)
        assert (answer["state"], answer["read_back"]) == ("done", 42.0)
        assert (await send(bench, "ed", sealed(command(43.0, "ed"), key="mes", sign=PRIVATE.sign)))["state"] == "done"
        done = len(server.writes)
        assert done == 2
        again = await send(bench, "right", right, count=2)
        assert (again["state"], again["code"]) == ("refused", "NX6465")
        for name, (code, make) in CASES.items():
            answer = await send(bench, ids[name], make(command(50.0, ids[name])))
            assert (answer["state"], answer["code"]) == ("refused", code), name
        assert len(server.writes) == done, "no refused one has reached the device"
        assert (await send(bench, "last", sealed(command(44.0, "last"))))["state"] == "done"
        refused = 1 + len(CASES)
        await until(lambda: bench.gateway.commands.counts["refused"] == refused)
        await until(lambda: "" in bench.asker.reports, deadline_s=20)
        report = bench.asker.reports[""]
        assert report.response.state == "refused" and report.principal == "desk" and "id " in report.response.detail


CASES = {
    "unsigned": ("NX6462", lambda one: one),
    "forged": ("NX6463", lambda one: sealed(one, sign=hmac_signature("x" * 40))),
    "payload": ("NX6463", lambda one: changed(sealed(b"{}"), payload=base64.b64encode(one).decode())),
    "time": ("NX6463", lambda one: changed(sealed(one), time=int(time.time() * 1e6) + 1)),
    "nonce": ("NX6463", lambda one: changed(sealed(one), nonce="another-nonce-of-16")),
    "key": ("NX6463", lambda one: changed(sealed(one), key="mes")),
    "late": ("NX6464", lambda one: sealed(one, ahead_s=-31)),
    "early": ("NX6464", lambda one: sealed(one, ahead_s=35)),
    "ended": ("NX6466", lambda one: sealed(one, key="old", sign=hmac_signature(OLD))),
    "not-yet": ("NX6466", lambda one: sealed(one, key="later")),
    "anothers": ("NX6466", lambda one: sealed(one, key="other")),
    "unknown": ("NX6466", lambda one: sealed(one, key="nobody")),
    "unset": ("NX6466", lambda one: sealed(one, key="unset")),
}


async def test_a_restart_opens_no_gap_even_while_control_is_away(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plant(broker, tmp_path, monkeypatch) as (bench, server):
        right = sealed(command(42.0, "right"))
        assert (await send(bench, "right", right))["state"] == "done"
        port, done = server.port, len(server.writes)
        again = Bench(broker, tmp_path, [drive(port=port)])
    async with counting([drive()], port=port) as server:
        again.source.away = True  # the local copy alone says that commands must be signed
        async with again.running():
            answer = await send(again, "right", right)
            assert (answer["state"], answer["code"]) == ("refused", "NX6464")
            assert (await send(again, "bare", command(50.0, "bare")))["code"] == "NX6462"
            assert server.writes == [] and done == 1
            assert (await send(again, "fresh", sealed(command(45.0, "fresh"))))["state"] == "done"


def moved(command_id: str, *, back_s: float) -> bytes:
    """A command of a sender whose clock is as late as the gateway's."""
    expires_at = int((time.time() - back_s + 20) * 1e6)
    body = json.dumps({"id": command_id, "value": 43.0, "expires_at": expires_at}).encode()
    return sealed(body, ahead_s=-back_s)


async def accepted(asker: Asker, make: Callable[[str], bytes]) -> tuple[str, bytes]:
    """Send commands until the gateway is there and does one; its id and message."""
    while True:
        command_id = uuid.uuid4().hex
        payload = make(command_id)
        await asker.client.publish(TOPICS.command(TAG, "desk"), payload, qos=2)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                if (await asker.answer(command_id))["state"] == "done":
                    return command_id, payload


PROCESS = """
import asyncio, sys, time
url, home, port, back_s = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
wall_ns, wall = time.time_ns, time.time
time.time_ns, time.time = lambda: wall_ns() - int(back_s * 1e9), lambda: wall() - back_s
from pathlib import Path
from nexus_cli.runtime.gateway.gateway import run_gateway
from nexus_cli.settings import Settings
from tests.field import FakeSource
from tests.integration.test_signed_commands import drive, rules
settings = Settings(home=Path(home), site="acme/chicago", principal="nexus.gateway.gw-1", broker_url=url)
source = FakeSource([drive(port=port)])
source.signatures = rules()
asyncio.run(run_gateway(settings, name="gw-1", source=source))
"""


@pytest.mark.slow
async def test_a_killed_gateway_carries_nothing_out_again_even_with_its_clock_set_back(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 after a command: the same bytes are refused; with the clock set back, the id on disk is known."""
    monkeypatch.setenv("OLD_KEY", OLD)
    monkeypatch.setenv("NEW_KEY", NEW)
    asker, stop = Asker(broker.settings()), asyncio.Event()
    async with counting([drive()]) as server, asyncio.TaskGroup() as group:
        group.create_task(asker.run(stop))
        await until(lambda: asker.client.connected)
        processes: list[subprocess.Popen[bytes]] = []

        async def life(back_s: float) -> None:
            arguments = (broker.url, str(tmp_path / "home"), str(server.port), str(back_s))
            processes.append(subprocess.Popen([sys.executable, "-c", PROCESS, *arguments], stderr=subprocess.DEVNULL))

        try:
            await life(0)
            right_id, right = await accepted(asker, lambda one: sealed(command(42.0, one)))
            signed_s = time.time()
            for state, code in (("refused", "NX6464"), ("done", "")):
                processes[-1].kill()
                processes[-1].wait()
                back_s = time.time() - signed_s + 40 if state == "done" else 0.0
                await life(back_s)
                await accepted(asker, partial(moved, back_s=back_s))
                done, before = len(server.writes), len(asker.answers[right_id])
                await asker.client.publish(TOPICS.command(TAG, "desk"), right, qos=2)
                answer = await asker.answer(right_id, count=before + 1)
                assert (answer["state"], answer.get("code", "")) == (state, code)
                assert len(server.writes) == done
        finally:
            for process in processes:
                process.kill()
                process.wait()
            stop.set()
