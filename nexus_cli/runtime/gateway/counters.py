"""The gateway's metrics: kept as plain integers by the parts, read when Prometheus asks; labels name links and
devices, not tags."""

from __future__ import annotations

from collections.abc import Callable

from nexus_cli.runtime.gateway.commands.commands import Commands
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.devices.census import silence, tags_by_quality
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.field.links import Links
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.outbox.publisher import Publisher
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.wire.command import State
from nexus_cli.wire.latency_health import LatencyWindow

_STATES = ("idle", "connecting", "connected", "backoff")


def register(
    metrics: Metrics,
    *,
    links: Links,
    outbox: Outbox,
    publisher: Publisher,
    live: LiveView,
    pipeline: Pipeline,
    commands: Commands,
    absence: Absence,
    tried: Callable[[], int] = lambda: 0,
) -> None:
    """Hand every counter of the gateway to its metrics."""
    _register_links(metrics, links)
    _register_devices(metrics, links)
    totals: dict[str, tuple[str, Callable[[], float]]] = {
        "nexus_gateway_frames": ("Frames made.", lambda: pipeline.frames),
        "nexus_gateway_samples": ("Samples recorded.", lambda: pipeline.samples),
        "nexus_gateway_published_frames": ("Frames handed to the broker.", lambda: publisher.published),
        "nexus_gateway_repeated_frames": ("Frames sent again for want of a receipt.", lambda: publisher.repeated),
        "nexus_gateway_live_published": ("Live values published.", lambda: live.published),
        "nexus_gateway_live_conflated": ("Live values replaced before they were published.", lambda: live.conflated),
        "nexus_gateway_rejected_values": ("Values that rules of quality rejected.", lambda: pipeline.rejected),
        "nexus_gateway_trial_reads": ("Addresses read for a plan.", tried),
        "nexus_gateway_accepted": ("Frames and gaps made durable.", lambda: outbox.accepted),
    }
    for name, (text, read) in totals.items():
        metrics.watch_counters(name, text, (), _alone(read))
    metrics.watch_counters(
        "nexus_gateway_lost_frames",
        "Frames lost, by the loss; each has a gap.",
        ("loss",),
        lambda: {(name,): count for name, count in outbox.lost.items()},
    )
    metrics.watch_counters(
        "nexus_gateway_device_gaps",
        "Gaps of devices that were not read for a time, by reason.",
        ("reason",),
        lambda: {(reason.value,): count for reason, count in absence.declared.items()},
    )
    metrics.watch_counters(
        "nexus_gateway_commands",
        "Commands, by how they ended.",
        ("state",),
        lambda: {(state.value,): commands.counts[state.value] for state in State},
    )
    gauges: dict[str, tuple[str, Callable[[], float]]] = {
        "nexus_gateway_outbox_bytes": ("Size of the disk log.", lambda: outbox.size_bytes),
        "nexus_gateway_outbox_uncommitted": ("Durable frames without receipt.", lambda: outbox.uncommitted),
        "nexus_gateway_waiting_topics": (
            "Topics whose records the broker does not pass on.",
            lambda: len(publisher.waiting_topics),
        ),
        "nexus_gateway_limit_bytes": (
            "Size of messages that the broker does not pass on; 0 when no limit is known.",
            lambda: live.gate.limit_bytes,
        ),
        "nexus_gateway_in_flight": ("Frames published and without receipt.", lambda: publisher.in_flight),
        "nexus_gateway_commands_waiting": ("Commands that wait or are at a device.", lambda: commands.waiting),
        "nexus_gateway_live_waiting": ("Tags whose newest value is not published yet.", lambda: live.waiting),
    }
    for name, (text, read) in gauges.items():
        metrics.watch_gauges(name, text, (), _alone(read))
    _register_lag(metrics, live)


def _alone(read: Callable[[], float]) -> Callable[[], dict[tuple[str, ...], float]]:
    return lambda: {(): read()}


def _register_lag(metrics: Metrics, live: LiveView) -> None:
    def stages() -> dict[str, LatencyWindow]:
        one = live.health()
        return {"sent": one.sent, "acknowledged": one.acknowledged}

    def seconds() -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        for stage, one in stages().items():
            for quantile, ms in (("0.5", one.p50_ms), ("0.95", one.p95_ms), ("0.99", one.p99_ms), ("1", one.max_ms)):
                found[stage, quantile] = ms / 1000
        return found

    metrics.watch_gauges(
        "nexus_gateway_live_lag_seconds",
        "Time from a sample to its live message over the last minute: handed to the socket, acknowledged by the broker.",
        ("stage", "quantile"),
        seconds,
    )
    metrics.watch_gauges(
        "nexus_gateway_live_lag_messages",
        "Live messages of the last minute that the lag is about.",
        ("stage",),
        lambda: {(stage,): one.count for stage, one in stages().items()},
    )


def _register_devices(metrics: Metrics, links: Links) -> None:
    def up() -> dict[tuple[str, ...], float]:
        return {
            (link, device.path): float(silence(device) is None)
            for link, one in links.supervisors.items()
            for device in one.devices.values()
            if device.config.enabled
        }

    def tags() -> dict[tuple[str, ...], float]:
        return {
            (link, device.path, quality): count
            for link, one in links.supervisors.items()
            for device in one.devices.values()
            for quality, count in tags_by_quality([device]).items()
        }

    metrics.watch_gauges(
        "nexus_device_up", "1 while a device that is switched on gives values that count.", ("link", "device"), up
    )
    metrics.watch_gauges(
        "nexus_device_tags",
        "Tags of a device by the quality of their newest sample; UNKNOWN before the first.",
        ("link", "device", "quality"),
        tags,
    )


def _register_links(metrics: Metrics, links: Links) -> None:
    sums: dict[str, tuple[str, Callable[[DeviceRuntime], float]]] = {
        "nexus_link_cycles": ("Poll cycles begun.", lambda one: one.counters.cycles),
        "nexus_link_missed_cycles": (
            "Cycles skipped because the one before was late.",
            lambda one: one.counters.missed,
        ),
        "nexus_link_skipped_cycles": ("Cycles not begun during a device's back-off.", lambda one: one.counters.skipped),
        "nexus_link_errors": ("Reads that failed.", lambda one: one.counters.errors),
        "nexus_link_timeouts": ("Devices that did not answer in time.", lambda one: one.counters.timeouts),
        "nexus_link_values": ("Values read or reported.", lambda one: one.normaliser.seen),
        "nexus_link_samples": ("Samples recorded of them.", lambda one: one.normaliser.recorded),
    }
    for name, (text, of) in sums.items():

        def read(of: Callable[[DeviceRuntime], float] = of) -> dict[tuple[str, ...], float]:
            return {
                (link,): sum(of(device) for device in one.devices.values()) for link, one in links.supervisors.items()
            }

        metrics.watch_counters(name, text, ("link",), read)
    metrics.watch_counters(
        "nexus_link_reconnects",
        "Sessions opened after the first.",
        ("link",),
        lambda: {(link,): one.reconnects for link, one in links.supervisors.items()},
    )
    metrics.watch_counters(
        "nexus_link_restarts",
        "Times that a link's task ended by anything but a stop.",
        ("link",),
        lambda: {(link,): count for link, count in links.restarts.items()},
    )
    metrics.watch_gauges(
        "nexus_links",
        "Links by state.",
        ("state",),
        lambda: {
            (state,): sum(1 for one in links.supervisors.values() if one.state.state == state) for state in _STATES
        },
    )
