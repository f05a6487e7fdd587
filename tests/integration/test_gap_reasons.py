"""A gap's reason has one name: what the message says is what the row holds."""

from __future__ import annotations

import pytest

from nexus_cli.settings import Settings
from nexus_cli.wire.frame import GapReason
from tests.integration.historian_rig import (
    DEVICE,
    START_US,
    SmallOutbox,
    declare,
    device,
    historian,
    outbox_settings,
    query,
)
from tests.servers import TestBroker

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker, pytest.mark.every_database]


async def test_every_reason_has_the_same_name_in_message_and_row(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    async with historian(database, broker), outbox.running():
        for seq, reason in enumerate(GapReason, 1):
            start_us = START_US + seq * 10_000_000
            outbox.gap(seq, device=DEVICE, start=start_us, end=start_us + 1_000_000, frames=seq, reason=reason)
        await outbox.drained()
    rows = await query(database, "SELECT reason, frames FROM nexus.gap ORDER BY start")
    assert [(row["reason"], row["frames"]) for row in rows] == [
        (each.value, at) for at, each in enumerate(GapReason, 1)
    ]
    assert await query(database, "SELECT * FROM nexus.dead_letter") == []
