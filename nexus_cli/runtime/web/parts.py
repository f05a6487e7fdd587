"""What the routes of the role web are built from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.database.connect import Pool
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.command_sender import CommandSender
from nexus_cli.runtime.identity.refusals import Refusals
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.runtime.web.interruptions import Interruptions
from nexus_cli.runtime.web.known_callers import KnownCallers
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.qualities import Qualities
from nexus_cli.runtime.web.site_keeper import SiteKeeper
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.forwarding import Forwarder
from nexus_cli.wire.topic import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    """The parts of one process.

    Attributes:
        latencies: How long requests take (`api`).
        pool: For reading; what is written there is the audit trail, exports that are asked
            for, and what a client left for its return.
        client: The connection to the broker; it subscribes for the cache.
        sender: Sends commands for callers; `steering.commands` looks at their rights before.
        forwarder: The door to control, for requests of callers.
        cache: Newest messages.
        interruptions: When it may not have received every message.
        qualities: Of the newest values, for counts.
        keeper: What is deployed (`keeper.view`).
        callers: Who calls, and what it may read and write.
        refusals: Counts and records what was refused.
        stopping: True once the process stops: long answers end.
        jobs: What the routes want to be run, by name, until the event is set; `make_api` adds to it.
    """

    settings: Settings
    topics: Topics
    clock: Clock
    metrics: Metrics
    latencies: Latencies
    pool: Pool
    client: BrokerClient
    sender: CommandSender
    forwarder: Forwarder
    cache: LiveCache
    interruptions: Interruptions
    qualities: Qualities
    keeper: SiteKeeper
    callers: KnownCallers
    refusals: Refusals
    stopping: Callable[[], bool]
    jobs: dict[str, Callable[[asyncio.Event], Coroutine[Any, Any, None]]] = field(default_factory=dict)
