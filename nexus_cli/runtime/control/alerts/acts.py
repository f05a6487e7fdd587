"""What people do to an alert beside acknowledging it. Each raises NexusError NX6406 where there is no such alert."""

from __future__ import annotations

from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.wire.alert import Alert


def shelve(alerting: Alerting, name: str, *, for_s: int, reason: str, who: str) -> Alert:
    """Hide it for so long, or for another time; it ends by itself."""
    return alerting.do(
        name,
        lambda alert, now: alert.shelve(for_s=for_s, who=who, reason=reason, time_us=now.us, at_s=now.s),
        otherwise="",
        code="NX6430",
    )


def unshelve(alerting: Alerting, name: str, *, who: str) -> Alert:
    """End it before its time. Raises NexusError NX6430 when it is not shelved."""
    return alerting.do(
        name,
        lambda alert, now: alert.unshelve(who=who, time_us=now.us),
        otherwise="Alert '{name}' is not shelved.",
        code="NX6430",
    )


def take_out(alerting: Alerting, name: str, *, reason: str, who: str) -> Alert:
    """Take it out of service until a person takes it in. Raises NexusError NX6431 when it is."""
    return alerting.do(
        name,
        lambda alert, now: alert.take_out(who=who, reason=reason, time_us=now.us),
        otherwise="Alert '{name}' is out of service.",
        code="NX6431",
    )


def take_in(alerting: Alerting, name: str, *, who: str) -> Alert:
    """Take it into service again. Raises NexusError NX6431 when it is."""
    return alerting.do(
        name,
        lambda alert, now: alert.take_in(who=who, time_us=now.us),
        otherwise="Alert '{name}' is in service.",
        code="NX6431",
    )
