"""The historian as a process of its own, and on a broker without shared subscriptions."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import orjson
import pytest

from nexus_cli.settings import Settings
from tests.integration.historian_rig import SmallOutbox, declare, device, historian, outbox_settings, query
from tests.postgres import SITE
from tests.servers import TestBroker, free_port, new_broker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker, pytest.mark.every_database]


def command(database: Settings, broker: TestBroker, tmp_path: Path, *, port: int = 0) -> subprocess.Popen[str]:
    """`nexus run historian` with its settings in the environment."""
    environment = {
        **os.environ,
        "NEXUS_HOME": str(tmp_path),
        "NEXUS_SITE": SITE,
        "NEXUS_BROKER_URL": broker.url,
        "NEXUS_DATABASE_URL": database.database_url,
        "NEXUS_DATABASE_PASSWORD": database.database_password,
        "NEXUS_HTTP_PORT": str(port),
        "NEXUS_LOG_FORMAT": "json",
    }
    arguments = [sys.executable, "-m", "nexus_cli", "run", "historian"]
    return subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_the_role_serves_drains_and_ends_on_sigterm(
    database: Settings, broker: TestBroker, tmp_path: Path
) -> None:
    await declare(database, device(a="float64", b="float64"))
    port = free_port()
    process = command(database, broker, tmp_path, port=port)
    try:
        outbox = SmallOutbox(outbox_settings(broker))
        for seq in range(1, 101):
            outbox.frame(seq, {"a": float(seq), "b": 1.0})
        async with outbox.running(), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await outbox.drained()
            assert (await http.get("/health/ready")).json() == {"ready": True, "detail": ""}
            status = (await http.get("/status")).json()
            assert status["counters"]["rows"] == 200
            assert status["outboxes"] == [{"gateway": "gw-1", "epoch": "E1", "ranges": 1}]
            assert database.database_password not in orjson.dumps(status).decode()
            metrics = (await http.get("/metrics")).text
            assert "nexus_historian_rows_total 200.0" in metrics
            assert "nexus_historian_dropped_frames_total 0.0" in metrics
            for seq in range(101, 201):
                outbox.frame(seq, {"a": float(seq), "b": 1.0})
            await until(lambda: outbox.sends >= 150)
            process.send_signal(signal.SIGTERM)
            out, log = await asyncio.to_thread(process.communicate, timeout=20)
        assert process.returncode == 0, log
        assert out == ""
        # what it took before it ended has its receipt: nothing is stored without one
        stored = (await query(database, "SELECT count(DISTINCT time) FROM nexus.sample"))[0][0]
        ranges = orjson.loads((await query(database, "SELECT ranges FROM nexus.committed"))[0][0])
        assert stored == sum(last - first + 1 for first, last in ranges)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def test_a_schema_that_is_behind_ends_it_with_one_sentence(
    empty_database: Settings, broker: TestBroker, tmp_path: Path
) -> None:
    process = command(empty_database, broker, tmp_path)
    _, log = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 6
    assert "NX6201" in log
    assert "nexus db upgrade" in log
    assert "Traceback" not in log


async def test_amqtt_has_no_shares_and_custody_works_all_the_same(database: Settings, tmp_path: Path) -> None:
    broker = new_broker(tmp_path, kind="amqtt").start()
    try:
        await declare(database, device(a="float64"))
        outbox = SmallOutbox(outbox_settings(broker), window=50)
        for seq in range(1, 301):
            outbox.frame(seq, {"a": float(seq)})
        async with historian(database, broker) as role, outbox.running():
            await outbox.drained()
            assert not role.shared
        assert (await query(database, "SELECT count(*) FROM nexus.sample"))[0][0] == 300
    finally:
        broker.stop()
