"""The state of a gateway: the details of its health, and of `/status`."""

from __future__ import annotations

from typing import Protocol

import msgspec

from nexus_cli.runtime.gateway.commands.commands import Commands
from nexus_cli.runtime.gateway.configuration import Configuration
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.devices.census import all_silent, by_reason, limited, named, reads_of
from nexus_cli.runtime.gateway.field.links import Links
from nexus_cli.runtime.gateway.following import ConfigurationFollower
from nexus_cli.runtime.gateway.instance import Identity, InstanceElection
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.outbox.publisher import Publisher
from nexus_cli.runtime.gateway.pauses import Pauses
from nexus_cli.runtime.gateway.publish_check import PublishCheck
from nexus_cli.runtime.gateway.timekeeping import Timekeeping
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.progress import Progress
from nexus_cli.wire.gateway_health import CommandsHealth, GatewayCounters, GatewayHealth, OutboxHealth


class Parts(Protocol):
    """The parts of a gateway that its health describes."""

    links: Links
    identity: Identity
    election: InstanceElection
    absence: Absence
    configuration: Configuration
    pauses: Pauses
    following: ConfigurationFollower
    commands: Commands
    publish_check: PublishCheck
    timekeeping: Timekeeping
    progress: Progress
    latencies: Latencies
    outbox: Outbox
    publisher: Publisher
    live: LiveView


def facts_of(gateway: Parts) -> GatewayHealth:
    """Without secrets, and without the head."""
    devices = gateway.links.devices()
    without = all_silent(devices)
    shown, left_out = named(without)
    problem = gateway.following.problem
    outbox = gateway.outbox
    return GatewayHealth(
        instance=gateway.identity.instance,
        host=gateway.identity.host,
        pid=gateway.identity.pid,
        term=gateway.election.term,
        waiting=gateway.election.why,
        accounted_since=gateway.absence.since_us,
        deployment=gateway.configuration.deployment,
        digest=gateway.configuration.digest,
        runs=gateway.following.runs,
        configuration=problem.message if problem is not None else "",
        devices=len(devices),
        silent=shown,
        silent_left_out=left_out,
        silent_reasons=by_reason(without),
        limited=limited(devices),
        out_of_service=gateway.pauses.health(closed=gateway.links.settled),
        links=gateway.links.health(),
        reads=reads_of(devices),
        commands=msgspec.convert(gateway.commands.facts(), CommandsHealth),
        canary=gateway.publish_check.state,
        clock=gateway.timekeeping.facts(),
        stalled=list(gateway.progress.stalled.values()),
        outbox=msgspec.convert(gateway.publisher.facts() | {"free_bytes": outbox.free_bytes}, OutboxHealth),
        gaps={reason.value: count for reason, count in gateway.absence.declared.items()},
        live=gateway.live.health(),
        latencies=gateway.latencies.health(),
        counters=GatewayCounters(
            accepted=outbox.accepted,
            published=gateway.publisher.published,
            repeated=gateway.publisher.repeated,
            missed_cycles=sum(one.counters.missed for one in devices),
            live_published=gateway.live.published,
            live_conflated=gateway.live.conflated,
        ),
    )
