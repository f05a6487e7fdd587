"""Watches for stalls in a gateway: frames without progress to disk or to their receipt, live values, links."""

from __future__ import annotations

from nexus_cli.runtime.gateway.commands.commands import Commands
from nexus_cli.runtime.gateway.field.links import Links
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.outbox.publisher import Publisher
from nexus_cli.runtime.progress import Activity, Progress
from nexus_cli.wire.client import BrokerClient

RECEIPT_S = 20.0
"""Limit for receipts, in seconds. The historian acknowledges a frame within a second; a restart of it or of the
database takes longer."""
DISK_S = 10.0
LIVE_S = 20.0
COMMANDS_S = 30.0


def watch(
    progress: Progress,
    *,
    client: BrokerClient,
    outbox: Outbox,
    publisher: Publisher,
    live: LiveView,
    links: Links,
    commands: Commands,
) -> None:
    """Watch a gateway's parts. Stalls that a broken broker connection explains are not reported again."""

    def look() -> dict[str, Activity]:
        links.end_stuck(progress.still_s)
        return {
            "disk": Activity(
                waits=outbox.newest_seq > outbox.durable_seq and not outbox.failing,
                moved=outbox.durable_seq,
                limit_s=DISK_S,
                problem=f"the disk log takes nothing, {outbox.newest_seq - outbox.durable_seq} frames wait",
            ),
            "receipts": Activity(
                waits=client.connected and outbox.lowest_uncommitted() <= outbox.durable_seq,
                moved=(publisher.receipts, outbox.lowest_uncommitted()),
                limit_s=RECEIPT_S,
                problem=f"no receipt comes from the historian, {outbox.uncommitted} frames wait for it",
            ),
            "live view": Activity(
                waits=client.connected and live.waiting > 0,
                moved=live.published,
                limit_s=LIVE_S,
                problem=f"no live value leaves, {live.waiting} wait",
            ),
            "commands": Activity(
                waits=client.connected and not commands.connected,
                moved=None,
                limit_s=COMMANDS_S,
                problem=f"commands are not received: {commands.problem or 'their session does not open'}",
            ),
            **links.activities(),
        }

    progress.watch(look)
