"""Watches for stalls in a historian: messages in the queue, batches to store, receipts to publish."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nexus_cli.runtime.historian.announcer import Announcer
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.runtime.progress import Activity, Progress
from nexus_cli.wire.client import BrokerClient

TAKE_S = 20.0
STORE_S = 20.0
RECEIPT_S = 15.0


def watch(
    progress: Progress,
    *,
    client: BrokerClient,
    inbound_queue: InboundQueue,
    announcer: Announcer,
    storing: Callable[[], Sequence[tuple[int, int]]],
) -> None:
    """Watch a historian's parts; `storing` gives for each lane the number of batches in progress, and of those
    stored."""

    def look() -> dict[str, Activity]:
        lanes = {
            "storing" + (f" {number}" if number > 1 else ""): Activity(
                waits=waiting > 0,
                moved=stored,
                limit_s=STORE_S,
                problem="nothing is stored although batches wait",
            )
            for number, (waiting, stored) in enumerate(storing(), 1)
        }
        return {
            **lanes,
            "intake": Activity(
                waits=len(inbound_queue) > 0,
                moved=inbound_queue.taken,
                limit_s=TAKE_S,
                problem=f"no message is taken from the queue, {len(inbound_queue)} wait",
            ),
            "receipts": Activity(
                waits=client.connected and announcer.waiting > 0,
                moved=announcer.said,
                limit_s=RECEIPT_S,
                problem=f"no receipt leaves, {announcer.waiting} wait",
            ),
        }

    progress.watch(look)
