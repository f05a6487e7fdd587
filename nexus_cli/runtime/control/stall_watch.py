"""Watches for stalls in control: deployments, notices to gateways, gateway liveness, alerts."""

from __future__ import annotations

from nexus_cli.apply.observation import Observations
from nexus_cli.apply.timing import Timing
from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.runtime.control.deployer import Deployer
from nexus_cli.runtime.control.gateway_liveness import GatewayLiveness
from nexus_cli.runtime.progress import Activity, Progress
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.configuration import decode_notice
from nexus_cli.wire.topic import Topics

SPARE_S = 60.0
"""Extra time on top of the longest regular wait of a deployment, in seconds."""
NOTICE_S = 75.0
"""Limit for a notice, in seconds: a gateway that missed it asks control every minute."""
PRESENCE_S = 20.0
ALERT_S = 20.0


class StallNotices:
    """The newest configuration notice of each gateway, and whether the gateway reports that it runs it."""

    def __init__(self, topics: Topics, observations: Observations) -> None:
        """Track the gateways' `config` topics."""
        self._prefix = topics.config("")
        self._seen = observations
        self._told: dict[str, tuple[int, str]] = {}

    def published(self, topic: str, payload: bytes) -> None:
        """Take a message that control publishes; anything but a notice is ignored."""
        if topic.startswith(self._prefix) and payload:
            notice = decode_notice(payload)
            self._told[topic[len(self._prefix) :]] = (notice.deployment, notice.digest)

    def activities(self, *, connected: bool) -> dict[str, Activity]:
        """One activity per gateway with a notice."""
        found: dict[str, Activity] = {}
        for gateway, (deployment, digest) in self._told.items():
            health = self._seen.health(gateway)
            there = connected and health is not None and health.state == "running"
            found[f"gateway {gateway}"] = Activity(
                waits=there and self._seen.answer(gateway, digest=digest, deployment=deployment) is None,
                moved=deployment,
                limit_s=NOTICE_S,
                problem=f"gateway {gateway} does not say that it runs deployment {deployment}",
            )
        return found


def watch(
    progress: Progress,
    *,
    client: BrokerClient,
    deployer: Deployer,
    liveness: GatewayLiveness,
    alerting: Alerting,
    notices: StallNotices,
    timing: Timing,
) -> None:
    """Watch control's parts."""

    def look() -> dict[str, Activity]:
        return {
            "deployment": Activity(
                waits=deployer.busy,
                moved=(deployer.running, deployer.steps),
                limit_s=timing.observe_s + timing.verify_s + SPARE_S,
                problem=f"deployment {deployer.running or 'that waits'} does not continue",
            ),
            "presence": Activity(
                waits=client.connected and liveness.waiting > 0,
                moved=liveness.handled,
                limit_s=PRESENCE_S,
                problem="it can't be recorded which gateways are away",
            ),
            "alerts": Activity(
                waits=client.connected and alerting.waiting > 0,
                moved=alerting.published,
                limit_s=ALERT_S,
                problem=f"no alert is published or stored, {alerting.waiting} wait",
            ),
            **notices.activities(connected=client.connected),
        }

    progress.watch(look)
