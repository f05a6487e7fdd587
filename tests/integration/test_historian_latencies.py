"""What the historian measures: commits of batches, and the time from a frame's sample to its committed row."""

from __future__ import annotations

import time

import pytest

from nexus_cli.settings import Settings
from tests.integration.historian_rig import SmallOutbox, declare, device, historian, outbox_settings
from tests.servers import TestBroker

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]


async def test_commits_are_batches_and_the_queue_is_per_frame(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(temperature="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    hour_ago_us = time.time_ns() // 1000 - 3_600_000_000
    for seq in range(1, 51):
        outbox.frame(seq, {"temperature": seq / 4}, time=hour_ago_us + seq)
    outbox.gap(51, device="packaging/line-1/filler", start=hour_ago_us - 9, end=hour_ago_us, reason="overflow")
    async with historian(database, broker) as role, outbox.running():
        await outbox.drained()
        outbox.frame(52, {"temperature": 1.0}, time=time.time_ns() // 1000)
        await outbox.drained()
        commit, queue = (role.latencies[name].read().hour for name in ("commit", "queue"))
        assert 1 < commit.count <= role.counters.batches
        assert 0 < commit.p50_ms <= commit.max_ms
        assert queue.count == role.counters.frames == 51, "not per sample, and not of gaps"
        assert 3_590_000 < queue.p50_ms <= queue.max_ms < 3_800_000, "late samples are as old as they are"
        health = role.status()
        assert health.latencies["commit"].hour == commit and list(health.latencies) == ["commit", "queue"]
