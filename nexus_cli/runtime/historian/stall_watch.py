"""Watches for stalls in a historian: messages in the queue, batches to store, receipts to publish."""

from __future__ import annotations

from collections.abc import Callable

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
    storing: Callable[[], tuple[int, int]],
) -> None:
    """Watch a historian's parts; `storing` gives the number of batches in progress, and of those stored."""

    def look() -> dict[str, Activity]:
        waiting, stored = storing()
        return {
            "intake": Activity(
                waits=len(inbound_queue) > 0,
                moved=inbound_queue.taken,
                limit_s=TAKE_S,
                problem=f"no message is taken from the queue, {len(inbound_queue)} wait",
            ),
            "storing": Activity(
                waits=waiting > 0,
                moved=stored,
                limit_s=STORE_S,
                problem="nothing is stored although batches wait",
            ),
            "receipts": Activity(
                waits=client.connected and announcer.waiting > 0,
                moved=announcer.said,
                limit_s=RECEIPT_S,
                problem=f"no receipt leaves, {announcer.waiting} wait",
            ),
        }

    progress.watch(look)
