"""`notifications:` in normal form: the resources `channel.NAME`, `route.NAME` and `digest.alarms`."""

from __future__ import annotations

from nexus_cli.model.notifications import Channel, Notifications, Route
from nexus_cli.model.resources import ChannelConfig, DigestConfig, EscalationConfig, RouteConfig, encode
from nexus_cli.model.snapshot import Attributes

DIGEST = "digest.alarms"


def notification_resources(declared: Notifications) -> dict[str, Attributes]:
    """Its resources by address; a digest as it is by default is none."""
    found = {f"channel.{name}": encode(_channel(one)) for name, one in declared.channels.items()}
    found |= {f"route.{name}": encode(_route(one)) for name, one in declared.routes.items()}
    digest = DigestConfig(above=declared.digest.above, below=declared.digest.below, every_ms=declared.digest.every)
    return found if digest == DigestConfig() else found | {DIGEST: encode(digest)}


def _channel(one: Channel) -> ChannelConfig:
    if one.mail is not None:
        mail = one.mail
        host = mail.server.rpartition(":")[0].strip("[]") or mail.server
        return ChannelConfig(
            kind="mail",
            to=list(mail.to),
            sender=mail.from_ or f"nexus@{host}",
            server=mail.server,
            security=mail.security,
            user=mail.user or "",
            password=mail.password or "",
            description=one.description,
        )
    if one.webhook is not None:
        hook = one.webhook
        return ChannelConfig(
            kind="webhook", url=hook.url, key=hook.key or "", headers=dict(hook.headers), description=one.description
        )
    return ChannelConfig(kind="url", url=one.url or "", description=one.description)


def _route(one: Route) -> RouteConfig:
    return RouteConfig(
        to=list(one.to),
        priorities=list(one.priorities),
        groups=list(one.groups),
        alerts=list(one.alerts),
        hours=list(one.hours),
        returned=one.returned,
        escalate=[EscalationConfig(after_ms=step.after, to=list(step.to)) for step in one.escalate],
    )
